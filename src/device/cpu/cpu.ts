/**
 * The cpu device: float32 buffers in one WebAssembly memory. A launch runs a tuned kernel where there is one
 * (`tuned.ts`), and the plain kernel's own loop where there is none.
 */
import type { Grid, Kernel } from '../../../kernels/kernel.ts'
import { bytesPerElement, type DType, type TypedArray, typedArray } from '../device.ts'
import { type HostBuffer, HostDevice, valuesOf } from '../host.ts'
import { runPlain } from '../plain.ts'
import { Arena } from './arena.ts'
import { type TunedKernel, tunedKernels } from './tuned.ts'

export class CpuBuffer implements HostBuffer {
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

export class CpuDevice extends HostDevice<CpuBuffer> {
  readonly name = 'cpu'
  readonly floatType = 'float32'
  readonly arena = new Arena()
  readonly #tuned: ReadonlyMap<Kernel, TunedKernel> = tunedKernels(this.arena)

  protected make(dtype: DType, length: number): CpuBuffer {
    return new CpuBuffer(dtype, length, this.arena.take(length * bytesPerElement(dtype)), this.arena.memory)
  }

  protected part({ dtype, offset }: CpuBuffer, length: number): CpuBuffer {
    return new CpuBuffer(dtype, length, offset, this.arena.memory)
  }

  protected override free(buffer: CpuBuffer): void {
    this.arena.give(buffer.offset, buffer.length * bytesPerElement(buffer.dtype))
  }

  protected run(kernel: Kernel, output: CpuBuffer, grid: Grid, parameters: readonly (CpuBuffer | number)[]): void {
    const tuned = this.#tuned.get(kernel)
    if (tuned) tuned(output, grid, parameters)
    else runPlain(kernel, output.values, grid, valuesOf(parameters))
  }
}
