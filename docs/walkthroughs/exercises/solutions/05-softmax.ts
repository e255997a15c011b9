/** Softmax relative to the largest score, whose term is then 1: nothing overflows, and the sum is never 0. */
export function softmax(scores: readonly number[]): number[] {
  const largest = Math.max(...scores)
  const terms = scores.map((score) => Math.exp(score - largest))
  const sum = terms.reduce((total, term) => total + term, 0)
  return terms.map((term) => term / sum)
}
