/** Two parts under the larger maximum: what was summed relative to the smaller one shrinks. */
export interface Part {
  readonly largest: number
  readonly sum: number
  readonly mixture: readonly number[]
}

export function merge(a: Part, b: Part): Part {
  const largest = Math.max(a.largest, b.largest)
  // Of masked keys alone: -Infinity minus -Infinity would be NaN.
  const shrinkA = a.sum === 0 ? 0 : Math.exp(a.largest - largest)
  const shrinkB = b.sum === 0 ? 0 : Math.exp(b.largest - largest)
  return {
    largest,
    sum: a.sum * shrinkA + b.sum * shrinkB,
    mixture: a.mixture.map((x, i) => x * shrinkA + b.mixture[i] * shrinkB),
  }
}
