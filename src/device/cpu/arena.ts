/**
 * One WebAssembly memory for all buffers of the cpu device, handed out by size class.
 *
 * A released block goes to its class's free list and is taken from there first, so a training step that repeats its
 * shapes stops growing after the first. Before memory grows although much of it is free, neighbours among the free
 * blocks become runs, of which blocks of other sizes are cut: a captured step lies where its recording lay.
 */
import { mostPages } from '../../../kernels/tuned/wasm/assembler.ts'
import { DeviceFault } from '../../errors.ts'
import { sizeClassNumber, sizeOfClass } from '../size-class.ts'

const PAGE = 65536
/** WebAssembly's 32-bit memory ends here. */
const MAXIMUM_BYTES = mostPages * PAGE
const ALIGNMENT = 16
/** Smaller blocks are not joined: they would be many, and give little. */
const LEAST_JOINED = 4096

/** Free bytes from an offset on. */
interface Run {
  offset: number
  size: number
}

export class Arena {
  readonly memory: WebAssembly.Memory
  /** The memory's limit, which one that threads share must name; undefined where it is not shared. */
  readonly maximumPages: number | undefined
  /** Offsets of the blocks that were given back, by the number of their class. */
  readonly #free: number[][] = []
  /** First byte never handed out; the first cells stay unused, so that no block starts at 0. */
  #top = ALIGNMENT
  /** Free bytes that are no block of a class. */
  #runs: Run[] = []
  #freeBytes = 0
  /** Given back since blocks were joined last. */
  #givenBytes = 0

  /** @param isShared whether worker threads use the memory too */
  constructor(isShared = false) {
    this.maximumPages = isShared ? mostPages : undefined
    this.memory = new WebAssembly.Memory(isShared ? { initial: 16, maximum: mostPages, shared: true } : { initial: 16 })
  }

  /** Bytes from the start that were handed out at some time. */
  get extent(): number {
    return this.#top
  }

  /** Those of them that are free. */
  get freeBytes(): number {
    return this.#freeBytes
  }

  /** Byte offset of a block of at least `bytes`, 16-aligned, contents unspecified. */
  take(bytes: number): number {
    const number = sizeClassNumber(bytes)
    const size = sizeOfClass(number)
    const reused = this.#free[number]?.pop() ?? this.#cut(size)
    if (reused !== undefined) {
      this.#freeBytes -= size
      return reused
    }
    const offset = this.#top
    const end = offset + size
    // Kernels read vectors that begin inside a block and end past it: there is one more behind the last block.
    if (end + ALIGNMENT > this.memory.buffer.byteLength) this.#grow(end + ALIGNMENT, bytes)
    this.#top = end
    return offset
  }

  give(offset: number, bytes: number): void {
    const number = sizeClassNumber(bytes)
    while (this.#free.length <= number) this.#free.push([])
    this.#free[number].push(offset)
    const size = sizeOfClass(number)
    this.#freeBytes += size
    this.#givenBytes += size
  }

  /** A block out of the smallest run that holds it. */
  #cut(size: number): number | undefined {
    let best = this.#smallestRun(size)
    if (!best && this.#isWorthJoining(size)) {
      this.#join()
      best = this.#smallestRun(size)
    }
    if (!best) return undefined
    const { offset } = best
    best.offset += size
    best.size -= size
    if (best.size === 0) this.#runs.splice(this.#runs.indexOf(best), 1)
    return offset
  }

  #smallestRun(size: number): Run | undefined {
    let best: Run | undefined
    for (const run of this.#runs) if (run.size >= size && run.size < (best?.size ?? Infinity)) best = run
    return best
  }

  /** A quarter of the memory is free, and enough of it fell free since the last time that joining may find more. */
  #isWorthJoining(size: number): boolean {
    return size >= LEAST_JOINED && this.#freeBytes >= this.#top / 4 && this.#givenBytes >= this.#top / 8
  }

  /** Makes runs of free blocks that lie side by side. */
  #join(): void {
    this.#givenBytes = 0
    const free = this.#runs
    this.#free.forEach((offsets, number) => {
      const size = sizeOfClass(number)
      if (size < LEAST_JOINED) return
      for (const offset of offsets) free.push({ offset, size })
      offsets.length = 0
    })
    free.sort((a, b) => a.offset - b.offset)
    this.#runs = []
    for (const run of free) {
      const last = this.#runs.at(-1)
      if (last && last.offset + last.size === run.offset) last.size += run.size
      else this.#runs.push(run)
    }
  }

  #grow(end: number, asked: number): void {
    const have = this.memory.buffer.byteLength
    // Grow by half at least, so that growing stays rare; near the end of the address space, by what is needed.
    const wanted = Math.min(MAXIMUM_BYTES, Math.max(end, have + have / 2))
    for (const target of end > MAXIMUM_BYTES ? [] : [wanted, end]) {
      try {
        this.memory.grow(Math.ceil((target - have) / PAGE))
        return
      } catch {
        // A failed grow leaves the memory as it was; the smaller target is tried next.
      }
    }
    throw new DeviceFault(
      'cpu device',
      `out of memory: asked for ${asked} bytes with ${have} bytes reserved; the limit of WebAssembly is ${MAXIMUM_BYTES}. ` +
        'Run steps inside scope(() => …), use a smaller batch, or checkpoint()',
    )
  }
}
