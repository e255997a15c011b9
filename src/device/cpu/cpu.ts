/**
 * The cpu device: float32 buffers in one WebAssembly memory. A launch runs a tuned kernel where there is one
 * (`tuned.ts`), and the plain kernel's own loop where there is none.
 */
import type { Grid, Kernel } from '../../../kernels/kernel.ts'
import {
  bytesPerElement,
  type Device,
  type DeviceBuffer,
  type DType,
  type LaunchArgument,
  type TypedArray,
  typedArray,
} from '../device.ts'
import { runPlain } from '../plain.ts'
import { Arena } from './arena.ts'
import { type TunedKernel, tunedKernels } from './tuned.ts'

export class CpuBuffer implements DeviceBuffer {
  readonly dtype: DType
  readonly length: number
  /** Byte offset in the arena's memory. */
  readonly offset: number
  readonly #memory: WebAssembly.Memory
  #view: TypedArray | undefined

  constructor(dtype: DType, length: number, offset: number, memory: WebAssembly.Memory) {
    this.dtype = dtype
    this.length = length
    this.offset = offset
    this.#memory = memory
  }

  /** The elements. Do not keep it: growing the memory detaches it. */
  get values(): TypedArray {
    if (this.#view?.buffer !== this.#memory.buffer) {
      this.#view = typedArray(this.dtype, this.length, this.#memory.buffer, this.offset)
    }
    return this.#view
  }
}

export class CpuDevice implements Device {
  readonly name = 'cpu'
  readonly floatType = 'float32'
  readonly arena = new Arena()
  readonly #tuned: ReadonlyMap<Kernel, TunedKernel> = tunedKernels(this.arena)
  #buffers = 0
  #bytes = 0

  allocate(dtype: DType, length: number): CpuBuffer {
    const bytes = length * bytesPerElement(dtype)
    const offset = this.arena.take(bytes)
    this.#buffers++
    this.#bytes += bytes
    return new CpuBuffer(dtype, length, offset, this.arena.memory)
  }

  release(buffer: DeviceBuffer): void {
    const bytes = buffer.length * bytesPerElement(buffer.dtype)
    this.arena.give((buffer as CpuBuffer).offset, bytes)
    this.#buffers--
    this.#bytes -= bytes
  }

  write(buffer: DeviceBuffer, data: ArrayLike<number>): void {
    ;(buffer as CpuBuffer).values.set(data)
  }

  readNow(buffer: DeviceBuffer): TypedArray {
    return (buffer as CpuBuffer).values.slice()
  }

  read(buffer: DeviceBuffer): Promise<TypedArray> {
    return Promise.resolve(this.readNow(buffer))
  }

  launch(kernel: Kernel, output: DeviceBuffer, grid: Grid, parameters: readonly LaunchArgument[]): void {
    const tuned = this.#tuned.get(kernel)
    if (tuned) {
      tuned(output as CpuBuffer, grid, parameters as readonly (CpuBuffer | number)[])
      return
    }
    const values = parameters.map((p) => (typeof p === 'number' ? p : (p as CpuBuffer).values))
    runPlain(kernel, (output as CpuBuffer).values, grid, values)
  }

  statistics() {
    return { buffers: this.#buffers, bytes: this.#bytes }
  }
}
