/** Launches of single kernels on the webgpu device, over memory that held other numbers before. */
import type { FusedKernel, Grid, Kernel } from '../../kernels/kernel.ts'
import type { DType, TypedArray } from '../../src/device/device.ts'
import { runPlain } from '../../src/device/plain.ts'
import { device } from '../../src/device/registry.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'

export type Parameters = readonly (Float64Array | Float32Array | Int32Array | number)[]

/** The webgpu device of the adapter that the tests run on. */
export async function openWebgpu(): Promise<WebGpuDevice> {
  return (await device('webgpu')) as WebGpuDevice
}

function upload(gpu: WebGpuDevice, parameters: Parameters) {
  return parameters.map((p) => {
    if (typeof p === 'number') return p
    const buffer = gpu.allocate(p instanceof Int32Array ? 'int32' : 'float32', p.length)
    gpu.write(buffer, p)
    return buffer
  })
}

function soiled(gpu: WebGpuDevice, dtype: DType, length: number) {
  const buffer = gpu.allocate(dtype, length)
  gpu.write(buffer, new Float32Array(length).fill(dtype === 'int32' ? -7 : Number.NaN))
  return buffer
}

/** One launch; the output is of `dtype`. */
export async function onWebgpu(
  gpu: WebGpuDevice,
  kernel: Kernel,
  grid: Grid,
  parameters: Parameters,
  dtype: DType = 'float32',
): Promise<TypedArray> {
  const buffers = upload(gpu, parameters)
  const output = soiled(gpu, dtype, grid[0] * grid[1] * grid[2])
  gpu.launch(kernel, output, grid, buffers)
  const result = await gpu.read(output)
  for (const buffer of [...buffers, output]) if (typeof buffer !== 'number') gpu.release(buffer)
  return result
}

/** One launch of a fused kernel with new results of the given lengths. */
export async function fusedOnWebgpu(
  gpu: WebGpuDevice,
  kernel: FusedKernel,
  lengths: readonly number[],
  parameters: Parameters,
): Promise<TypedArray[]> {
  const buffers = upload(gpu, parameters)
  const outputs = lengths.map((length) => soiled(gpu, 'float32', length))
  gpu.launchFused(kernel, outputs, buffers)
  const results = await Promise.all(outputs.map((output) => gpu.read(output)))
  for (const buffer of [...buffers, ...outputs]) if (typeof buffer !== 'number') gpu.release(buffer)
  return results
}

/** The plain kernel's cells in float64. */
export function plainly(kernel: Kernel, grid: Grid, parameters: Parameters): Float64Array {
  const output = new Float64Array(grid[0] * grid[1] * grid[2])
  runPlain(kernel, output, grid, [...parameters])
  return output
}
