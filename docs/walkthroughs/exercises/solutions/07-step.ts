/** One step of the gated delta rule: forget, look, write, read. */
export interface Token {
  readonly q: readonly number[]
  readonly k: readonly number[]
  readonly v: readonly number[]
  /** At most 0. */
  readonly g: number
  readonly beta: number
}

type Memory = readonly (readonly number[])[]

/** Sᵀ q */
const read = (S: Memory, q: readonly number[]): number[] =>
  S[0].map((_, j) => q.reduce((sum, weight, i) => sum + weight * S[i][j], 0))

/** @returns the memory after the step, and what q reads from it; the memory given is left as it is */
export function step(S: Memory, { q, k, v, g, beta }: Token): { S: number[][]; out: number[] } {
  const faded = S.map((row) => row.map((entry) => Math.exp(g) * entry))
  const found = read(faded, k)
  const next = faded.map((row, i) => row.map((entry, j) => entry + k[i] * beta * (v[j] - found[j])))
  return { S: next, out: read(next, q) }
}
