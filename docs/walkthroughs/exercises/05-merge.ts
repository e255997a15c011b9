/**
 * Exercise: online softmax as a merge.
 *
 * A part is what is known after reading some keys: the largest score, the sum of e^(score - largest), and the mixture of
 * values by the same terms, not yet divided by the sum.
 *
 * TODO: merge two parts into the part of all their keys. One of them may be of masked keys alone: its largest score is
 * -Infinity, its sum 0 and its mixture 0.
 */
export interface Part {
  readonly largest: number
  readonly sum: number
  readonly mixture: readonly number[]
}

export function merge(a: Part, b: Part): Part {
  return {
    largest: Math.max(a.largest, b.largest),
    sum: a.sum + b.sum,
    mixture: a.mixture.map((x, i) => x + b.mixture[i]),
  }
}
