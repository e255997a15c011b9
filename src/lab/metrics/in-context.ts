/**
 * Learning from the context: how much better a model predicts late in a text, and whether it has the heads that look up what followed
 * a token before (induction heads).
 *
 * Olsson et al., "In-context learning and induction heads", arXiv 2209.11895.
 */
import { noGrad } from '../../autograd/tape.ts'
import { SluiceError } from '../../errors.ts'
import type { Transformer } from '../../nn/index.ts'
import { tensor } from '../../tensor/create.ts'
import { Generator } from '../../tensor/random.ts'
import { scope } from '../../tensor/tensor.ts'
import type { TokenBatch } from '../../train/text.ts'
import { type LayerReading, needAttention, readLayers } from './readings.ts'

/** How much a model's loss falls along its context. */
export interface InContext {
  /** Mean cross-entropy at each of the T positions, in nats. */
  readonly perPosition: number[]
  /** The loss around position T / 10. */
  readonly early: number
  /** The loss at the end. */
  readonly late: number
  /** late - early: below 0 where the context helps. The in-context learning score, whose positions are 50 and 500 of 512. */
  readonly score: number
}

/**
 * The loss by position, early against late.
 *
 * Both are means over T / 20 positions (at least one), around T / 10 and up to the last: a single position says little, and so do a
 * few rows. Give all held-out batches.
 *
 * @param batches one or several, of the same T; every target counts, so all must be tokens
 * @throws SluiceError for no batches, for several T, and for targets outside the vocabulary
 *
 * @example
 * const { early, late } = await inContext(model, data.heldOut)
 */
export async function inContext(model: Transformer, batches: TokenBatch | readonly TokenBatch[]): Promise<InContext> {
  const list = 'inputs' in batches ? [batches] : batches
  checkBatches(list, model.config.vocabularySize)
  const rows = list.reduce((sum, { B }) => sum + B, 0)
  const losses = new Array<number>(list[0].T).fill(0)
  for (const batch of list) {
    const own = await positionLosses(model, batch)
    own.forEach((loss, t) => {
      losses[t] += (loss * batch.B) / rows
    })
  }
  return inContextOf(losses)
}

function checkBatches(batches: readonly TokenBatch[], vocabularySize: number): void {
  const lengths = new Set(batches.map(({ T }) => T))
  if (lengths.size !== 1) {
    throw new SluiceError(
      'inContext',
      `batches must be of one T, got ${batches.length} of T ${[...lengths].join(', ')}`,
    )
  }
  for (const { targets } of batches) {
    const bad = targets.find((target) => target < 0 || target >= vocabularySize)
    if (bad === undefined) continue
    throw new SluiceError('inContext', `target ${bad} is outside [0, ${vocabularySize}); every position counts here`)
  }
}

/** Mean cross-entropy at each position of one batch. */
async function positionLosses(model: Transformer, { inputs, targets, B, T }: TokenBatch): Promise<number[]> {
  const { device } = model
  const means = scope(() =>
    noGrad(() => {
      const logits = model.forward(tensor(inputs, { shape: [B, T], device }))
      const wanted = tensor(targets, { shape: [B, T, 1], device })
      return logits.logSoftmax(-1).gather(wanted, 2).reshape([B, T]).mean({ axis: 0 })
    }),
  )
  const losses = Array.from(await means.data(), (logProbability) => -logProbability)
  means.dispose()
  return losses
}

/** The same of losses by position. */
export function inContextOf(perPosition: readonly number[]): InContext {
  const T = perPosition.length
  const band = Math.max(1, Math.round(T / 20))
  const meanFrom = (start: number) => perPosition.slice(start, start + band).reduce((a, b) => a + b, 0) / band
  // Position T / 10, counted from 1, in the middle of its band.
  const early = meanFrom(Math.max(0, Math.ceil(T / 10) - 1 - (band >> 1)))
  const late = meanFrom(T - band)
  return { perPosition: [...perPosition], early, late, score: late - early }
}

/** The sequences of repeated random tokens that a model is read on. */
export interface PrefixMatchingOptions {
  /** Tokens are drawn from 0 to this; the model's vocabulary unless given. */
  readonly vocabularySize?: number
  /** Tokens before they repeat; a quarter of the context, or of the vocabulary if that is less, unless given. */
  readonly length?: number
  /** How often they stand in the sequence; 4 unless given. */
  readonly repeats?: number
  /** Sequences; 8 unless given. */
  readonly sequences?: number
  /** 0 unless given. */
  readonly seed?: number
}

/** Attention from a token to the one after its earlier occurrence. */
export interface PrefixMatching {
  /** By layer and head; an empty list for a delta layer. */
  readonly perLayerHead: number[][]
  /** Over all heads. */
  readonly mean: number
  /** Of the head that does it best: an induction head is one of many. */
  readonly maximum: number
  /** What uniform causal attention gives. */
  readonly uniform: number
}

/**
 * How much attention goes from a token to the one that followed it before.
 *
 * Sequences of `length` different random tokens, repeated `repeats` times; the score of a head is its mean attention from each token
 * that has been before to the token after its last occurrence. Nothing but the repetition tells what comes next.
 *
 * @throws SluiceError when no layer has attention, and for sequences that cannot be made
 *
 * @example
 * const { maximum } = await prefixMatching(model, { length: 16, repeats: 4 })
 */
export async function prefixMatching(model: Transformer, options: PrefixMatchingOptions = {}): Promise<PrefixMatching> {
  const { vocabularySize: V, contextLength } = model.config
  const vocabularySize = options.vocabularySize ?? V
  const { repeats = 4, sequences = 8, seed = 0 } = options
  const length = options.length ?? Math.min(vocabularySize, Math.floor(contextLength / repeats))
  const fail = (message: string): never => {
    throw new SluiceError('prefixMatching', message)
  }
  if (!(Number.isSafeInteger(vocabularySize) && vocabularySize >= 1 && vocabularySize <= V)) {
    fail(`vocabularySize must be an integer from 1 to the model's ${V}, got ${vocabularySize}`)
  }
  if (!(Number.isSafeInteger(length) && length >= 2 && length <= vocabularySize)) {
    fail(`length must be from 2 to the ${vocabularySize} different tokens, got ${length}`)
  }
  if (!(Number.isSafeInteger(repeats) && repeats >= 2)) fail(`repeats must be an integer from 2 up, got ${repeats}`)
  if (!(Number.isSafeInteger(sequences) && sequences >= 1)) {
    fail(`sequences must be an integer from 1 up, got ${sequences}`)
  }
  const batch = repeatedTokens({ vocabularySize, length, repeats, sequences, seed })
  return prefixMatchingOf(await readLayers(model, batch), batch, length)
}

/** Sequences of different random tokens, repeated; each target is the token that follows. */
export function repeatedTokens({
  vocabularySize,
  length,
  repeats,
  sequences,
  seed,
}: Required<PrefixMatchingOptions>): TokenBatch {
  const random = new Generator(seed)
  const [B, T] = [sequences, length * repeats]
  const [inputs, targets] = [new Int32Array(B * T), new Int32Array(B * T)]
  for (let b = 0; b < B; b++) {
    const tokens = random.permutation(vocabularySize).subarray(0, length)
    for (let t = 0; t < T; t++) {
      inputs[b * T + t] = tokens[t % length]
      targets[b * T + t] = tokens[(t + 1) % length]
    }
  }
  return { inputs, targets, B, T }
}

/** The score of layers that read a batch in which position i holds what position i - length held. */
export function prefixMatchingOf(
  layers: readonly LayerReading[],
  { B, T }: { B: number; T: number },
  length: number,
): PrefixMatching {
  needAttention('prefixMatching', layers)
  const perLayerHead = layers.map(({ weights = new Float32Array(), heads }) =>
    Array.from({ length: heads }, (_, h) => {
      let sum = 0
      for (let b = 0; b < B; b++) {
        for (let i = length; i < T; i++) sum += weights[((b * heads + h) * T + i) * T + i - length + 1]
      }
      return sum / (B * (T - length))
    }),
  )
  const all = perLayerHead.flat()
  let uniform = 0
  for (let i = length; i < T; i++) uniform += 1 / (i + 1) / (T - length)
  return {
    perLayerHead,
    mean: all.reduce((a, b) => a + b, 0) / all.length,
    maximum: Math.max(...all),
    uniform,
  }
}
