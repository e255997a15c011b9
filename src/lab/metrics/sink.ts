/**
 * The attention sink: how much of the attention goes to the first token, and how many heads do that.
 *
 * A^{l,h}_{b,i,j} is the attention of layer l and head h from query i to key j, both counted from 0; n positions.
 */
import { SluiceError } from '../../errors.ts'
import type { Transformer } from '../../nn/index.ts'
import type { TokenBatch } from '../../train/text.ts'
import { type LayerReading, needAttention, readLayers } from './readings.ts'

/** Attention on the first token, in shares from 0 to 1. */
export interface AttentionSink {
  /** Mean attention on the first token, by layer and head; an empty list for a delta layer. */
  readonly perLayerHead: number[][]
  /** The mean of these: F-Attn in the paper's table 4. */
  readonly mean: number
  /** What uniform causal attention gives: H_n / n, H_n the n-th harmonic number. */
  readonly uniform: number
  /** (mean - uniform) / (1 - uniform): 0 for uniform attention, 1 for all of it on the first token. */
  readonly corrected: number
  /** The mean over queries 4, 5, ... alone: the first four have few other keys. NaN when there are no more than four. */
  readonly withoutFirstFour: number
  /** The same, corrected by its own uniform share, (H_n - H_4) / (n - 4). */
  readonly withoutFirstFourCorrected: number
}

/** Queries that `withoutFirstFour` leaves out. */
const firstQueries = 4

/**
 * Attention on the first token, averaged over batch, queries, heads and layers.
 *
 * Gated Attention, NeurIPS 2025, section 4.3; the uniform share is subtracted because at short contexts it is not small
 * (0.074 at 64 tokens, 0.044 without the first four queries).
 *
 * @throws SluiceError when no layer has attention
 *
 * @example
 * const { mean, corrected } = await attentionSink(model, batch)
 */
export async function attentionSink(model: Transformer, batch: TokenBatch): Promise<AttentionSink> {
  return sinkOf(await readLayers(model, batch), batch)
}

/**
 * What uniform causal attention gives the first of T tokens, averaged over queries from `from` on: (H_T - H_from) / (T - from), H_n
 * the n-th harmonic number.
 */
export function uniformShare(T: number, from = 0): number {
  let share = 0
  for (let i = from + 1; i <= T; i++) share += 1 / i / (T - from)
  return share
}

/** What is above the uniform share, as a part of what can be; 0 where attention has no choice. */
export const correctedShare = (share: number, uniform: number): number =>
  uniform < 1 ? (share - uniform) / (1 - uniform) : 0

const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

/** The same of layers that were read. */
export function sinkOf(layers: readonly LayerReading[], { B, T }: { B: number; T: number }): AttentionSink {
  needAttention('attentionSink', layers)
  const all = firstShares(layers, B, T, 0)
  const later = firstShares(layers, B, T, firstQueries)
  const mean = meanOf(all.flat())
  const uniform = uniformShare(T)
  const withoutFirstFour = T > firstQueries ? meanOf(later.flat()) : Number.NaN
  return {
    perLayerHead: all,
    mean,
    uniform,
    corrected: correctedShare(mean, uniform),
    withoutFirstFour,
    withoutFirstFourCorrected: correctedShare(withoutFirstFour, uniformShare(T, firstQueries)),
  }
}

/** Mean of A_{b,i,0} over texts and queries i >= from, by layer and head. */
function firstShares(layers: readonly LayerReading[], B: number, T: number, from: number): number[][] {
  return layers.map(({ weights = new Float32Array(), heads }) =>
    Array.from({ length: heads }, (_, h) => {
      let sum = 0
      for (let b = 0; b < B; b++) {
        for (let i = from; i < T; i++) sum += weights[((b * heads + h) * T + i) * T]
      }
      return sum / (B * (T - from))
    }),
  )
}

/** What counts as a sink. */
export interface SinkRateOptions {
  /** A key is a head's sink when its mean attention is above this; 0.3 unless given. */
  readonly epsilon?: number
}

/** Shares of heads with a sink. */
export interface SinkRate {
  /** Share of all heads for which key k is a sink, by k. The last keys are seen by few queries: the very last by its own alone. */
  readonly perKey: number[]
  /** Share of heads whose sink is the first token. */
  readonly ofFirst: number
  /** Share of heads that have a sink among the keys that at least half of the queries see. */
  readonly any: number
}

/**
 * How many heads have an attention sink.
 *
 * α_k is the mean of A_{b,i,k} over texts and over the queries i >= k that see key k; k is a sink of a head when α_k > ε.
 * Gu et al., arXiv 2410.10781, who take ε = 0.3 at 64 tokens: the measure hangs on the length, since every query has to share its
 * attention among the keys before it.
 *
 * @throws SluiceError when no layer has attention, or epsilon is not a share
 *
 * @example
 * const { ofFirst } = await sinkRate(model, batch)
 */
export async function sinkRate(
  model: Transformer,
  batch: TokenBatch,
  options: SinkRateOptions = {},
): Promise<SinkRate> {
  return sinkRateOf(await readLayers(model, batch), batch, options)
}

/** The same of layers that were read. */
export function sinkRateOf(
  layers: readonly LayerReading[],
  { B, T }: { B: number; T: number },
  { epsilon = 0.3 }: SinkRateOptions = {},
): SinkRate {
  if (!(epsilon >= 0 && epsilon < 1)) {
    throw new SluiceError('sinkRate', `epsilon must be a share from 0 to below 1, got ${epsilon}`)
  }
  const isSink = needAttention('sinkRate', layers).flatMap(({ weights, heads }) =>
    Array.from({ length: heads }, (_, h) => keyShares(weights, heads, h, B, T).map((share) => share > epsilon)),
  )
  const shareOf = (test: (sinks: readonly boolean[]) => boolean) => isSink.filter(test).length / isSink.length
  const seenByHalf = Math.floor(T / 2) + 1
  return {
    perKey: Array.from({ length: T }, (_, k) => shareOf((sinks) => sinks[k])),
    ofFirst: shareOf(([first]) => first),
    any: shareOf((sinks) => sinks.slice(0, seenByHalf).some(Boolean)),
  }
}

/** α_k of one head, by k. */
function keyShares(weights: Float32Array, heads: number, h: number, B: number, T: number): number[] {
  const sums = new Array<number>(T).fill(0)
  for (let b = 0; b < B; b++) {
    for (let i = 0; i < T; i++) {
      const row = ((b * heads + h) * T + i) * T
      for (let k = 0; k <= i; k++) sums[k] += weights[row + k]
    }
  }
  return sums.map((sum, k) => sum / (B * (T - k)))
}
