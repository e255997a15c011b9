/**
 * Exercise: how long a head remembers.
 *
 * At every token a delta layer multiplies its memory by e^g, g at most 0. The half-life is the number of tokens
 * after which half is left. It need not be whole; where g is 0 nothing fades, and it is Infinity.
 *
 * TODO: the half-life of a g, the g of a half-life, and what is left after tokens that each chose a g of their own.
 */
export function halfLife(g: number): number {
  return -g
}

export function logDecay(halfLife: number): number {
  return -halfLife
}

/** @returns the part of what was stored before the first of them that is left after the last */
export function left(gs: readonly number[]): number {
  return gs.length > 0 ? Math.exp(gs[0]) : 1
}
