/** Runs tasks without a device, in memory of their own, so that a test says which instructions they use. */
import type { Callee } from '../../../kernels/tuned/wasm/assembler.ts'
import type { Place, Task } from '../../../kernels/tuned/wasm/task.ts'

export class TaskRunner {
  readonly #memory = new WebAssembly.Memory({ initial: 64 })
  readonly #called = new Map<Callee, (...values: number[]) => void>()
  #used = 0

  /** Forgets all places. */
  clear(): void {
    this.#used = 0
  }

  /** Room for as many floats, full of NaN to the next multiple of four, and marks behind it. */
  place(length: number): Place & { readonly values: Float32Array } {
    const whole = 4 * Math.ceil(length / 4)
    const offset = this.#used
    this.#used += 4 * whole + 16
    new Float32Array(this.#memory.buffer, offset, whole).fill(Number.NaN)
    new Float32Array(this.#memory.buffer, offset + 4 * whole, 4).fill(mark)
    return { dtype: 'float32', offset, length, values: new Float32Array(this.#memory.buffer, offset, length) }
  }

  /** Whether the marks behind a place still stand. */
  isWhole({ offset, length }: Place): boolean {
    const end = offset + 16 * Math.ceil(length / 4)
    return new Float32Array(this.#memory.buffer, end, 4).every((x) => x === mark)
  }

  placeOf(values: ArrayLike<number>): Place & { readonly values: Float32Array } {
    const place = this.place(values.length)
    place.values.set(values)
    return place
  }

  /** Runs tasks; each in as many calls as `parts` says, the last items first. */
  run(tasks: readonly Task[], parts = 1): void {
    for (const { callee, given, items } of tasks) {
      let call = this.#called.get(callee)
      if (!call) this.#called.set(callee, (call = callee.module.instantiate(this.#memory)(callee)))
      const numbers = given as readonly number[]
      for (let part = parts - 1; part >= 0; part--) {
        call(...numbers, Math.floor((items * part) / parts), Math.floor((items * (part + 1)) / parts))
      }
    }
  }
}

const mark = 12345.5
