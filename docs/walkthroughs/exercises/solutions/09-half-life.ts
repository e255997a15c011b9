/** How long a head remembers: n tokens leave e^(g n), and half is left where g n = -log 2. */
export function halfLife(g: number): number {
  return g === 0 ? Number.POSITIVE_INFINITY : -Math.LN2 / g
}

export function logDecay(halfLife: number): number {
  return -Math.LN2 / halfLife
}

/** @returns the part of what was stored before the first of them that is left after the last */
export function left(gs: readonly number[]): number {
  return Math.exp(gs.reduce((sum, g) => sum + g, 0))
}
