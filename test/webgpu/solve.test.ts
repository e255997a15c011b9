/** Triangular systems on WebGPU in one launch, against substitution in float64 and against the row kernel's composition. */
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { solveUnitLowerAll } from '../../kernels/fused-solve.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { grad, scope, tensor } from '../../src/index.ts'
import { solveUnitLower } from '../../src/ops/matmul.ts'
import { describeWebgpu } from './adapter.ts'
import { fusedOnWebgpu, openWebgpu } from './launch.ts'

let gpu: WebGpuDevice

interface System {
  readonly batch: number
  readonly rows: number
  readonly columns: number
  readonly transpose: boolean
  readonly a: Float32Array
  readonly b: Float32Array
}

/** Entries of A, also those on and above the diagonal, which are not read, of size at most 1 / rows; of B at most 1. */
function system(seed: number, [batch, rows, columns]: readonly number[], transpose: boolean): System {
  let state = seed >>> 0
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  }
  const a = Float32Array.from({ length: batch * rows * rows }, () => next() / rows)
  const b = Float32Array.from({ length: batch * rows * columns }, next)
  return { batch, rows, columns, transpose, a, b }
}

function solved({ batch, rows: n, columns, transpose, a, b }: System): Float64Array {
  const x = Float64Array.from(b)
  for (let z = 0; z < batch; z++) {
    for (let step = 0; step < n; step++) {
      const i = transpose ? n - 1 - step : step
      for (let before = 0; before < step; before++) {
        const j = transpose ? n - 1 - before : before
        const entry = transpose ? a[(z * n + j) * n + i] : a[(z * n + i) * n + j]
        for (let c = 0; c < columns; c++) x[(z * n + i) * columns + c] -= entry * x[(z * n + j) * columns + c]
      }
    }
  }
  return x
}

/**
 * The computed X solves a system whose matrix differs by at most gamma |L|, gamma = n u / (1 - n u), u = 2^-24 (Higham
 * 2002, theorem 8.5). With entries up to 1 / n, the norm of L is at most 2 and that of its inverse at most (1 + 1/n)^n < e,
 * so that |X| < e, and the error is below e gamma 2 e = 2 e^2 gamma; 1.01 covers the higher orders.
 */
const bound = (n: number) => 1.01 * 2 * Math.E ** 2 * n * 2 ** -24

async function check(given: System): Promise<void> {
  const { batch, rows, columns, transpose, a, b } = given
  const [x] = await fusedOnWebgpu(gpu, solveUnitLowerAll, [b.length], [a, b, batch, rows, columns, transpose ? 1 : 0])
  const expected = solved(given)
  const errors = Array.from(x, (value, i) => Math.abs(value - expected[i]))
  expect(Math.max(...errors)).toBeLessThanOrEqual(bound(rows))
}

describeWebgpu('solveUnitLower', () => {
  beforeAll(async () => {
    gpu = await openWebgpu()
  })

  test('is substitution, within its rounding', async () => {
    const size = (max: number) => fc.integer({ min: 1, max })
    const sizes = fc.oneof(
      { weight: 4, arbitrary: fc.tuple(size(3), size(40), size(20)) },
      { weight: 1, arbitrary: fc.tuple(size(2), size(90), size(70)) },
    )
    await fc.assert(
      fc.asyncProperty(fc.nat(), sizes, fc.boolean(), (seed, shape, transpose) =>
        check(system(seed, shape, transpose)),
      ),
      { numRuns: 200 },
    )
  })

  test.each([false, true])('with many blocks of rows and columns, transposed %s', async (transpose) => {
    await check(system(3, [2, 150, 130], transpose))
  })

  test('is what the operation runs, forward and backward', async () => {
    const { a, b } = system(11, [2, 20, 6], false)
    const run = async (device: string) => {
      const [A, B] = [tensor(a, { shape: [2, 20, 20], device }), tensor(b, { shape: [2, 20, 6], device })]
      const gradients = scope(() => grad((p, q) => solveUnitLower(p, q).square().sum())(A, B))
      const values = await Promise.all(gradients.map((t) => t.data()))
      for (const t of [A, B, ...gradients]) t.dispose()
      return values
    }
    const dispatched = gpu.commands.dispatch.bind(gpu.commands)
    const labels: string[] = []
    gpu.commands.dispatch = (dispatch) => {
      labels.push(dispatch.label)
      dispatched(dispatch)
    }
    const got = await run('webgpu')
    gpu.commands.dispatch = dispatched
    expect(labels.filter((label) => label.startsWith('solveUnitLower'))).toEqual(new Array(2).fill('solveUnitLowerAll'))
    const expected = await run('cpu')
    // Two solutions and a product of 6 terms: each within twice its bound, magnified by at most 2 e^2 = 15 and 2 e 6 = 33.
    got.forEach((values, i) => {
      values.forEach((value, j) => {
        expect(Math.abs(value - expected[i][j])).toBeLessThanOrEqual(33 * 2 * bound(20))
      })
    })
  })

  test('leaves no buffers behind', () => {
    expect(gpu.statistics()).toEqual({ buffers: 0, bytes: 0 })
  })
})
