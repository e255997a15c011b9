/**
 * Exercise: a language model without a network.
 *
 * Count how often each token follows each other one in a text of tokens 0 to V - 1. The probability of b after a is
 * then (count of a b + 1) / (count of a before anything + V). The ones are there so that what was never seen is not
 * impossible.
 *
 * TODO: count. This model takes all tokens for equally likely.
 */

/** @returns the probability that `next` follows `previous` */
export function pairModel(_ids: readonly number[], V: number): (previous: number, next: number) => number {
  return () => 1 / V
}
