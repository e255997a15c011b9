/**
 * Qwen3-Next and Qwen3.5: gated attention and Gated DeltaNet by turns, zero-centred norms, with or without experts. Sources:
 * transformers' models qwen3_next, qwen3_5 and qwen3_5_moe.
 */

import type { LayerType, TransformerConfig, TransformerConfigInput } from '../../nn/config.ts'
import type { DeltaNetConfig } from '../../nn/delta-config.ts'
import type { ExpertsConfig } from '../../nn/experts-config.ts'
import { type Check, flag, nonNegative, positiveInteger } from '../../nn/validate.ts'
import {
  commonObstacle,
  type Family,
  type FamilyName,
  type Json,
  readCommon,
  readLayerTypes,
  readRope,
  requireModelType,
  rotaryFactor,
  writeCommon,
  writeLayerTypes,
} from './family.ts'
import { Settings } from './settings.ts'

const fromZero: Check = (value) =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? null : 'an integer from 0 up'

const layerList: Check = (value) =>
  Array.isArray(value) && value.every((i) => fromZero(i) === null) ? null : 'a list of layers, integers from 0 up'

function readDelta(settings: Settings): DeltaNetConfig {
  const size = (key: string, fallback: number) => settings.take<number>(key, positiveInteger, fallback)
  return {
    rule: 'gatedDelta',
    keyHeads: size('linear_num_key_heads', 16),
    valueHeads: size('linear_num_value_heads', 32),
    keyWidth: size('linear_key_head_dim', 128),
    valueWidth: size('linear_value_head_dim', 128),
    convolutionWidth: size('linear_conv_kernel_dim', 4),
    negativeEigenvalues: false,
    outputGate: 'silu',
  }
}

/** Defaults are those of transformers' configuration classes. Which layers have experts only qwen3_next says. */
function readExperts(settings: Settings, isNext: boolean): ExpertsConfig | null {
  const count = settings.take<number>('num_experts', fromZero, isNext ? 512 : 256)
  const experts: ExpertsConfig = {
    count,
    active: settings.take('num_experts_per_tok', positiveInteger, isNext ? 10 : 8),
    width: settings.take('moe_intermediate_size', positiveInteger, 512),
    sharedWidth: settings.take('shared_expert_intermediate_size', positiveInteger, 512),
    normalise: isNext ? settings.take('norm_topk_prob', flag, true) : true,
    every: isNext ? settings.take('decoder_sparse_step', positiveInteger, 1) : 1,
    dense: isNext ? settings.take('mlp_only_layers', layerList, []) : [],
    loadBalance: settings.take('router_aux_loss_coef', nonNegative, 0.001),
    zLoss: 0,
  }
  if (!isNext) settings.only('norm_topk_prob', [true], 'qwen3_5_moe always divides the weights by their sum')
  return count === 0 ? null : experts
}

interface Kind {
  readonly name: FamilyName
  readonly modelTypes: readonly string[]
  readonly delta: 'joined' | 'split'
  readonly architecture: string
  /** What `model_type` is written as. */
  readonly modelType: string
  readonly experts: 'never' | 'always' | 'maybe'
}

function readHybrid(settings: Settings, { name, modelTypes, experts }: Kind): TransformerConfigInput {
  requireModelType(settings, modelTypes)
  const common = readCommon(settings, 256)
  const types = readLayerTypes(settings, common.layers)
  const interval = settings.take<number>('full_attention_interval', positiveInteger, 4)
  const isNext = name === 'qwen3_next'
  if (!isNext) {
    settings.only('attn_output_gate', [true], 'attention without its gate is not in this family')
    settings.only('output_gate_type', ['swish', 'silu'], 'the output gate of linear attention is silu in this family')
    settings.only(
      'mtp_use_dedicated_embeddings',
      [false],
      'embeddings of their own for the next token are not implemented',
    )
    settings.only('mtp_num_hidden_layers', [0, 1], 'more than one block for the next token is not implemented')
  }
  const isMixture = experts !== 'never'
  const settled: TransformerConfigInput = {
    ...common,
    layerTypes:
      types ??
      Array.from({ length: common.layers }, (_, i): LayerType => ((i + 1) % interval === 0 ? 'attention' : 'delta')),
    delta: readDelta(settings),
    experts: isMixture ? readExperts(settings, isNext) : null,
    // Of no use where all layers have experts; qwen3_5_moe's released configurations have none.
    feedForwardWidth: settings.take<number>('intermediate_size', positiveInteger, experts === 'always' ? 1 : undefined),
    gate: 'elementwise',
    queryKeyNorm: true,
    zeroCentredNorm: true,
    bias: settings.take('attention_bias', flag, false),
    rope: readRope(settings, common.headWidth!, 0.25),
  }
  settings.finish()
  return settled
}

function hybridObstacle(config: TransformerConfig, experts: Kind['experts']): string | null {
  const common = commonObstacle(config)
  if (common !== null) return common
  if (!config.zeroCentredNorm) return 'zeroCentredNorm: false'
  if (config.layerTypes.includes('attention')) {
    if (config.gate === 'none') return `gate: 'none'`
    if (config.gate.grain !== 'elementwise') return `gate.grain: '${config.gate.grain}'`
    if (!config.queryKeyNorm) return 'queryKeyNorm: false'
    if (config.rope.dims === 0) return 'rope.dims: 0'
  }
  const wanted = { rule: 'gatedDelta', negativeEigenvalues: false, outputGate: 'silu' } as const
  if (config.layerTypes.includes('delta')) {
    for (const [key, value] of Object.entries(wanted)) {
      const found = config.delta[key as keyof typeof wanted]
      if (found !== value) return `delta.${key}: ${JSON.stringify(found)}`
    }
  }
  if (!config.experts) return experts === 'always' ? 'a model without experts' : null
  if (experts === 'never') return 'experts'
  if (config.experts.sharedWidth === 0) return 'experts.sharedWidth: 0'
  if (experts === 'maybe') return null
  if (!config.experts.normalise) return 'experts.normalise: false'
  if (config.experts.every !== 1) return `experts.every: ${config.experts.every}`
  return config.experts.dense.length > 0 ? `experts.dense: ${JSON.stringify(config.experts.dense)}` : null
}

function writeHybrid(config: TransformerConfig, kind: Kind): Json {
  const { delta, experts, rope, bias } = config
  const isNext = kind.name === 'qwen3_next'
  return {
    architectures: [kind.architecture],
    model_type: kind.modelType,
    ...writeCommon(config),
    layer_types: writeLayerTypes(config),
    attention_bias: bias,
    rope_parameters: { rope_type: 'default', rope_theta: rope.base, partial_rotary_factor: rotaryFactor(config) },
    // Versions of transformers before 5 read these.
    ...(isNext ? { rope_theta: rope.base, partial_rotary_factor: rotaryFactor(config) } : {}),
    linear_num_key_heads: delta.keyHeads,
    linear_num_value_heads: delta.valueHeads,
    linear_key_head_dim: delta.keyWidth,
    linear_value_head_dim: delta.valueWidth,
    linear_conv_kernel_dim: delta.convolutionWidth,
    ...(isNext ? {} : { attn_output_gate: true, mtp_num_hidden_layers: config.multiTokenPrediction ? 1 : 0 }),
    ...(experts
      ? {
          num_experts: experts.count,
          num_experts_per_tok: experts.active,
          moe_intermediate_size: experts.width,
          shared_expert_intermediate_size: experts.sharedWidth,
          router_aux_loss_coef: experts.loadBalance,
        }
      : isNext
        ? { num_experts: 0 }
        : {}),
    ...(isNext
      ? {
          norm_topk_prob: experts?.normalise ?? true,
          decoder_sparse_step: experts?.every ?? 1,
          mlp_only_layers: experts?.dense ?? [],
        }
      : {}),
  }
}

/** The part about text of a model that sees images too, and what is said of both beside it. */
function textSettings(operation: string, json: Json, isNext: boolean): Settings {
  if (isNext || json.text_config === undefined || json.text_config === null) return new Settings(operation, json)
  const outer = new Settings(operation, json)
  outer.inner('text_config')
  const inner = json.text_config as Json
  const tied = json.tie_word_embeddings
  if (
    typeof tied === 'boolean' &&
    typeof inner.tie_word_embeddings === 'boolean' &&
    inner.tie_word_embeddings !== tied
  ) {
    outer.fail(`tie_word_embeddings ${tied} and text_config.tie_word_embeddings ${!tied} contradict`)
  }
  outer.pass('tie_word_embeddings', 'vision_config', 'image_token_id', 'video_token_id')
  outer.pass('vision_start_token_id', 'vision_end_token_id')
  outer.finish()
  return new Settings(
    operation,
    {
      ...inner,
      tie_word_embeddings: inner.tie_word_embeddings ?? tied,
      model_type: inner.model_type ?? json.model_type,
    },
    'text_config.',
  )
}

function hybrid(kind: Kind): Family {
  const { name } = kind
  return {
    name,
    modelTypes: kind.modelTypes,
    layout: { prefix: 'model.', gateRows: 'head', delta: kind.delta, experts: 'separate' },
    read: (json) => readHybrid(textSettings(name, json, name === 'qwen3_next'), kind),
    obstacle: (config) => hybridObstacle(config, kind.experts),
    write: (config) => writeHybrid(config, kind),
    foreign: () => null,
  }
}

export const qwen3Next = hybrid({
  name: 'qwen3_next',
  modelTypes: ['qwen3_next'],
  delta: 'joined',
  architecture: 'Qwen3NextForCausalLM',
  modelType: 'qwen3_next',
  experts: 'maybe',
})

export const qwen35 = hybrid({
  name: 'qwen3_5',
  modelTypes: ['qwen3_5_text', 'qwen3_5'],
  delta: 'split',
  architecture: 'Qwen3_5ForCausalLM',
  modelType: 'qwen3_5_text',
  experts: 'never',
})

export const qwen35Experts = hybrid({
  name: 'qwen3_5_moe',
  modelTypes: ['qwen3_5_moe_text', 'qwen3_5_moe'],
  delta: 'split',
  architecture: 'Qwen3_5MoeForCausalLM',
  modelType: 'qwen3_5_moe_text',
  experts: 'always',
})
