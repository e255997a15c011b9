/** A tensor's place on the GPU. */
import type { DeviceBuffer, DType } from '../device.ts'
import type { Block } from './pool.ts'

export class GpuBuffer implements DeviceBuffer {
  readonly dtype: DType
  readonly length: number
  /** Changes when the host writes while unfinished commands still use the old block. */
  block: Block

  constructor(dtype: DType, length: number, block: Block) {
    this.dtype = dtype
    this.length = length
    this.block = block
  }
}
