/**
 * GPU buffers, reused by size class.
 *
 * Every tensor has a GPU buffer of its own: WebGPU refuses a dispatch that reads one part of a buffer and writes another.
 * A released block is taken again by the next allocation of its class. That is safe without waiting, because commands
 * take effect in the order in which they were made.
 */
import { DeviceFault } from '../../errors.ts'
import { sizeClass } from '../size-class.ts'
import type { Faults } from './faults.ts'

export interface Block {
  readonly gpu: GPUBuffer
  /** The class's size. */
  readonly bytes: number
  /** Names the block in cached bind groups. */
  readonly id: number
  /** Number of the last batch of commands that uses it; see `takeIdle`. */
  lastBatch: number
}

/** Storage that can be copied from, copied to, and written from the host. */
const STORAGE_COPY = 0x80 | 0x4 | 0x8

export class Pool {
  readonly #device: GPUDevice
  readonly #free = new Map<number, Block[]>()
  readonly #faults: Faults
  readonly #beforeDestroy: () => void
  #nextId = 1
  #heldBytes = 0
  #freeBytes = 0
  #blocks = 0

  /**
   * @param beforeDestroy called before free blocks are destroyed: must submit the commands that still use them, and forget
   *   what refers to them
   */
  constructor(device: GPUDevice, faults: Faults, beforeDestroy: () => void) {
    this.#device = device
    this.#faults = faults
    this.#beforeDestroy = beforeDestroy
  }

  /** Bytes of all blocks, of those that are free, and their number. */
  get statistics(): { heldBytes: number; freeBytes: number; blocks: number } {
    return { heldBytes: this.#heldBytes, freeBytes: this.#freeBytes, blocks: this.#blocks }
  }

  /** A block of at least `bytes`, contents unspecified. */
  take(bytes: number): Block {
    return this.#reuse(this.#free.get(this.#class(bytes))?.pop()) ?? this.#make(bytes)
  }

  /**
   * A block that no command of the unfinished batch uses: the host's writes take effect before that batch, so a block
   * that it still reads must not be written.
   */
  takeIdle(bytes: number, batch: number): Block {
    const list = this.#free.get(this.#class(bytes))
    // Blocks come back at the end, so the first is the one that has rested longest.
    return this.#reuse(list?.[0] && list[0].lastBatch < batch ? list.shift() : undefined) ?? this.#make(bytes)
  }

  give(block: Block): void {
    this.#freeBytes += block.bytes
    const list = this.#free.get(block.bytes)
    if (list) list.push(block)
    else this.#free.set(block.bytes, [block])
  }

  /** Destroys all free blocks. @returns their bytes */
  trim(): number {
    this.#beforeDestroy()
    const freed = this.#freeBytes
    for (const list of this.#free.values()) {
      for (const block of list) {
        block.gpu.destroy()
        this.#heldBytes -= block.bytes
        this.#blocks--
      }
    }
    this.#free.clear()
    this.#freeBytes = 0
    return freed
  }

  #reuse(block: Block | undefined): Block | undefined {
    if (block) this.#freeBytes -= block.bytes
    return block
  }

  /** The most bytes of one buffer, in whole floats. */
  get #largest(): number {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.limits
    return 4 * Math.floor(Math.min(maxBufferSize, maxStorageBufferBindingSize) / 4)
  }

  /** The size of the blocks that hold `bytes`: what fits the adapter is not refused for being rounded up. */
  #class(bytes: number): number {
    return Math.max(bytes, Math.min(sizeClass(bytes), this.#largest))
  }

  #make(asked: number): Block {
    const bytes = this.#class(asked)
    const largest = this.#largest
    if (bytes > largest) {
      throw new DeviceFault(
        'webgpu device',
        `out of memory: asked for ${asked} bytes; one buffer of this adapter holds at most ${largest} (${this.#held()}); use smaller tensors`,
      )
    }
    this.#device.pushErrorScope('out-of-memory')
    const gpu = this.#device.createBuffer({ size: bytes, usage: STORAGE_COPY })
    const held = this.#held()
    this.#faults.watch(
      this.#device.popErrorScope().then((error) => {
        if (!error) return undefined
        return `out of memory: asked for ${asked} bytes (${held}; freed now, too late for this run: ${this.trim()}); use a smaller batch or model`
      }),
    )
    this.#heldBytes += bytes
    this.#blocks++
    return { gpu, bytes, id: this.#nextId++, lastBatch: 0 }
  }

  #held(): string {
    return `held: ${this.#heldBytes} bytes in ${this.#blocks} buffers, of these free for reuse: ${this.#freeBytes}`
  }
}
