/** Steps a second, over the last seconds. */

const windowMilliseconds = 3000

export class StepRate {
  #seen: { readonly time: number; readonly step: number }[] = []

  add(time: number, step: number): void {
    this.#seen.push({ time, step })
    while (this.#seen[0]!.time < time - windowMilliseconds) this.#seen.shift()
  }

  /** After a pause: the time of it does not count. */
  forget(): void {
    this.#seen = []
  }

  /** 0 before there are two steps. */
  get perSecond(): number {
    const [first, last] = [this.#seen[0], this.#seen.at(-1)]
    if (!first || !last || last.time <= first.time) return 0
    return (1000 * (last.step - first.step)) / (last.time - first.time)
  }
}
