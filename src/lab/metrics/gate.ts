/** The gate's scores s, after activation: how open it is, and how the scores are spread. */
import { SluiceError } from '../../errors.ts'
import type { Transformer } from '../../nn/index.ts'
import type { TokenBatch } from '../../train/text.ts'
import { type LayerReading, readLayers } from './readings.ts'

/** The scores of one layer. */
export interface LayerScores {
  readonly layer: number
  /** In equal bins on [0, 1]; scores outside go to the nearest bin. */
  readonly counts: number[]
  readonly mean: number
  /** Standard deviation of the scores about their mean. */
  readonly deviation: number
}

/** How a model's gates are distributed on one batch: scores after the activation. */
export interface GateScores {
  /** By layer that has a gate. */
  readonly layers: LayerScores[]
  /** Over all scores of all layers: the gate score of the paper's table 4. */
  readonly mean: number
  /** Of all scores of all layers. */
  readonly median: number
  /** Share of scores below 0.1, in [0, 1]. */
  readonly shareBelowTenth: number
  /** Share of scores above 0.9, in [0, 1]. */
  readonly shareAboveNineTenths: number
}

/**
 * The distribution of the gate's scores; undefined for a model without a gate.
 *
 * Gated Attention, NeurIPS 2025, section 4.2.
 *
 * @param bins of the counts; 20 unless given
 * @throws SluiceError for bins that are no count
 *
 * @example
 * const scores = await gateScores(model, batch)
 * scores?.median
 */
export async function gateScores(model: Transformer, batch: TokenBatch, bins = 20): Promise<GateScores | undefined> {
  return scoresOf(await readLayers(model, batch), bins)
}

/** The same of layers that were read. */
export function scoresOf(layers: readonly LayerReading[], bins = 20): GateScores | undefined {
  if (!(Number.isInteger(bins) && bins >= 1)) {
    throw new SluiceError('gateScores', `bins must be a positive integer, got ${bins}`)
  }
  const scored = layers.flatMap(({ gateScores: scores }, layer) => (scores ? [{ layer, scores }] : []))
  if (scored.length === 0) return undefined
  const perLayer = scored.map(({ layer, scores }) => layerScores(layer, scores, bins))
  const all = joined(scored.map(({ scores }) => scores))
  let [below, above] = [0, 0]
  for (const s of all) {
    if (s < 0.1) below++
    if (s > 0.9) above++
  }
  return {
    layers: perLayer,
    mean: perLayer.reduce((sum, { mean }, i) => sum + mean * scored[i].scores.length, 0) / all.length,
    median: medianOf(all),
    shareBelowTenth: below / all.length,
    shareAboveNineTenths: above / all.length,
  }
}

function layerScores(layer: number, scores: Float32Array, bins: number): LayerScores {
  const counts = new Array<number>(bins).fill(0)
  let sum = 0
  for (const s of scores) {
    counts[Math.min(bins - 1, Math.max(0, Math.floor(s * bins)))]++
    sum += s
  }
  const mean = sum / scores.length
  let squares = 0
  for (const s of scores) squares += (s - mean) ** 2
  return { layer, counts, mean, deviation: Math.sqrt(squares / scores.length) }
}

function joined(lists: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(lists.reduce((n, { length }) => n + length, 0))
  let at = 0
  for (const list of lists) {
    all.set(list, at)
    at += list.length
  }
  return all
}

/** The middle value, or the mean of the middle two; NaN if there is a NaN among them, or nothing. */
export function medianOf(values: Float32Array): number {
  const sorted = values.slice().sort()
  const n = sorted.length
  // A NaN is sorted to the end.
  if (n === 0 || Number.isNaN(sorted[n - 1])) return Number.NaN
  return (sorted[(n - 1) >> 1] + sorted[n >> 1]) / 2
}
