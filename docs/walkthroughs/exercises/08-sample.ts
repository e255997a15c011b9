/**
 * Exercise: choose the next token.
 *
 * The tokens are put in order, the likeliest first, and where two are alike the one with the smaller number. Only
 * the first `topK` of them are kept. Their logits are divided by the temperature and become probabilities by the
 * softmax. Then `u`, a random number from 0 to below 1, is laid along them: the first token takes up as much of the
 * way from 0 to 1 as its probability says, the second the next piece, and so on; the token on whose piece u falls
 * is the one. At temperature 0 it is the likeliest.
 *
 * TODO: the choice. This one is of temperature 0, always.
 */
export interface SampleOptions {
  readonly temperature: number
  readonly topK: number
}

export function sample(logits: readonly number[], _u: number, _options: SampleOptions): number {
  return logits.indexOf(Math.max(...logits))
}
