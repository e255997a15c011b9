/** The loss beyond the training length, without and with another base of the rotary positions. */
import { SluiceError } from '../../errors.ts'
import type { Transformer } from '../../nn/index.ts'
import type { TokenBatch } from '../../train/text.ts'
import { batchLoss } from './loss.ts'

/** Which lengths are read, and how. */
export interface LengthOptions {
  /** Tokens read at once; the training length times 1, 2, 4 and 8 unless given. */
  readonly lengths?: readonly number[]
  /** n, the training length; the config's `contextLength` unless given. */
  readonly trainedLength?: number
  /** Whether rotary positions get the base of `rescaledBase`; false unless given. */
  readonly rescale?: boolean
  /** Longest windows that are read, spread over the tokens; 16 unless given. */
  readonly windows?: number
  /** Tokens in one pass, at the least one window; 4096 unless given. */
  readonly batchTokens?: number
}

/** The loss at one length. */
export interface LengthLoss {
  /** Tokens read at once. */
  readonly length: number
  /** Mean cross-entropy over all positions, in nats. */
  readonly loss: number
  /** The loss minus that of the same tokens read at the training length: above 0 where the model does worse on longer texts. */
  readonly drop: number
}

/**
 * The base that stretches rotary positions by `factor`: base · factor^(D / (D - 2)), D the rotary dimensions. The slowest pair then
 * turns `factor` times slower and the fastest as before ("NTK-aware" scaling, in YaRN, arXiv 2309.00071, section 3.1). A factor
 * below 1 changes nothing.
 *
 * @throws SluiceError when D is 2 or less: the only pair is the fastest
 */
export function rescaledBase(base: number, dims: number, factor: number): number {
  if (factor <= 1) return base
  if (dims <= 2) {
    throw new SluiceError('rescaledBase', `rotary positions over ${dims} dimensions cannot be stretched; 4 or more can`)
  }
  return base * factor ** (dims / (dims - 2))
}

/**
 * The loss on texts of several lengths.
 *
 * All lengths predict the same tokens: the longest windows are cut into shorter ones, so that only what can be seen before a token
 * changes. (Where a length does not divide the longest, the rest of each longest window is left out.)
 *
 * @param tokens held-out ids, at least the longest length and one more
 * @throws SluiceError for a model with learned positions, which has none beyond its context; for `rescale` of a model without rotary
 * positions; for too few tokens, and lengths that are no lengths
 *
 * @example
 * const curve = await lengthLoss(model, heldOut, { lengths: [64, 128, 256], rescale: true })
 * curve.map(({ length, drop }) => [length, drop])
 */
export async function lengthLoss(
  model: Transformer,
  tokens: Int32Array,
  {
    trainedLength = model.config.contextLength,
    lengths = [1, 2, 4, 8].map((factor) => factor * trainedLength),
    rescale = false,
    windows = 16,
    batchTokens = 4096,
  }: LengthOptions = {},
): Promise<LengthLoss[]> {
  checkLengths(model, { lengths: [...lengths, trainedLength], rescale, windows, batchTokens })
  const starts = windowStarts(tokens, Math.max(trainedLength, ...lengths), windows)
  const { base, dims } = model.config.rope
  const lossAt = (length: number) => {
    const ropeBase = rescale ? rescaledBase(base, dims, length / trainedLength) : undefined
    return windowsLoss(model, tokens, starts, length, batchTokens, ropeBase)
  }
  const trained = await lossAt(trainedLength)
  const losses: LengthLoss[] = []
  for (const length of lengths) {
    const loss = length === trainedLength ? trained : await lossAt(length)
    losses.push({ length, loss, drop: loss - trained })
  }
  return losses
}

/** `lengthLoss` without and with rescaling side by side. @throws SluiceError as `lengthLoss` with `rescale` */
export async function lengthCurve(
  model: Transformer,
  tokens: Int32Array,
  options: Omit<LengthOptions, 'rescale'> = {},
): Promise<{ length: number; loss: number; rescaled: number }[]> {
  const rescaled = await lengthLoss(model, tokens, { ...options, rescale: true })
  const plain = await lengthLoss(model, tokens, { ...options, rescale: false })
  return plain.map(({ length, loss }, i) => ({ length, loss, rescaled: rescaled[i].loss }))
}

function checkLengths(
  { config }: Transformer,
  { lengths, rescale, windows, batchTokens }: Required<Omit<LengthOptions, 'trainedLength'>>,
): void {
  const fail = (message: string): never => {
    throw new SluiceError('lengthLoss', message)
  }
  if (config.position === 'learned') {
    fail(
      `the model has ${config.contextLength} learned positions and none beyond; lengths need position 'rope' or 'none'`,
    )
  }
  if (rescale && config.position !== 'rope') {
    fail(`rescale is for rotary positions; the model has position '${config.position}'`)
  }
  for (const [name, counts] of Object.entries({ lengths, windows: [windows], batchTokens: [batchTokens] })) {
    const bad = counts.find((count) => !(Number.isSafeInteger(count) && count >= 1))
    if (bad !== undefined) fail(`${name} must be integers from 1 up, got ${bad}`)
  }
}

/** Where the longest windows begin: at most `count`, apart from each other, spread over the tokens. */
function windowStarts(tokens: Int32Array, longest: number, count: number): { start: number; longest: number }[] {
  const there = Math.floor((tokens.length - 1) / longest)
  if (there < 1) {
    throw new SluiceError(
      'lengthLoss',
      `there are ${tokens.length} tokens, one window of ${longest} needs ${longest + 1}; give more tokens or shorter lengths`,
    )
  }
  const used = Math.min(there, count)
  return Array.from({ length: used }, (_, i) => ({ start: Math.floor((i * there) / used) * longest, longest }))
}

async function windowsLoss(
  model: Transformer,
  tokens: Int32Array,
  windows: readonly { start: number; longest: number }[],
  length: number,
  batchTokens: number,
  ropeBase: number | undefined,
): Promise<number> {
  const starts = windows.flatMap(({ start, longest }) =>
    Array.from({ length: Math.floor(longest / length) }, (_, i) => start + i * length),
  )
  const rows = Math.max(1, Math.floor(batchTokens / length))
  let sum = 0
  for (let from = 0; from < starts.length; from += rows) {
    const batch = batchAt(tokens, starts.slice(from, from + rows), length)
    sum += (await batchLoss(model, batch, { ropeBase })) * batch.B
  }
  return sum / starts.length
}

function batchAt(tokens: Int32Array, starts: readonly number[], T: number): TokenBatch {
  const B = starts.length
  const [inputs, targets] = [new Int32Array(B * T), new Int32Array(B * T)]
  starts.forEach((start, b) => {
    inputs.set(tokens.subarray(start, start + T), b * T)
    targets.set(tokens.subarray(start + 1, start + T + 1), b * T)
  })
  return { inputs, targets, B, T }
}
