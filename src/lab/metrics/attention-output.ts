/**
 * What the gate does to attention's output: its size, and how much of it is near 0, before and after.
 *
 * Y [B, T, H, D] is attention's output before a gate at G1 (and before `sdpaPost`), Y' what the output projection reads. A gate
 * elsewhere leaves Y' = Y: at G2 and G3 and G4 it is at work inside Y.
 */
import { SluiceError } from '../../errors.ts'
import type { Transformer, TransformerConfig } from '../../nn/index.ts'
import type { TokenBatch } from '../../train/text.ts'
import { type LayerReading, needAttention, readLayers } from './readings.ts'

/** Bounds below which a value counts as near 0. */
export const sparsityThresholds: readonly number[] = [1e-2, 1e-3]

/** Share of the values that are smaller than each threshold, by the threshold as text: '0.01', '0.001'. */
export type Sparsity = Record<string, number>

/** Mean size and sparsity of attention's output, Y before the gate and Y' after it. */
export interface AttentionOutput {
  /** Mean |Y| over all layers with attention. */
  readonly before: number
  /** Mean |Y'|. */
  readonly after: number
  /** The same by layer. */
  readonly layers: { readonly layer: number; readonly before: number; readonly after: number }[]
  /** Share of small values in Y. */
  readonly sparsityBefore: Sparsity
  /** Share of small values in Y'. */
  readonly sparsityAfter: Sparsity
  /**
   * Sparsity of Y times the layer's mean score: how much of it comes from a small gate alone, and not from one that tells values
   * apart. null unless a gate at G1 multiplies Y.
   */
  readonly sparsityMeanGate: Sparsity | null
}

/**
 * Mean size and sparsity of attention's output, before and after the gate.
 *
 * Gated Attention, NeurIPS 2025, figures 4 and 5. The paper multiplies by "the average gate": here that is the mean over all scores
 * of a layer.
 *
 * @throws SluiceError when no layer has attention
 *
 * @example
 * const { before, after, sparsityAfter } = await attentionOutput(model, batch)
 */
export async function attentionOutput(model: Transformer, batch: TokenBatch): Promise<AttentionOutput> {
  return outputOf(await readLayers(model, batch), model.config)
}

/** The same of layers that were read, with their outputs; of the config `gate` and `sdpaPost` count. */
export function outputOf(
  layers: readonly LayerReading[],
  { gate, sdpaPost }: Pick<TransformerConfig, 'gate' | 'sdpaPost'>,
): AttentionOutput {
  needAttention('attentionOutput', layers)
  const found = layers.flatMap(({ weights, attended, gated, gateScores }, layer) => {
    if (!weights) return []
    if (attended && gated) return [{ layer, attended, gated, gateScores }]
    throw new SluiceError('attentionOutput', `layer ${layer} was read without attended and gated; use readLayers`)
  })
  const perLayer = found.map(({ layer, attended, gated }) => ({
    layer,
    before: meanSize(attended),
    after: meanSize(gated),
  }))
  const gatesOutput = gate !== 'none' && gate.position === 'G1' && gate.op === 'mul' && sdpaPost === 'none'
  // All layers have as many values, so their means weigh the same.
  const over = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length
  const sparsity = (of: (layer: (typeof found)[number]) => [values: Float32Array, factor: number]): Sparsity =>
    Object.fromEntries(
      sparsityThresholds.map((bound) => [String(bound), over(found.map((layer) => shareBelow(...of(layer), bound)))]),
    )
  return {
    before: over(perLayer.map(({ before }) => before)),
    after: over(perLayer.map(({ after }) => after)),
    layers: perLayer,
    sparsityBefore: sparsity(({ attended }) => [attended, 1]),
    sparsityAfter: sparsity(({ gated }) => [gated, 1]),
    sparsityMeanGate: gatesOutput
      ? sparsity(({ attended, gateScores }) => [attended, gateScores!.reduce((a, b) => a + b, 0) / gateScores!.length])
      : null,
  }
}

const meanSize = (values: Float32Array): number =>
  values.reduce((sum, value) => sum + Math.abs(value), 0) / values.length

function shareBelow(values: Float32Array, factor: number, bound: number): number {
  return values.reduce((n, value) => n + (Math.abs(value * factor) < bound ? 1 : 0), 0) / values.length
}
