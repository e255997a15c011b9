/**
 * Exercise: how strong is the sink?
 *
 * The measure is the attention on the first token, averaged over heads and queries. But causal attention that looks
 * everywhere alike puts some there, too: query i (from 0) sees i + 1 tokens, so all of 1, then 1/2, then 1/3 …
 * Averaged over T queries that is `uniform`. What counts is the part above it, of what can be above it: (mean -
 * uniform) / (1 - uniform).
 *
 * TODO: all three.
 */
export interface Sink {
  readonly mean: number
  readonly uniform: number
  /** 0 where attention is uniform, 1 where all of it is on the first token. */
  readonly corrected: number
}

/** @param weights attention after softmax by head, query, key: [H][T][T], 0 where a query may not look */
export function firstTokenSink(weights: readonly (readonly (readonly number[])[])[]): Sink {
  const mean = weights[0][0][0]
  const uniform = 0
  return { mean, uniform, corrected: mean }
}
