/**
 * Exercise: counting modulo 2.
 *
 * A memory of one number, S, with the key 1 and the query 1 at every step. The delta rule is then S ← (1 - beta) S
 * + beta v, and what is read is S itself. Choose where S starts, and beta and v for each bit, so that S is 1 after
 * an even number of ones and -1 after an odd number. beta may be anything from 0 to 2.
 *
 * TODO: beta, v and start. With beta at most 1, what was stored can fade or be replaced. What can beta = 2 do to
 * it?
 */
export interface Counter {
  readonly start: number
  /** One for each bit. */
  readonly beta: readonly number[]
  readonly v: readonly number[]
}

export function parityCounter(bits: readonly (0 | 1)[]): Counter {
  return { start: 1, beta: [...bits], v: bits.map((bit) => 1 - 2 * bit) }
}
