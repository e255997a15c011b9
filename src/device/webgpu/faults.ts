/**
 * What goes wrong on a GPU is known late: commands are checked and run after the call that made them has returned. Faults
 * are collected here, and every read, the only place where results reach the program, throws the first of them.
 *
 * Without this WebGPU prints a warning and the results are zeros.
 */
import { DeviceFault } from '../../errors.ts'

interface Fault {
  /** Of the call that caused it: one fault often causes others, which may be known earlier. */
  readonly order: number
  readonly message: string
  readonly error: DeviceFault
}

export class Faults {
  #first: Fault | undefined
  #isLost = false
  #order = 0
  readonly #pending = new Set<Promise<void>>()

  /** Why nothing that the device computes now is of worth; undefined while it is sound. */
  get reason(): string | undefined {
    return this.#first?.message
  }

  /** Takes in a fault that WebGPU reports by itself. */
  report(message: string): void {
    this.#add(Number.POSITIVE_INFINITY, message)
  }

  /** The device is gone: what is reported from now on is its consequence. A fault that came before is still the first. */
  lose(message: string): void {
    this.report(message)
    this.#isLost = true
  }

  /** Waits, at the next read, for the outcome of a check that was just begun: a message when it found a fault. */
  watch(checking: Promise<string | undefined>): void {
    const order = this.#order++
    const watched = checking
      .then((message) => {
        if (message !== undefined) this.#add(order, message)
      })
      // Only a lost device rejects a check, and the loss is told by itself.
      .catch(() => {})
      .finally(() => this.#pending.delete(watched))
    this.#pending.add(watched)
  }

  /** Throws the first fault of everything made so far. It stays: what was computed since is worthless. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending)
    this.throwIfAny()
  }

  throwIfAny(): void {
    if (this.#first) throw this.#first.error
  }

  #add(order: number, message: string): void {
    if (this.#isLost || (this.#first && this.#first.order <= order)) return
    this.#first = { order, message, error: new DeviceFault('webgpu device', message) }
  }
}
