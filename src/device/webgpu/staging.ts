/** Reading: copies into buffers that the host can map, which are kept and used again. */
import { sizeClass } from '../size-class.ts'
import type { Commands } from './commands.ts'
import type { Block } from './pool.ts'

const MAP_READ_COPY_DESTINATION = 0x1 | 0x8
const MAP_READ = 1

/** Kept for reuse; larger ones are destroyed after their read. */
const LARGEST_KEPT = 1 << 24

export class Staging {
  readonly #device: GPUDevice
  readonly #free = new Map<number, GPUBuffer[]>()
  #submitting: Promise<void> | undefined

  constructor(device: GPUDevice) {
    this.#device = device
  }

  /** The first `length` floats of a block, after every command made before this call. */
  async read(commands: Commands, block: Block, length: number): Promise<Float32Array<ArrayBuffer>> {
    const bytes = 4 * length
    const size = sizeClass(bytes)
    const staging = this.#free.get(size)?.pop() ?? this.#device.createBuffer({ size, usage: MAP_READ_COPY_DESTINATION })
    // Encoded now, so that the block may be released at once; reads made in one turn share a submit.
    commands.copyOut(block, staging, bytes)
    this.#submitting ??= Promise.resolve().then(() => {
      this.#submitting = undefined
      commands.flush()
    })
    let values: Float32Array<ArrayBuffer>
    try {
      await this.#submitting
      await staging.mapAsync(MAP_READ, 0, bytes)
      values = new Float32Array(staging.getMappedRange(0, bytes).slice(0))
      staging.unmap()
    } catch (error) {
      staging.destroy()
      throw error
    }
    if (size > LARGEST_KEPT) staging.destroy()
    else if (this.#free.has(size)) this.#free.get(size)!.push(staging)
    else this.#free.set(size, [staging])
    return values
  }
}
