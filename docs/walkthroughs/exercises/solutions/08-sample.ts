/** The next token: a random number laid along the probabilities, likeliest first. */
export interface SampleOptions {
  readonly temperature: number
  readonly topK: number
}

export function sample(logits: readonly number[], u: number, { temperature, topK }: SampleOptions): number {
  const kept = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b).slice(0, topK)
  if (temperature === 0) return kept[0]
  const weights = kept.map((token) => Math.exp((logits[token] - logits[kept[0]]) / temperature))
  let rest = u * weights.reduce((a, b) => a + b, 0)
  for (const [i, token] of kept.entries()) {
    rest -= weights[i]
    if (rest < 0) return token
  }
  return kept[kept.length - 1]
}
