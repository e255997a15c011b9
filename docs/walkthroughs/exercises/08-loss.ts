/**
 * Exercise: the loss of one guess.
 *
 * A model gives a logit to each token. Its probability is the softmax, e^logit over the sum of all e^logit, and the
 * loss is minus the logarithm of the probability of the token that came.
 *
 * TODO: the loss, for logits of any size: e^1000 is infinite in a computer, and the loss of such logits is not.
 */
export function lossOf(logits: readonly number[], target: number): number {
  return -logits[target]
}
