/**
 * What a comparison of numbers found: how far the worst of them is from what is allowed.
 *
 *   ratio = |got - expected| / bound
 *
 * A ratio above 1 is a failure. Equal infinities agree, and so do two NaN.
 */

export interface Finding {
  /** How many numbers were compared. */
  readonly compared: number
  /** |got - expected| of the number whose ratio is largest. */
  readonly error: number
  /** What was allowed there. */
  readonly bound: number
  readonly ratio: number
  /** What is wrong, in words; null when nothing is. */
  readonly message: string | null
}

export const nothingFound: Finding = { compared: 0, error: 0, bound: 0, ratio: 0, message: null }

/** A finding that is not about numbers: something threw, or has a wrong shape. */
export function broken(message: string): Finding {
  return { compared: 0, error: Number.POSITIVE_INFINITY, bound: 0, ratio: Number.POSITIVE_INFINITY, message }
}

/** |a - b|, where equal infinities and two NaN are 0 apart, and anything else that is not finite infinitely far. */
export function gap(a: number, b: number): number {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return 0
  const difference = Math.abs(a - b)
  return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference
}

/** Compares numbers one by one and remembers the worst; `describe` is called once, if that one fails. */
export class Comparison {
  #compared = 0
  #wrong = 0
  #error = 0
  #bound = 0
  #ratio = -1
  #describe: (() => string) | null = null

  compare(got: number, expected: number, bound: number, describe: () => string): void {
    this.#compared++
    const error = gap(got, expected)
    const ratio = error === 0 ? 0 : error / bound
    if (ratio > 1) this.#wrong++
    if (ratio <= this.#ratio) return
    this.#ratio = ratio
    this.#error = error
    this.#bound = bound
    this.#describe = describe
  }

  finish(): Finding {
    const message = this.#ratio > 1 ? `${this.#describe?.()}; ${this.#wrong} of ${this.#compared} are off` : null
    return {
      compared: this.#compared,
      error: this.#error,
      bound: this.#bound,
      ratio: Math.max(0, this.#ratio),
      message,
    }
  }
}

/** The worse of two findings, with the numbers of both counted. */
export function worse(a: Finding, b: Finding): Finding {
  const worst = b.ratio > a.ratio || a.compared === 0 ? b : a
  return { ...worst, compared: a.compared + b.compared }
}

/** A number for a message: six digits at most. */
export function showNumber(value: number): string {
  return String(Number(value.toPrecision(6)))
}

/** Position `flat` of a row-major array of `shape`, as an index: `[0, 2]`. */
export function showIndex(shape: readonly number[], flat: number): string {
  const index: number[] = []
  for (let axis = shape.length - 1, rest = flat; axis >= 0; axis--) {
    index.unshift(rest % shape[axis])
    rest = Math.floor(rest / shape[axis])
  }
  return `[${index.join(', ')}]`
}
