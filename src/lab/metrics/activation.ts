/** Massive activations: single values of the residual stream that are thousands of times larger than the others. */
import type { Transformer } from '../../nn/index.ts'
import type { TokenBatch } from '../../train/text.ts'
import { medianOf } from './gate.ts'
import { type LayerReading, readLayers } from './readings.ts'

/** Largest activations of a model on one batch. */
export interface MassiveActivation {
  /** Largest |h| of each layer's output h, after both residual additions. */
  readonly perLayer: number[]
  /** Their mean: M-Act in the paper's table 4. */
  readonly mean: number
  /** Median of |h| of each layer's output. */
  readonly perLayerMedian: number[]
  /** Whether some layer's largest is above 100 and at least 1000 times its median: the test of Sun et al., arXiv 2402.17762. */
  readonly massive: boolean
}

/**
 * Largest absolute value of each layer's output, and their mean over layers.
 *
 * Gated Attention, NeurIPS 2025, table 4: "the mean of the maximum hidden state activations across layers"; that it is the maximum of
 * absolute values is this project's reading. A toy model's are far below 100: compare them with each other, and with their medians.
 *
 * @example
 * const { mean, perLayerMedian } = await massiveActivation(model, batch)
 */
export async function massiveActivation(model: Transformer, batch: TokenBatch): Promise<MassiveActivation> {
  return activationOf(await readLayers(model, batch))
}

/** The same of layers that were read. */
export function activationOf(layers: readonly LayerReading[]): MassiveActivation {
  const absolute = layers.map(({ output }) => output.map(Math.abs))
  const perLayer = absolute.map((values) => values.reduce((most, x) => Math.max(most, x), 0))
  const perLayerMedian = absolute.map(medianOf)
  return {
    perLayer,
    mean: perLayer.reduce((a, b) => a + b, 0) / perLayer.length,
    perLayerMedian,
    massive: perLayer.some((largest, layer) => largest > 100 && largest >= 1000 * perLayerMedian[layer]),
  }
}
