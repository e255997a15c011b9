/** Modules: layers and models with named parameters. */
export type { HostTensor } from '../tensor/host.ts'

import '../ops/methods.ts'

export {
  type AttentionForwardOptions,
  type AttentionObservation,
  GatedAttention,
} from './attention.ts'
export { Block, type BlockForwardOptions, type BlockObservation, type BlockOptions } from './block.ts'
export { DeltaCache, KeyValueCache, type LayerCache, TransformerCache } from './cache.ts'
export {
  type AttentionConfig,
  type AttentionConfigInput,
  attentionConfig,
  type LayerType,
  type MultiTokenPredictionConfig,
  type RopeConfig,
  type TransformerConfig,
  type TransformerConfigInput,
  transformerConfig,
} from './config.ts'
export {
  type DeltaNetConfig,
  type GatedDeltaNetConfig,
  type GatedDeltaNetConfigInput,
  gatedDeltaNetConfig,
} from './delta-config.ts'
export { type DeltaForwardOptions, type DeltaObservation, GatedDeltaNet } from './delta-net.ts'
export {
  type ExpertsForwardOptions,
  loadBalancingLoss,
  MixtureOfExperts,
  MixtureOfExperts as MoE,
  type Routing,
  routerZLoss,
} from './experts.ts'
export {
  type ExpertsConfig,
  type ExpertsConfigInput,
  type MixtureOfExpertsConfig,
  type MixtureOfExpertsConfigInput,
  mixtureOfExpertsConfig,
} from './experts-config.ts'
export { FeedForward, type FeedForwardOptions } from './feed-forward.ts'
export { type GateConfig, type GateInput, type GatePosition, type GateShorthand, paperGateStd } from './gate.ts'
export {
  Embedding,
  type EmbeddingOptions,
  Linear,
  type LinearOptions,
  LowRank,
  RMSNorm,
  type RMSNormOptions,
} from './layers.ts'
export { Module } from './module.ts'
export { NextToken } from './next-token.ts'
export { parameterCount } from './parameter-count.ts'
export { SwitchHead, type SwitchHeadOptions, type SwitchHeadSizes } from './switch-head.ts'
export type { SwitchHeadConfig, SwitchHeadInput } from './switch-head-config.ts'
export { type ForwardOptions, type LayerObservation, type LossOptions, Transformer } from './transformer.ts'
