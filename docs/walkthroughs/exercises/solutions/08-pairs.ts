/** Counts of pairs as a language model: the whole of its memory is the last token. */

/** @returns the probability that `next` follows `previous` */
export function pairModel(ids: readonly number[], V: number): (previous: number, next: number) => number {
  const counts = Array.from({ length: V }, () => new Array<number>(V).fill(0))
  for (let i = 0; i + 1 < ids.length; i++) counts[ids[i]][ids[i + 1]]++
  const totals = counts.map((row) => row.reduce((a, b) => a + b, 0))
  return (previous, next) => (counts[previous][next] + 1) / (totals[previous] + V)
}
