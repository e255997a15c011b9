/** Text from a model: one token after another, with a cache. */
import { noGrad } from '../autograd/tape.ts'
import { SluiceError } from '../errors.ts'
import type { TransformerCache } from '../nn/cache.ts'
import type { Transformer } from '../nn/index.ts'
import { tensor } from '../tensor/create.ts'
import { Generator } from '../tensor/random.ts'
import { scope } from '../tensor/tensor.ts'

/** How many tokens are added, and how they are chosen. */
export interface GenerateOptions {
  /** Tokens to add; 100 unless given. */
  length?: number
  /** Divides the logits; 0 takes the most likely token. 1 unless given. */
  temperature?: number
  /** Only the k most likely tokens; all unless given. */
  topK?: number
  /** Only the most likely tokens that together reach this probability; 1 unless given. */
  topP?: number
  /** Where the choices come from; seed 0 unless given. */
  generator?: Generator
  /** Called with each token as it comes. */
  onToken?: (token: number) => void
}

/**
 * Goes on from a prompt.
 *
 * When the context is full, the second half of it is read in afresh and generation goes on from there.
 *
 * @param prompt at least one token
 * @returns the new tokens, without the prompt
 * @throws SluiceError for an empty prompt and for options out of range
 *
 * @example
 * const ids = await generate(model, tokenizer.encode('Call me'), { length: 200, temperature: 0.8 })
 */
export async function generate(
  model: Transformer,
  prompt: ArrayLike<number>,
  options: GenerateOptions = {},
): Promise<Int32Array> {
  const { length = 100, temperature = 1, topK, topP = 1, generator = new Generator(0), onToken } = options
  if (prompt.length === 0) throw new SluiceError('generate', 'the prompt is empty; give at least one token')
  if (!(Number.isSafeInteger(length) && length >= 0)) {
    throw new SluiceError('generate', `length must be an integer from 0 up, got ${length}`)
  }
  if (!(temperature >= 0)) throw new SluiceError('generate', `temperature must be from 0, got ${temperature}`)
  if (!(topP > 0 && topP <= 1)) throw new SluiceError('generate', `topP must be in (0, 1], got ${topP}`)
  if (topK !== undefined && !(Number.isInteger(topK) && topK >= 1)) {
    throw new SluiceError('generate', `topK must be a positive integer, got ${topK}`)
  }
  const context = model.config.contextLength
  const all = Array.from(prompt)
  let cache = model.createCache()
  let pending = all.slice(-context)
  try {
    for (let i = 0; i < length; i++) {
      if (cache.length + pending.length > context) {
        cache.dispose()
        cache = model.createCache()
        pending = all.slice(-Math.max(1, Math.floor(context / 2)))
      }
      const logits = await nextLogits(model, pending, cache)
      const token = sampleToken(logits, { temperature, topK, topP }, generator)
      all.push(token)
      pending = [token]
      onToken?.(token)
    }
  } finally {
    cache.dispose()
  }
  return Int32Array.from(all.slice(prompt.length))
}

/** Logits [V] of what follows the tokens, which are appended to the cache. */
async function nextLogits(model: Transformer, tokens: number[], cache: TransformerCache): Promise<ArrayLike<number>> {
  const T = tokens.length
  const last = scope(() =>
    noGrad(() => {
      const logits = model.forward(tensor(new Int32Array(tokens), { shape: [1, T], device: model.device }), { cache })
      return logits.slice([null, [-1, T]])
    }),
  )
  try {
    return await last.data()
  } finally {
    last.dispose()
  }
}

/**
 * One token drawn from softmax(logits / temperature), cut to the top k and, of these, the top p.
 *
 * @throws SluiceError when a logit is NaN: the model has diverged
 */
export function sampleToken(
  logits: ArrayLike<number>,
  { temperature, topK, topP }: { temperature: number; topK?: number; topP: number },
  generator: Generator,
): number {
  const broken = Array.prototype.findIndex.call(logits, Number.isNaN)
  if (broken >= 0) throw new SluiceError('sampleToken', `the logit of token ${broken} is NaN; the model has diverged`)
  const order = Array.from(logits, (_, i) => i).sort((a, b) => logits[b] - logits[a] || a - b)
  if (temperature === 0) return order[0]
  const largest = logits[order[0]]
  let kept = order.slice(0, topK)
  const weights = kept.map((i) => Math.exp((logits[i] - largest) / temperature))
  const total = weights.reduce((a, b) => a + b, 0)
  let reached = 0
  let count = 0
  while (count < kept.length && reached < topP * total) reached += weights[count++]
  kept = kept.slice(0, Math.max(1, count))
  let place = generator.uniform(1)[0] * reached
  for (let i = 0; i < kept.length; i++) {
    place -= weights[i]
    if (place < 0) return kept[i]
  }
  return kept[kept.length - 1]
}
