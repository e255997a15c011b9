/** Runs launches of tuned kernels on one thread, their tasks in as many calls as a test likes, and watches their memory. */
import type { FusedKernel, Grid, Kernel } from '../../../kernels/kernel.ts'
import type { Features } from '../../../kernels/tuned/wasm/assembler.ts'
import type { Launcher, Place } from '../../../kernels/tuned/wasm/task.ts'
import { Library } from '../../../src/device/cpu/library.ts'
import { Pieces } from '../../../src/device/cpu/room.ts'

const bytes = 64 * 2 ** 20
/** What lies between buffers, and in results before they are written: a NaN that no kernel makes. */
const untouched = 0x7fedcba9
/** Words between buffers. */
const gap = 8

export type Given = Float32Array | Int32Array | number

export interface TaskLaunch {
  readonly kernel: Kernel | FusedKernel
  readonly results: readonly (number | { readonly length: number; readonly dtype: 'int32' })[]
  readonly grid?: Grid
  readonly parameters: readonly Given[]
}

export class Tasks {
  readonly #memory = new WebAssembly.Memory({ initial: bytes / 65536 })
  readonly #library = new Library(this.#memory, undefined)
  readonly #launchers: ReadonlyMap<Kernel | FusedKernel, Launcher>

  constructor(launchers: (features: Features) => ReadonlyMap<Kernel | FusedKernel, Launcher>, features: Features) {
    this.#launchers = launchers(features)
  }

  /**
   * The results of a launch.
   *
   * @param calls each task is run in this many calls at most, of items next to each other
   * @throws Error when a kernel writes where nothing of its own is
   */
  run({ kernel, results, grid = [1, 1, 1], parameters }: TaskLaunch, calls = 1): (Float32Array | Int32Array)[] {
    const words = new Int32Array(this.#memory.buffer)
    let end = gap
    const own: [from: number, to: number][] = []
    const allocate = (length: number, dtype: 'float32' | 'int32', writable: boolean): Place => {
      const offset = 4 * end
      const to = end + 4 * Math.ceil(length / 4)
      if (writable) own.push([end, to])
      end = to + gap
      return { offset, length, dtype }
    }
    const outputs = results.map((result) =>
      typeof result === 'number' ? allocate(result, 'float32', true) : allocate(result.length, result.dtype, true),
    )
    const inputs: [Place, Float32Array | Int32Array][] = []
    const given = parameters.map((parameter) => {
      if (typeof parameter === 'number') return parameter
      const place = allocate(parameter.length, parameter instanceof Int32Array ? 'int32' : 'float32', false)
      inputs.push([place, parameter])
      return place
    })
    const room = end
    words.fill(untouched, 0, room)
    for (const [{ offset, length, dtype }, values] of inputs) {
      const view = dtype === 'int32' ? Int32Array : Float32Array
      new view(this.#memory.buffer, offset, length).set(values)
    }
    const before = words.slice(0, room)
    const pieces = new Pieces().start(4 * room)
    const tasks = this.#launchers.get(kernel)!(outputs, grid, given, pieces)
    const scratch = Math.ceil((4 * room + pieces.bytes) / 16) * 16
    for (const task of tasks) {
      const { call, takesRange, takesScratch } = this.#library.get(task.callee)
      const values = [...(task.given as readonly number[]), ...(takesScratch ? [scratch] : [])]
      const share = Math.ceil(task.items / calls)
      if (!takesRange) call(...values)
      else for (let i = 0; i < task.items; i += share) call(...values, i, Math.min(task.items, i + share))
    }
    for (let i = 0; i < room; i++) {
      if (words[i] !== before[i] && !own.some(([from, to]) => i >= from && i < to)) {
        throw new Error(`${kernel.name} wrote at word ${i}, where none of its results is`)
      }
    }
    return outputs.map(({ offset, length, dtype }) =>
      (dtype === 'int32'
        ? new Int32Array(words.buffer, offset, length)
        : new Float32Array(words.buffer, offset, length)
      ).slice(),
    )
  }
}
