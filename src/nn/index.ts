/** Modules: layers and models with named parameters. */
export type { HostTensor } from '../tensor/host.ts'

import '../ops/methods.ts'

export {
  type AttentionForwardOptions,
  type AttentionObservation,
  GatedAttention,
} from './attention.ts'
export { Block, type BlockForwardOptions, type BlockObservation } from './block.ts'
export { KeyValueCache, TransformerCache } from './cache.ts'
export {
  type AttentionConfig,
  type AttentionConfigInput,
  attentionConfig,
  type RopeConfig,
  type TransformerConfig,
  type TransformerConfigInput,
  transformerConfig,
} from './config.ts'
export { FeedForward, type FeedForwardOptions } from './feed-forward.ts'
export { type GateConfig, type GateInput, type GatePosition, type GateShorthand, paperGateStd } from './gate.ts'
export { Embedding, type EmbeddingOptions, Linear, type LinearOptions, RMSNorm, type RMSNormOptions } from './layers.ts'
export { Module } from './module.ts'
export { type ForwardOptions, type LayerObservation, type LossOptions, Transformer } from './transformer.ts'
