/**
 * One WebAssembly memory for all buffers of the cpu device, handed out by size class.
 *
 * A released block goes to its class's free list and is taken from there first, so a training step that repeats its
 * shapes stops growing after the first.
 */
import { mostPages } from '../../../kernels/tuned/wasm/assembler.ts'
import { DeviceFault } from '../../errors.ts'
import { sizeClassNumber, sizeOfClass } from '../size-class.ts'
import { reserveMemory } from './memory.ts'

const PAGE = 65536
/** WebAssembly's 32-bit memory ends here. */
const MAXIMUM_BYTES = mostPages * PAGE
const ALIGNMENT = 16

export class Arena {
  readonly memory: WebAssembly.Memory
  /** The memory's limit, which one that threads share must name; undefined where it is not shared. */
  readonly maximumPages: number | undefined
  /** Offsets of the blocks that were given back, by the number of their class. */
  readonly #free: number[][] = []
  /** First byte never handed out; the first cells stay unused, so that no block starts at 0. */
  #top = ALIGNMENT

  /** @param isShared whether worker threads use the memory too */
  constructor(isShared = false) {
    this.maximumPages = isShared ? mostPages : undefined
    this.memory = reserveMemory(isShared ? { initial: 16, maximum: mostPages, shared: true } : { initial: 16 })
  }

  /** Byte offset of a block of at least `bytes`, 16-aligned, contents unspecified. */
  take(bytes: number): number {
    const number = sizeClassNumber(bytes)
    const reused = this.#free[number]?.pop()
    if (reused !== undefined) return reused
    const size = sizeOfClass(number)
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
    const limit =
      end > MAXIMUM_BYTES
        ? `the limit of WebAssembly is ${MAXIMUM_BYTES}`
        : 'the system gives no more (of memory, or of addresses where ulimit -v is set)'
    throw new DeviceFault(
      'cpu device',
      `out of memory: asked for ${asked} bytes with ${have} bytes reserved; ${limit}. ` +
        'Run steps inside scope(() => …), use a smaller batch, or checkpoint()',
    )
  }
}
