/**
 * `qwen3`: Qwen3, and the gated-attention paper's models, which add `headwise_attn_output_gate` and
 * `elementwise_attn_output_gate` to it. Sources: transformers' models/qwen3; the paper's configuration_qwen3.py and
 * modeling_qwen3.py.
 */
import { flag, positiveInteger } from '../../nn/validate.ts'
import {
  commonObstacle,
  type Family,
  readCommon,
  readLayerTypes,
  readRope,
  requireModelType,
  writeCommon,
  writeLayerTypes,
} from './family.ts'
import { Settings } from './settings.ts'

/**
 * Whether projections have a bias. Qwen3's code asks `attention_bias`, the paper's asks `qkv_bias`, which its own
 * configuration class never sets: what one of them would ignore is refused.
 */
function readBias(settings: Settings, isGated: boolean): boolean {
  const attentionBias = settings.take('attention_bias', flag, false)
  if (!settings.has('qkv_bias')) {
    settings.pass('qkv_bias')
    if (isGated && attentionBias) {
      settings.fail(`attention_bias true: the paper's code reads qkv_bias in its place, which is missing; set qkv_bias`)
    }
    return attentionBias
  }
  const bias = settings.take<boolean>('qkv_bias', flag)
  if (!isGated && settings.has('attention_bias') && bias !== attentionBias) {
    settings.fail(
      `attention_bias ${attentionBias} and qkv_bias ${bias} contradict: transformers' code reads the first, the paper's the second`,
    )
  }
  return bias
}

export const qwen3: Family = {
  name: 'qwen3',
  modelTypes: ['qwen3'],
  layout: { prefix: 'model.', gateRows: 'group', delta: 'joined', experts: 'separate' },

  read(json) {
    const settings = new Settings('qwen3', json)
    requireModelType(settings, this.modelTypes)
    const common = readCommon(settings, 128)
    const headwise = settings.take('headwise_attn_output_gate', flag, false)
    const elementwise = settings.take('elementwise_attn_output_gate', flag, false)
    const types = readLayerTypes(settings, common.layers)
    if (types?.includes('delta')) settings.fail('layer_types: qwen3 has no linear_attention')
    const config = {
      ...common,
      feedForwardWidth: settings.take<number>('intermediate_size', positiveInteger),
      // With both set the paper's code looks at the first alone.
      gate: headwise ? ('headwise' as const) : elementwise ? ('elementwise' as const) : ('none' as const),
      queryKeyNorm: settings.take('use_qk_norm', flag, true),
      zeroCentredNorm: false,
      bias: readBias(settings, headwise || elementwise),
      rope: readRope(settings, common.headWidth!, 1),
    }
    if (config.rope.dims !== common.headWidth) {
      settings.fail('partial_rotary_factor: qwen3 turns all dimensions of a head, whatever it says; remove it')
    }
    settings.finish()
    return config
  },

  obstacle(config) {
    const { layerTypes, experts, zeroCentredNorm, rope, headWidth, multiTokenPrediction } = config
    const common = commonObstacle(config)
    if (common !== null) return common
    if (layerTypes.includes('delta')) return `layerTypes: 'delta'`
    if (experts) return 'experts'
    if (multiTokenPrediction) return 'multiTokenPrediction'
    if (zeroCentredNorm) return 'zeroCentredNorm: true'
    return rope.dims === headWidth ? null : `rope.dims: ${rope.dims}, not all ${headWidth} of a head`
  },

  write(config) {
    const { gate, bias, queryKeyNorm, rope } = config
    const grain = gate === 'none' ? 'none' : gate.grain
    return {
      architectures: ['Qwen3ForCausalLM'],
      model_type: 'qwen3',
      ...writeCommon(config),
      layer_types: writeLayerTypes(config),
      attention_bias: bias,
      rope_theta: rope.base,
      rope_parameters: { rope_type: 'default', rope_theta: rope.base },
      ...(this.foreign(config) === null
        ? {}
        : {
            headwise_attn_output_gate: grain === 'headwise',
            elementwise_attn_output_gate: grain === 'elementwise',
            use_qk_norm: queryKeyNorm,
            qkv_bias: bias,
          }),
    }
  },

  foreign({ gate, queryKeyNorm }) {
    if (gate === 'none' && queryKeyNorm) return null
    const what = gate === 'none' ? 'queries and keys without a norm' : `a ${gate.grain} gate`
    return `transformers' own qwen3 knows no ${what.replace(/^a /, '')}; load it with the modeling_qwen3.py of the gated-attention paper`
  },
}
