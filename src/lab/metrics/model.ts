/** All measures of one model on one batch, as plain JSON. */
import type { Transformer } from '../../nn/index.ts'
import type { TokenBatch } from '../../train/text.ts'
import { activationOf, type MassiveActivation } from './activation.ts'
import { type AttentionOutput, outputOf } from './attention-output.ts'
import { clampLosses, hasGate } from './clamp.ts'
import { type GateScores, scoresOf } from './gate.ts'
import { readLayers } from './readings.ts'
import { type AttentionSink, type SinkRate, type SinkRateOptions, sinkOf, sinkRateOf } from './sink.ts'

/** All measures of one model, as plain JSON. */
export interface ModelMeasures {
  /** null without attention; so are `sinkRate` and `attentionOutput`. */
  readonly firstToken: AttentionSink | null
  /** Shares of heads with a sink at the first token, and anywhere. */
  readonly sinkRate: Pick<SinkRate, 'ofFirst' | 'any'> | null
  /** Largest activations by layer. */
  readonly massiveActivation: MassiveActivation
  /** null without a gate; so is `clamp`. */
  readonly gate: GateScores | null
  /** Size and sparsity of attention's output. */
  readonly attentionOutput: AttentionOutput | null
  /** Losses in nats with the gate as it is, held at 1, at each layer's mean, and at 0. */
  readonly clamp: { readonly none: number; readonly one: number; readonly mean: number; readonly zero: number } | null
}

/** How a model is measured. */
export interface MeasureOptions extends SinkRateOptions {
  /** Bins of the gate's scores; 20 unless given. */
  readonly bins?: number
}

/**
 * Everything that is measured on a trained model: one pass for what its layers show, and five for the clamps if it has a gate.
 *
 * All layers' attention, [B, H, T, T] each, is in memory at once: a few rows are enough.
 *
 * @throws SluiceError for wrong options
 *
 * @example
 * const measures = await measureModel(model, batch)
 * JSON.stringify(measures)
 */
export async function measureModel(
  model: Transformer,
  batch: TokenBatch,
  { bins, epsilon }: MeasureOptions = {},
): Promise<ModelMeasures> {
  const layers = await readLayers(model, batch)
  const attends = layers.some(({ weights }) => weights)
  const rate = attends ? sinkRateOf(layers, batch, { epsilon }) : null
  return {
    firstToken: attends ? sinkOf(layers, batch) : null,
    sinkRate: rate && { ofFirst: rate.ofFirst, any: rate.any },
    massiveActivation: activationOf(layers),
    gate: scoresOf(layers, bins) ?? null,
    attentionOutput: attends ? outputOf(layers, model.config) : null,
    clamp: hasGate(model) ? await clampLosses(model, batch) : null,
  }
}
