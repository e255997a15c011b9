/** What the devices in host memory share: buffers that are typed arrays, counted, written and read at once. */
import type { Grid, Kernel } from '../../kernels/kernel.ts'
import { turnWhenDue } from '../turn.ts'
import {
  bytesPerElement,
  type Device,
  type DeviceBuffer,
  type DType,
  type FloatType,
  type LaunchArgument,
  type TypedArray,
  typedArray,
} from './device.ts'

export interface HostBuffer extends DeviceBuffer {
  /** The elements. Do not keep it: a device may move its memory. */
  readonly values: TypedArray
}

export abstract class HostDevice<Buffer extends HostBuffer = HostBuffer> implements Device {
  abstract readonly name: string
  abstract readonly floatType: FloatType
  #buffers = 0
  #bytes = 0

  protected abstract make(dtype: DType, length: number): Buffer
  /** The first elements of a buffer, sharing its memory. */
  protected abstract part(buffer: Buffer, length: number): Buffer
  /** Takes back what `make` gave; garbage collection does it unless a device has memory of its own. */
  protected free(_buffer: Buffer): void {}
  protected abstract run(kernel: Kernel, output: Buffer, grid: Grid, parameters: readonly (Buffer | number)[]): void

  allocate(dtype: DType, length: number): Buffer {
    const buffer = this.make(dtype, length)
    this.#buffers++
    this.#bytes += length * bytesPerElement(dtype)
    return buffer
  }

  release(buffer: DeviceBuffer): void {
    this.free(buffer as Buffer)
    this.#buffers--
    this.#bytes -= buffer.length * bytesPerElement(buffer.dtype)
  }

  write(buffer: DeviceBuffer, data: ArrayLike<number>): void {
    ;(buffer as Buffer).values.set(data)
  }

  readNow(buffer: DeviceBuffer): TypedArray {
    return (buffer as Buffer).values.slice()
  }

  async read(buffer: DeviceBuffer): Promise<TypedArray> {
    const values = this.readNow(buffer)
    await turnWhenDue()
    return values
  }

  launch(kernel: Kernel, output: DeviceBuffer, grid: Grid, parameters: readonly LaunchArgument[]): void {
    this.run(kernel, output as Buffer, grid, parameters as readonly (Buffer | number)[])
  }

  copy(from: DeviceBuffer, to: DeviceBuffer): void {
    ;(to as Buffer).values.set((from as Buffer).values.subarray(0, to.length))
  }

  view(buffer: DeviceBuffer, length: number): Buffer {
    return this.part(buffer as Buffer, length)
  }

  statistics() {
    return { buffers: this.#buffers, bytes: this.#bytes }
  }
}

/** A buffer with memory of its own. */
export function ownBuffer(dtype: DType, length: number): HostBuffer {
  return { dtype, length, values: typedArray(dtype, length) }
}

/** Its first elements, as a buffer on the same memory. */
export function ownPart({ dtype, values }: HostBuffer, length: number): HostBuffer {
  return { dtype, length, values: values.subarray(0, length) }
}

/** Launch parameters with the buffers as typed arrays. */
export function valuesOf(parameters: readonly (HostBuffer | number)[]): (TypedArray | number)[] {
  return parameters.map((p) => (typeof p === 'number' ? p : p.values))
}
