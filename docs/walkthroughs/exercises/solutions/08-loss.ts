/** The loss of one guess: log Σ e^logit - logit of the target, with the largest logit taken out before the exponential. */
export function lossOf(logits: readonly number[], target: number): number {
  const largest = Math.max(...logits)
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0)
  return largest + Math.log(sum) - logits[target]
}
