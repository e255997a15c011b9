/** What tests of row kernels share: values from a seed, a device that hides a feature, and launches on both variants. */
import type { FusedKernel, Kernel } from '../../kernels/kernel.ts'
import type { Encoder, FusedLauncher, Launcher } from '../../kernels/tuned/wgsl/program.ts'
import type { TypedArray } from '../../src/device/device.ts'
import type { GpuBuffer } from '../../src/device/webgpu/buffer.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { fusedKernels, tunedKernels } from '../../src/device/webgpu/tuned.ts'
import { grad, scope, type Tensor, tensor } from '../../src/index.ts'
import type { Parameters } from './launch.ts'

/** Unit roundoff of float32. */
export const U = 2 ** -24

/** `length` float32 values in [-size, size], the same for the same seed. */
export function values(seed: number, length: number, size = 1): Float32Array {
  let state = (seed * 2654435761 + 1) >>> 0
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state / 2 ** 31 - 1) * size
  })
}

/** Variants of the kernels that the device can run: with its subgroups, and without. */
export function variants(gpu: WebGpuDevice): ReadonlySet<string>[] {
  const none: ReadonlySet<string> = new Set()
  return gpu.features.has('subgroups') ? [none, new Set(['subgroups'])] : [none]
}

/** One launch by a launcher that is told of `features` only; results hold NaN before. */
async function run(
  gpu: WebGpuDevice,
  features: ReadonlySet<string>,
  lengths: readonly number[],
  parameters: Parameters,
  body: (encoder: Encoder<GpuBuffer>, outputs: GpuBuffer[], given: (GpuBuffer | number)[]) => void,
): Promise<TypedArray[]> {
  const made: GpuBuffer[] = []
  const allocate = (length: number, data: ArrayLike<number>) => {
    const buffer = gpu.allocate('float32', length)
    gpu.write(buffer, data)
    made.push(buffer)
    return buffer
  }
  const soiled = (length: number) => allocate(length, new Float32Array(length).fill(Number.NaN))
  const given = parameters.map((p) => (typeof p === 'number' ? p : allocate(p.length, p)))
  const outputs = lengths.map(soiled)
  const encoder: Encoder<GpuBuffer> = {
    features,
    precision: gpu.precision,
    storageBuffers: gpu.storageBuffers,
    dispatch: (...dispatch) => gpu.dispatch(...dispatch),
    scratch: soiled,
  }
  body(encoder, outputs, given)
  const results = await Promise.all(outputs.map((output) => gpu.read(output)))
  for (const buffer of made) gpu.release(buffer)
  return results
}

export async function tunedCells(
  gpu: WebGpuDevice,
  features: ReadonlySet<string>,
  kernel: Kernel,
  grid: readonly [number, number, number],
  parameters: Parameters,
): Promise<TypedArray> {
  const launcher: Launcher = tunedKernels.get(kernel)!
  const length = grid[0] * grid[1] * grid[2]
  const [cells] = await run(gpu, features, [length], parameters, (encoder, [output], given) =>
    launcher(encoder, output, grid, given),
  )
  return cells
}

export function fusedCells(
  gpu: WebGpuDevice,
  features: ReadonlySet<string>,
  kernel: FusedKernel,
  lengths: readonly number[],
  parameters: Parameters,
): Promise<TypedArray[]> {
  const launcher: FusedLauncher = fusedKernels.get(kernel)!
  return run(gpu, features, lengths, parameters, (encoder, outputs, given) => launcher(encoder, outputs, given))
}

/** Fails unless each value is within its bound; equal values agree, and so do two NaN. */
export function expectWithin(
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
  bound: (index: number) => number,
  what: string,
): void {
  if (got.length !== expected.length) throw new Error(`${what}: ${got.length} values, expected ${expected.length}`)
  for (let i = 0; i < got.length; i++) {
    if (got[i] === expected[i] || (Number.isNaN(got[i]) && Number.isNaN(expected[i]))) continue
    const allowed = bound(i)
    if (!(Math.abs(got[i] - expected[i]) <= allowed)) {
      throw new Error(`${what}: value ${i} is ${got[i]}, expected ${expected[i]} within ${allowed}`)
    }
  }
}

type Constant = (data: Float32Array, shape: number[]) => Tensor

/**
 * Runs a function of tensors with its gradients, and the gradients of the sum of their squares, on webgpu and on the
 * reference device, and compares. Returns the labels of what webgpu launched: without second order, and with.
 */
export async function expectSameOperation(
  gpu: WebGpuDevice,
  inputs: readonly (readonly [data: Float32Array, shape: number[]])[],
  body: (first: Tensor, constant: Constant, ...rest: Tensor[]) => Tensor,
): Promise<{ first: string[]; second: string[] }> {
  const run = async (device: string, order: 1 | 2): Promise<number[][]> => {
    const results = scope(() => {
      const constant: Constant = (data, shape) => tensor(data, { shape, device })
      const given = inputs.map(([data, shape]) => constant(data, shape))
      const value = (...[first, ...rest]: Tensor[]) => body(first, constant, ...rest)
      const gradients = (...of: Tensor[]): Tensor[] => [grad(value)(...of)].flat()
      if (order === 1) return [value(...given), ...gradients(...given)]
      const squares = (...of: Tensor[]) =>
        gradients(...of)
          .map((g) => g.square().sum())
          .reduce((a, b) => a.add(b))
      return [grad(squares)(...given)].flat()
    })
    const read = await Promise.all(results.map(async (t) => Array.from(await t.data())))
    for (const t of results) t.dispose()
    return read
  }
  const labels = { first: [] as string[], second: [] as string[] }
  const dispatched = gpu.commands.dispatch.bind(gpu.commands)
  for (const [order, list] of [
    [1, labels.first],
    [2, labels.second],
  ] as const) {
    gpu.commands.dispatch = (dispatch) => {
      list.push(dispatch.label)
      dispatched(dispatch)
    }
    const got = await run('webgpu', order)
    gpu.commands.dispatch = dispatched
    const expected = await run('reference', order)
    // A few hundred float32 roundings of values below 10, in sums that cancel little: 300 * 2^-24 * 10 = 2e-4.
    got.forEach((g, i) => {
      expectWithin(g, expected[i], () => 2e-4, `order ${order}, result ${i}`)
    })
  }
  return labels
}
