/** Readings and small models for the tests of the metrics. */
import { manualSeed } from '../../../src/index.ts'
import type { LayerReading } from '../../../src/lab/metrics.ts'
import { Transformer, type TransformerConfigInput } from '../../../src/nn/index.ts'
import type { TokenBatch } from '../../../src/train/text.ts'

/** A layer whose attention is [B][H][T][T]. */
export function layerOf(weights: number[][][][], rest: Partial<LayerReading> = {}): LayerReading {
  return {
    weights: Float32Array.from(weights.flat(3)),
    heads: weights[0].length,
    gateScores: undefined,
    output: new Float32Array(1),
    ...rest,
  }
}

/** A delta layer: it has no attention. */
export const deltaLayer: LayerReading = {
  weights: undefined,
  heads: 0,
  gateScores: undefined,
  output: new Float32Array(1),
}

/** Row i of causal attention [T, T] gives key j the weight `of(i, j)`. */
export const causal = (T: number, of: (i: number, j: number) => number): number[][] =>
  Array.from({ length: T }, (_, i) => Array.from({ length: T }, (_, j) => (j <= i ? of(i, j) : 0)))

export const [B, T, V] = [3, 8, 11]

/** Tokens with no order that a model could know. */
export const batch: TokenBatch = {
  inputs: Int32Array.from({ length: B * T }, (_, i) => (i * i * 5 + (i >> 2)) % V),
  targets: Int32Array.from({ length: B * T }, (_, i) => (i * 7 + (i >> 1)) % V),
  B,
  T,
}

/** Two layers with weights large enough that every part counts; the same for the same settings. */
export function modelOf(settings: Partial<TransformerConfigInput> = {}, device = 'reference'): Transformer {
  manualSeed(5)
  const shape = { vocabularySize: V, width: 16, layers: 2, heads: 4, keyValueHeads: 2, initStd: 0.4, contextLength: T }
  return new Transformer({ ...shape, ...settings }, { device })
}

/** `model`'s values in a model of other settings, whose own tensors beyond those are left as they are. */
export async function withValuesOf(
  model: Transformer,
  settings: Partial<TransformerConfigInput>,
): Promise<Transformer> {
  const other = modelOf(settings, model.device)
  const own = await other.stateDict()
  const given = await model.stateDict()
  other.loadStateDict(new Map([...own].map(([name, value]) => [name, given.get(name) ?? value])))
  return other
}
