/**
 * Exercise: softmax with plain numbers.
 *
 * TODO: it must hold for scores of any size, and a score of -Infinity gets the share 0. At least one score is finite.
 */
export function softmax(scores: readonly number[]): number[] {
  const terms = scores.map((score) => Math.exp(score))
  const sum = terms.reduce((total, term) => total + term, 0)
  return terms.map((term) => term / sum)
}
