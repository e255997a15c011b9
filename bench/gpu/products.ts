/**
 * Speed of the matrix product on a GPU: several products in one submit, so that the host's time is hidden, the clock read
 * when the device has finished; and by the GPU's own clock when it is profiled.
 */

import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { capture, matmul, type Tensor, tensor } from '../../src/index.ts'
import { hash } from '../hash-model.ts'
import { median } from '../median.ts'
import { difference } from './profile.ts'
import type { ProductRecord } from './records.ts'
import { type ProductCase, productFlops } from './settings.ts'

/** Milliseconds that a round lasts at least: the wait for the device, a fraction of one, does not count then. */
const ROUND = 100
const ROUNDS = 5

/** Products in one submit: enough to hide what the host takes for it, about a millisecond of a fast GPU. */
function productsTogether(given: ProductCase, isSoftware: boolean): number {
  return isSoftware ? 4 : Math.min(96, Math.max(8, Math.ceil(2e10 / productFlops(given))))
}

/** Values in [-1, 1): zeros would be faster than what is multiplied in earnest. */
function randomMatrix(seed: number, shape: readonly number[]): Tensor {
  const values = new Float32Array(shape.reduce((a, b) => a * b, 1))
  for (let i = 0; i < values.length; i++) values[i] = 2 * hash(i, seed) - 1
  return tensor(values, { shape: [...shape] })
}

/** Why a product cannot be computed on this device; undefined when it can. */
function tooLarge({ limits }: WebGpuDevice['adapter'], { batch, m, k, n }: ProductCase): string | undefined {
  const bytes = 4 * batch * Math.max(m * k, k * n, m * n)
  const most = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize)
  return bytes > most ? `a matrix of ${bytes} bytes; this adapter binds ${most}` : undefined
}

/** The product at one row and column in float64, to see that what is timed is right. */
function entry(a: ArrayLike<number>, b: ArrayLike<number>, { m, k, n, layout }: ProductCase, i: number, j: number) {
  let sum = 0
  for (let s = 0; s < k; s++) {
    sum += (layout === 'TN' ? a[s * m + i] : a[i * k + s]) * (layout === 'NT' ? b[j * k + s] : b[s * n + j])
  }
  return sum
}

/** @throws Error when the product is wrong: sums of k products of values up to 1, each rounded to 2^-24 of the sum */
async function needRight(c: Tensor, a: Tensor, b: Tensor, given: ProductCase): Promise<void> {
  const [x, y, z] = [await a.data(), await b.data(), await c.data()]
  const { m, k, n } = given
  for (const [i, j] of [
    [0, 0],
    [m - 1, n - 1],
    [m >> 1, n >> 2],
  ]) {
    const expected = entry(x, y, given, i, j)
    const got = z[i * n + j]
    if (!(Math.abs(got - expected) <= k * 2 ** -24 * Math.sqrt(k) + 1e-5)) {
      throw new Error(`product ${given.row}: at ${i}, ${j} is ${got}, must be ${expected}`)
    }
  }
}

/** Measures one product, or says why it cannot be computed. */
export async function measureProduct(
  device: WebGpuDevice,
  given: ProductCase,
  round: number,
): Promise<ProductRecord | string> {
  const reason = tooLarge(device.adapter, given)
  if (reason) return reason
  const { batch, m, k, n, layout } = given
  const leading = batch > 1 ? [batch] : []
  const a = randomMatrix(1, [...leading, ...(layout === 'TN' ? [k, m] : [m, k])])
  const b = randomMatrix(2, [...leading, ...(layout === 'NT' ? [n, k] : [k, n])])
  const together = productsTogether(given, device.adapter.isSoftware)
  const options = { transposeA: layout === 'TN', transposeB: layout === 'NT' }
  const products = capture((x: Tensor, y: Tensor) => {
    let c = matmul(x, y, options)
    for (let i = 1; i < together; i++) {
      c.dispose()
      c = matmul(x, y, options)
    }
    return c
  })
  try {
    const first = products(a, b)
    await needRight(first, a, b, given)
    first.dispose()
    const run = async (replays: number): Promise<number> => {
      const start = performance.now()
      for (let i = 0; i < replays; i++) products(a, b).dispose()
      await device.finish()
      return performance.now() - start
    }
    const common = { engine: 'sluice', round, section: 'products', row: given.row } as const
    const record = (way: string, milliseconds: number): ProductRecord => ({
      ...common,
      way,
      milliseconds,
      tflops: productFlops(given) / milliseconds / 1e9,
    })
    await run(2)
    if (device.profiler?.isTiming) {
      const before = await device.profiler.table()
      await run(3)
      const kernels = difference(before, await device.profiler.table())
      return record('timestamps', kernels.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / (3 * together))
    }
    const replays = Math.max(1, Math.ceil((4 * ROUND) / (await run(4))))
    const times: number[] = []
    for (let i = 0; i < ROUNDS; i++) times.push(await run(replays))
    return record('captured', median(times) / replays / together)
  } finally {
    products.dispose()
    a.dispose()
    b.dispose()
  }
}
