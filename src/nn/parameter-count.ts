/**
 * How many parameters a model has, from its settings alone: for sizes that do not fit in memory, and for models of equal size.
 *
 * The letters are those of the layers: C width, H heads, KV key-value heads, D head width, F hidden width of a feed-forward, E
 * experts, and in delta layers Hk and Hv heads, K and V the sides of a memory.
 */
import {
  hasExperts,
  type LayerType,
  type TransformerConfig,
  type TransformerConfigInput,
  transformerConfig,
} from './config.ts'
import { gatedShape } from './gate.ts'

const linear = (inFeatures: number, outFeatures: number, bias = false): number =>
  outFeatures * inFeatures + (bias ? outFeatures : 0)

/**
 * The `parameterCount` of `new Transformer(settings)`, without making it.
 *
 * @throws SluiceError for unknown or wrong settings
 *
 * @example
 * parameterCount({ vocabularySize: 65, width: 128, layers: 4, heads: 4, gate: 'none' }) // 800256
 */
export function parameterCount(settings: TransformerConfigInput): number {
  const config = transformerConfig(settings)
  const { vocabularySize, width: C, contextLength, position, tied, layerTypes } = config
  const embeddings = vocabularySize * C * (tied ? 1 : 2) + (position === 'learned' ? contextLength * C : 0)
  const layers = layerTypes.map((type, layer) => blockCount(config, type, hasExperts(config, layer)))
  return embeddings + layers.reduce((a, b) => a + b, 0) + C + nextTokenCount(config)
}

function blockCount(config: TransformerConfig, type: LayerType, experts: boolean): number {
  const norms = (config.norm === 'sandwich' ? 4 : 2) * config.width
  const mixer = type === 'attention' ? attentionCount(config) : deltaCount(config)
  return norms + mixer + (experts ? expertsCount(config) : feedForwardCount(config))
}

function attentionCount(config: TransformerConfig): number {
  const { width: C, heads: H, keyValueHeads: KV, headWidth: D, bias, switchHead, queryKeyNorm, sdpaPost } = config
  const switched = switchHead ? linear(C, KV * switchHead.count * (D + 1), bias) : 0
  const plain = linear(C, KV * D, bias)
  const key = switchHead?.maps === 'keyValue' ? switched : plain
  const value = switchHead ? switched : plain
  const norms = (queryKeyNorm ? 2 * D : 0) + (sdpaPost === 'headRmsNorm' ? D : 0)
  return linear(C, H * D, bias) + key + value + gateCount(config) + norms + linear(H * D, C, bias)
}

function gateCount(config: TransformerConfig): number {
  const { gate, width: C, bias } = config
  if (gate === 'none') return 0
  const [heads, width] = gatedShape(gate, config)
  const scores = heads * (gate.grain === 'headwise' ? 1 : width)
  return gate.input === 'none' ? scores : linear(C, scores, bias)
}

function deltaCount({ width: C, delta }: TransformerConfig): number {
  const { rule, keyHeads: Hk, valueHeads: Hv, keyWidth: K, valueWidth: V, convolutionWidth, outputGate } = delta
  const channels = 2 * Hk * K + Hv * V
  const decays = rule === 'kda' ? Hv * K : Hv
  // With rule 'kda' the decay and the output gate come through a bottleneck of width V.
  const through = (rows: number) => (rule === 'kda' ? linear(C, V) + linear(V, rows) : linear(C, rows))
  const gate = outputGate === 'none' ? 0 : through(Hv * V)
  const decay = rule === 'delta' ? 0 : through(decays) + decays + Hv
  return linear(C, channels) + channels * convolutionWidth + gate + linear(C, Hv) + decay + V + linear(Hv * V, C)
}

function expertsCount({ width: C, experts }: TransformerConfig): number {
  if (!experts) return 0
  const { count: E, width: F, sharedWidth } = experts
  const shared = sharedWidth > 0 ? 3 * C * sharedWidth + C : 0
  return linear(C, E) + 3 * E * F * C + shared
}

const feedForwardCount = ({ feedForward, width: C, feedForwardWidth: F }: TransformerConfig): number =>
  (feedForward === 'swiglu' ? 3 : 2) * C * F

/** The block that predicts the token after next: its projection [C, 2 C], three norms, attention, with experts if there are any. */
function nextTokenCount(config: TransformerConfig): number {
  if (!config.multiTokenPrediction) return 0
  const C = config.width
  return 2 * C * C + 3 * C + blockCount(config, 'attention', config.experts !== null)
}
