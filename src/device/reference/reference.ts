/**
 * The reference device: plain kernels run directly in float64. It is the oracle of every gradient check, and is meant to
 * be read, not to be fast.
 */
import type { Grid, Kernel } from '../../../kernels/kernel.ts'
import {
  bytesPerElement,
  type Device,
  type DeviceBuffer,
  type DType,
  type LaunchArgument,
  typedArray,
} from '../device.ts'
import { runPlain } from '../plain.ts'

class HostBuffer implements DeviceBuffer {
  readonly dtype: DType
  readonly length: number
  readonly values: ReturnType<typeof typedArray>
  constructor(dtype: DType, length: number) {
    this.dtype = dtype
    this.length = length
    this.values = typedArray(dtype, length)
  }
}

export class ReferenceDevice implements Device {
  readonly name = 'reference'
  readonly floatType = 'float64'
  #buffers = 0
  #bytes = 0

  allocate(dtype: DType, length: number): HostBuffer {
    this.#buffers++
    this.#bytes += length * bytesPerElement(dtype)
    return new HostBuffer(dtype, length)
  }

  release(buffer: DeviceBuffer): void {
    this.#buffers--
    this.#bytes -= buffer.length * bytesPerElement(buffer.dtype)
  }

  write(buffer: DeviceBuffer, data: ArrayLike<number>): void {
    ;(buffer as HostBuffer).values.set(data)
  }

  readNow(buffer: DeviceBuffer) {
    return (buffer as HostBuffer).values.slice()
  }

  read(buffer: DeviceBuffer) {
    return Promise.resolve(this.readNow(buffer))
  }

  launch(kernel: Kernel, output: DeviceBuffer, grid: Grid, parameters: readonly LaunchArgument[]): void {
    const values = parameters.map((p) => (typeof p === 'number' ? p : (p as HostBuffer).values))
    runPlain(kernel, (output as HostBuffer).values, grid, values)
  }

  statistics() {
    return { buffers: this.#buffers, bytes: this.#bytes }
  }
}
