/** Memory that kernels use beside their buffers: for the time of one launch, or of one call on one thread. It only grows. */

import type { Workspace } from '../../../kernels/tuned/wasm/task.ts'
import type { Arena } from './arena.ts'
import type { ScratchMemory } from './pool.ts'

const ALIGNMENT = 16

/** Gives out pieces one after the other, starting over at every `start`, and tells how much all of them took. */
export class Pieces implements Workspace {
  bytes = 0
  #at = 0

  /** @param at byte offset of the first piece */
  start(at: number): this {
    this.#at = at
    this.bytes = 0
    return this
  }

  /** All of them, in bytes of the memory. */
  get extent(): readonly [number, number] {
    return [this.#at, this.#at + this.bytes]
  }

  floats(length: number): number {
    const offset = this.#at + this.bytes
    this.bytes += Math.ceil((4 * length) / ALIGNMENT) * ALIGNMENT
    return offset
  }
}

/** A block of the arena that is exchanged for a larger one when more is asked for. */
class GrowingBlock {
  readonly #arena: Arena
  #offset = 0
  #bytes = 0

  constructor(arena: Arena) {
    this.#arena = arena
  }

  take(bytes: number): number {
    if (bytes > this.#bytes) {
      // Taken before the old one is given back: when memory runs out, the old one is still ours.
      const offset = this.#arena.take(bytes)
      if (this.#bytes > 0) this.#arena.give(this.#offset, this.#bytes)
      this.#offset = offset
      this.#bytes = bytes
    }
    return this.#offset
  }
}

export class Room {
  readonly #scratch: GrowingBlock
  readonly #shared: GrowingBlock
  readonly #pieces = new Pieces()

  constructor(arena: Arena) {
    this.#scratch = new GrowingBlock(arena)
    this.#shared = new GrowingBlock(arena)
  }

  /** Scratch memory of a thread's call. */
  readonly scratch: ScratchMemory = (bytes, threads) => this.#scratch.take(bytes * threads)

  /**
   * The tasks of a launch. Their launcher is asked twice where it takes room of the launch's own: once to learn how much.
   */
  tasks<T>(launch: (workspace: Workspace) => T): T {
    const pieces = this.#pieces.start(0)
    const tasks = launch(pieces)
    return pieces.bytes === 0 ? tasks : launch(pieces.start(this.#shared.take(pieces.bytes)))
  }
}
