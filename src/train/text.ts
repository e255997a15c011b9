/**
 * Text as training data: reading a file, splitting its tokens, cutting batches out of them.
 *
 * A batch is two [B, T] matrices, row-major, B the batch size and T the context length: row b of `inputs` is
 * ids[s], ..., ids[s + T - 1] and row b of `targets` is the same one token later, ids[s + 1], ..., ids[s + T].
 */

import { SluiceError } from '../errors.ts'

/** Where the data's randomness comes from. */
export interface RandomSource {
  /** n numbers in [0, 1). */
  uniform(n: number): Float32Array
  /** n integers in [low, high). */
  integers(n: number, low: number, high: number): Int32Array
  /** The integers 0 to n - 1 in random order. */
  permutation(n: number): Int32Array
}

/** Token ids for one step: `inputs` and `targets` are [B, T], row-major. */
export interface TokenBatch {
  /** [B, T] */
  readonly inputs: Int32Array
  /** [B, T], the token that follows each. */
  readonly targets: Int32Array
  /** Sequences. */
  readonly B: number
  /** Tokens a sequence. */
  readonly T: number
}

/** The position of the first byte of the first ill-formed sequence (Unicode 15, table 3-7), or -1. */
function firstBadByte(bytes: Uint8Array): number {
  let at = 0
  while (at < bytes.length) {
    const lead = bytes[at]!
    let length = 1
    // The second byte's range is narrower where an overlong form, a surrogate or a value past U+10FFFF would begin.
    let low = 0x80
    let high = 0xbf
    if (lead >= 0xc2 && lead <= 0xdf) length = 2
    else if (lead >= 0xe0 && lead <= 0xef) length = 3
    else if (lead >= 0xf0 && lead <= 0xf4) length = 4
    else if (lead >= 0x80) return at
    if (lead === 0xe0) low = 0xa0
    else if (lead === 0xed) high = 0x9f
    else if (lead === 0xf0) low = 0x90
    else if (lead === 0xf4) high = 0x8f
    for (let next = 1; next < length; next++) {
      const byte = bytes[at + next]
      if (byte === undefined || byte < low || byte > high) return at
      low = 0x80
      high = 0xbf
    }
    at += length
  }
  return -1
}

/**
 * The text of a UTF-8 file, without a leading byte-order mark.
 *
 * Throws a SluiceError when the file is missing, a folder, unreadable, empty, or not UTF-8 (it names the position of
 * the first bad byte).
 *
 * @example
 * const text = await loadText('shakespeare.txt')
 */
export async function loadText(path: string): Promise<string> {
  // Imported here, so that a browser can load the rest of this file.
  const { readFile } = await import('node:fs/promises')
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new SluiceError('loadText', `there is no file ${path}`)
    if (code === 'EISDIR') throw new SluiceError('loadText', `${path} is a folder; give a text file`)
    throw new SluiceError('loadText', `${path} cannot be read: ${message}`)
  }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    const at = firstBadByte(bytes)
    if (at < 0) {
      throw new SluiceError('loadText', `${path} (${bytes.length} bytes) cannot be one string: ${String(error)}`)
    }
    const value = bytes[at]!.toString(16).padStart(2, '0')
    throw new SluiceError(
      'loadText',
      `${path} is not UTF-8: byte 0x${value} at position ${at} (of ${bytes.length}) begins no character; ` +
        'convert the file to UTF-8',
    )
  }
  if (text.length === 0) throw new SluiceError('loadText', `${path} is empty`)
  return text
}

/**
 * The first `1 - heldOutShare` of the tokens for training, the rest held out. Both are views, nothing is copied.
 *
 * @throws SluiceError unless 0 < heldOutShare < 1, and where either part would be empty
 *
 * @example
 * const { train, heldOut } = splitTokens(tokenizer.encode(text))   // 90 / 10, as nanoGPT splits
 */
export function splitTokens(ids: Int32Array, heldOutShare = 0.1): { train: Int32Array; heldOut: Int32Array } {
  if (!(heldOutShare > 0 && heldOutShare < 1)) {
    throw new SluiceError('splitTokens', `heldOutShare must lie between 0 and 1, got ${heldOutShare}`)
  }
  const cut = Math.floor(ids.length * (1 - heldOutShare))
  if (cut === 0 || cut === ids.length) {
    throw new SluiceError(
      'splitTokens',
      `${ids.length} tokens with a held-out share of ${heldOutShare} leave ${cut} to train on and ` +
        `${ids.length - cut} held out; give more tokens`,
    )
  }
  return { train: ids.subarray(0, cut), heldOut: ids.subarray(cut) }
}

/** Throws unless B and T are positive integers and one context of T inputs and T targets fits in `ids`. */
function requireContext(operation: string, ids: Int32Array, B: number, T: number): void {
  for (const [name, size] of [
    ['B', B],
    ['T', T],
  ] as const) {
    if (!Number.isInteger(size) || size < 1) {
      throw new SluiceError(operation, `${name} must be a positive integer, got ${size}`)
    }
  }
  if (ids.length < T + 1) {
    throw new SluiceError(
      operation,
      `there are ${ids.length} tokens, one context of T = ${T} needs ${T + 1} (T inputs and the target after the ` +
        'last); give more text or a shorter context',
    )
  }
}

/** The batch whose row b begins at `starts[b]`. */
function batchAt(ids: Int32Array, starts: ArrayLike<number>, T: number): TokenBatch {
  const B = starts.length
  const inputs = new Int32Array(B * T)
  const targets = new Int32Array(B * T)
  for (let b = 0; b < B; b++) {
    const start = starts[b]!
    inputs.set(ids.subarray(start, start + T), b * T)
    targets.set(ids.subarray(start + 1, start + T + 1), b * T)
  }
  return { inputs, targets, B, T }
}

/**
 * B contexts of T tokens from random places, every place equally likely.
 *
 * @example
 * const { inputs, targets } = textBatch(train, 12, 64, generator)   // two [12, 64]
 */
export function textBatch(ids: Int32Array, B: number, T: number, random: RandomSource): TokenBatch {
  requireContext('textBatch', ids, B, T)
  return batchAt(ids, random.integers(B, 0, ids.length - T), T)
}

/**
 * At most `limit` batches of non-overlapping windows, always the same ones, spread evenly over `ids`.
 *
 * Every batch has the same shape: [B, T], or [windows, T] when `ids` holds fewer than B windows. The up to B - 1
 * windows that fill no batch are left out.
 *
 * @throws SluiceError when `ids` holds no window of T tokens and their targets
 *
 * @example
 * const batches = heldOutBatches(heldOut, 2, 64, 20) // at most 20 of [2, 64]
 */
export function heldOutBatches(ids: Int32Array, B: number, T: number, limit = Number.POSITIVE_INFINITY): TokenBatch[] {
  requireContext('heldOutBatches', ids, B, T)
  if (!(limit >= 1)) throw new SluiceError('heldOutBatches', `limit must be at least 1 batch, got ${limit}`)
  const windows = Math.floor((ids.length - 1) / T)
  const rows = Math.min(B, windows)
  const batches = Math.min(Math.floor(limit), Math.floor(windows / rows))
  const used = batches * rows
  return Array.from({ length: batches }, (_, batch) =>
    batchAt(
      ids,
      Array.from({ length: rows }, (_, row) => Math.floor(((batch * rows + row) * windows) / used) * T),
      T,
    ),
  )
}

/** How often each token follows each context: `pairs` by context * V + token, `contexts` by context. */
interface Counts {
  readonly pairs: Map<number, number>
  readonly contexts: Map<number, number>
}

/** The context of a prediction, from the token before it. */
type ContextOf = (previous: number) => number

function increment(counts: Map<number, number>, key: number): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function countPairs(ids: Int32Array, V: number, contextOf: ContextOf): Counts {
  const pairs = new Map<number, number>()
  const contexts = new Map<number, number>()
  for (let index = 1; index < ids.length; index++) {
    const context = contextOf(ids[index - 1]!)
    increment(pairs, context * V + ids[index]!)
    increment(contexts, context)
  }
  return { pairs, contexts }
}

/** Mean of -ln((c(context, token) + alpha) / (c(context) + alpha V)) over the pairs of `text`, c from `counts`. */
function smoothedLoss(counts: Counts, text: Counts, V: number, alpha: number): number {
  let total = 0
  let predictions = 0
  for (const [pair, times] of text.pairs) {
    const seen = counts.pairs.get(pair) ?? 0
    const context = counts.contexts.get(Math.floor(pair / V)) ?? 0
    total -= times * Math.log((seen + alpha) / (context + alpha * V))
    predictions += times
  }
  return total / predictions
}

/** The candidates for alpha: a quarter of a decade apart, from 1e-4 to 100. */
const alphas = Array.from({ length: 25 }, (_, index) => 10 ** (index / 4 - 4))

function countingLoss(
  operation: string,
  trainIds: Int32Array,
  heldOutIds: Int32Array,
  V: number,
  contextOf: ContextOf,
): number {
  if (!Number.isInteger(V) || V < 1) throw new SluiceError(operation, `V must be a positive integer, got ${V}`)
  for (const [name, ids, needed] of [
    ['train', trainIds, 20],
    ['held-out', heldOutIds, 2],
  ] as const) {
    if (ids.length < needed) {
      throw new SluiceError(operation, `there are ${ids.length} ${name} tokens, at least ${needed} are needed`)
    }
    const bad = ids.findIndex((id) => id < 0 || id >= V)
    if (bad >= 0) throw new SluiceError(operation, `${name} id ${ids[bad]} at position ${bad} is outside [0, ${V})`)
  }
  const { train: head, heldOut: tail } = splitTokens(trainIds)
  const headCounts = countPairs(head, V, contextOf)
  const tailCounts = countPairs(tail, V, contextOf)
  let alpha = 0
  let lowest = Number.POSITIVE_INFINITY
  for (const candidate of alphas) {
    const loss = smoothedLoss(headCounts, tailCounts, V, candidate)
    if (loss < lowest) {
      lowest = loss
      alpha = candidate
    }
  }
  return smoothedLoss(countPairs(trainIds, V, contextOf), countPairs(heldOutIds, V, contextOf), V, alpha)
}

/**
 * Held-out loss of the bigram model p(b | a) = (c(a, b) + alpha) / (c(a) + alpha V), in nats per token: what a model
 * that looks one token back can reach, and so what a trained one has to beat.
 *
 * c counts in `trainIds`, V is the vocabulary size. Add-alpha smoothing gives unseen pairs their share; alpha is the
 * one of 25 values from 1e-4 to 100 with the lowest loss on the last tenth of `trainIds` when the counts come from
 * the first nine tenths. The held-out tokens have no part in that choice. The mean is over the
 * `heldOutIds.length - 1` tokens that have one before them.
 *
 * @example
 * bigramLoss(train, heldOut, tokenizer.vocabularySize)   // about 2.5 on the characters of English prose
 */
export function bigramLoss(trainIds: Int32Array, heldOutIds: Int32Array, V: number): number {
  return countingLoss('bigramLoss', trainIds, heldOutIds, V, (previous) => previous)
}

/**
 * Held-out loss of the unigram model p(b) = (c(b) + alpha) / (c + alpha V), in nats per token: the loss of knowing
 * how often each token occurs and nothing more. Smoothed, and averaged over the same tokens, as `bigramLoss`.
 */
export function unigramLoss(trainIds: Int32Array, heldOutIds: Int32Array, V: number): number {
  return countingLoss('unigramLoss', trainIds, heldOutIds, V, () => 0)
}
