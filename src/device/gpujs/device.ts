/**
 * The gpujs device: float32 buffers in host memory, every launch a plain kernel run by gpu.js's own WebAssembly.
 *
 * It is there to be compared with: a kernel that runs here can be translated by gpu.js. It is slow, since gpu.js copies
 * every argument and compiles anew for every size.
 */
import type { Grid, Kernel } from '../../../kernels/kernel.ts'
import { SluiceError } from '../../errors.ts'
import {
  bytesPerElement,
  type Device,
  type DeviceBuffer,
  type DType,
  type LaunchArgument,
  type TypedArray,
  typedArray,
} from '../device.ts'
import { buildKernel, type GpujsKernel, type GpujsMode } from './gpujs.ts'

/** gpu.js reads every array as float32, which holds integers exactly up to here. */
const LARGEST_INTEGER = 2 ** 24

class GpujsBuffer implements DeviceBuffer {
  readonly dtype: DType
  readonly length: number
  readonly values: TypedArray
  constructor(dtype: DType, length: number) {
    this.dtype = dtype
    this.length = length
    this.values = typedArray(dtype, length)
  }
}

export class GpujsDevice implements Device {
  readonly name = 'gpujs'
  readonly floatType = 'float32'
  readonly #mode: GpujsMode
  readonly #built = new Map<Kernel, GpujsKernel>()
  #buffers = 0
  #bytes = 0

  constructor(mode: GpujsMode = 'webasm') {
    this.#mode = mode
  }

  allocate(dtype: DType, length: number): GpujsBuffer {
    this.#buffers++
    this.#bytes += length * bytesPerElement(dtype)
    return new GpujsBuffer(dtype, length)
  }

  release(buffer: DeviceBuffer): void {
    this.#buffers--
    this.#bytes -= buffer.length * bytesPerElement(buffer.dtype)
  }

  /** @throws SluiceError for an int32 beyond 2^24, which gpu.js would round */
  write(buffer: DeviceBuffer, data: ArrayLike<number>): void {
    if (buffer.dtype === 'int32') {
      const at = Array.prototype.findIndex.call(data, (value: number) => Math.abs(value) > LARGEST_INTEGER)
      if (at >= 0) {
        throw new SluiceError(
          'gpujs device',
          `int32 element ${at} is ${data[at]}; gpu.js holds integers as float32, exact to 2^24 = ${LARGEST_INTEGER}; use another device`,
        )
      }
    }
    ;(buffer as GpujsBuffer).values.set(data)
  }

  readNow(buffer: DeviceBuffer): TypedArray {
    return (buffer as GpujsBuffer).values.slice()
  }

  read(buffer: DeviceBuffer): Promise<TypedArray> {
    return Promise.resolve(this.readNow(buffer))
  }

  launch(kernel: Kernel, output: DeviceBuffer, grid: Grid, parameters: readonly LaunchArgument[]): void {
    let run = this.#built.get(kernel)
    if (!run) this.#built.set(kernel, (run = buildKernel(kernel, this.#mode)))
    const values = parameters.map((p) => (typeof p === 'number' ? p : (p as GpujsBuffer).values))
    run((output as GpujsBuffer).values, grid, values)
  }

  statistics() {
    return { buffers: this.#buffers, bytes: this.#bytes }
  }
}
