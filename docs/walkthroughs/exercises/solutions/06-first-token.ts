/** The sink: attention on the first token, above what uniform causal attention puts there. */
export interface Sink {
  readonly mean: number
  readonly uniform: number
  /** 0 where attention is uniform, 1 where all of it is on the first token. */
  readonly corrected: number
}

const meanOf = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length

/** @param weights attention after softmax by head, query, key: [H][T][T], 0 where a query may not look */
export function firstTokenSink(weights: readonly (readonly (readonly number[])[])[]): Sink {
  const mean = meanOf(weights.flatMap((head) => head.map((query) => query[0])))
  const uniform = meanOf(weights[0].map((_, i) => 1 / (i + 1)))
  return { mean, uniform, corrected: (mean - uniform) / (1 - uniform) }
}
