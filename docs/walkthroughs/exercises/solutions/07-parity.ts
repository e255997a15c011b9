/**
 * Counting modulo 2: with beta = 2 and v = 0, S becomes -S; with beta = 0 it stays. A sum or an average cannot do
 * it for bits of any number, and neither can the rule with beta up to 1, where 1 - beta, the factor of the past, is
 * never negative (Unlocking State-Tracking in Linear RNNs Through Negative Eigenvalues, arXiv:2411.12537).
 */
export interface Counter {
  readonly start: number
  /** One for each bit. */
  readonly beta: readonly number[]
  readonly v: readonly number[]
}

export function parityCounter(bits: readonly (0 | 1)[]): Counter {
  return { start: 1, beta: bits.map((bit) => 2 * bit), v: bits.map(() => 0) }
}
