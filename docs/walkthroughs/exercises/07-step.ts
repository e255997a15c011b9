/**
 * Exercise: one step of the gated delta rule, on numbers.
 *
 * S has K rows of V numbers. In this order: all of S fades by e^g; the memory is asked for k; what is missing to v,
 * times beta, is written under k; the memory is asked for q.
 *
 * TODO: the step. This one adds, and neither forgets nor looks.
 */
export interface Token {
  readonly q: readonly number[]
  readonly k: readonly number[]
  readonly v: readonly number[]
  /** At most 0. */
  readonly g: number
  readonly beta: number
}

/** @returns the memory after the step, and what q reads from it; the memory given is left as it is */
export function step(S: readonly (readonly number[])[], { q, k, v }: Token): { S: number[][]; out: number[] } {
  const next = S.map((row, i) => row.map((entry, j) => entry + k[i] * v[j]))
  return { S: next, out: v.map((_, j) => q.reduce((sum, weight, i) => sum + weight * next[i][j], 0)) }
}
