/** config.json to a TransformerConfig and back. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SluiceError } from '../../../src/errors.ts'
import type { FamilyName, Json } from '../../../src/hub/families/family.ts'
import { familyFor, familyNamed, familyNames, familyOf } from '../../../src/hub/families/index.ts'
import { transformerConfig } from '../../../src/nn/config.ts'
import { anyConfig } from './models.ts'

/** What a file does not keep: it matters only when a model is made or trained. */
const forgotten = { gateStd: 0, dropout: 0 }

test.each(familyNames)('%s: any model it can express is the same after it was written and read', (name) => {
  const family = familyNamed('test', name)
  fc.assert(
    fc.property(anyConfig(name), (config) => {
      expect(family.obstacle(config)).toBeNull()
      const json = JSON.parse(JSON.stringify(family.write(config))) as Json
      expect(familyOf('test', json)).toBe(family)
      const read = transformerConfig(family.read(json))
      // Delta layers that are not there, and experts' companions, are defaults of the file.
      const { delta, multiTokenPrediction, feedForwardWidth, ...rest } = config
      const wanted = {
        ...rest,
        ...forgotten,
        multiTokenPrediction: null,
        delta: name === 'qwen3' ? read.delta : delta,
        feedForwardWidth,
      }
      expect({ ...read, ...forgotten }).toEqual(wanted)
      expect(multiTokenPrediction === null || name !== 'qwen3').toBe(true)
    }),
    { numRuns: 300 },
  )
})

test('any number of turned dimensions survives being written as a share, which may round down', () => {
  const family = familyNamed('test', 'qwen3_next')
  for (let headWidth = 2; headWidth <= 64; headWidth += 2) {
    for (let dims = 2; dims <= headWidth; dims += 2) {
      const config = transformerConfig({ vocabularySize: 1, headWidth, rope: { dims }, zeroCentredNorm: true })
      expect(family.read(family.write(config)).rope).toEqual({ base: 10000, dims })
    }
  }
  // 44 (30 / 44) is 29.999999999999996.
  expect(Math.trunc(44 * (30 / 44))).toBe(29)
})

/** As transformers 5.24 writes them. */
const common = {
  ...{ attention_bias: false, attention_dropout: 0, bos_token_id: null, dtype: 'float32', eos_token_id: null },
  ...{ head_dim: 8, hidden_act: 'silu', hidden_size: 24, initializer_range: 0.02, intermediate_size: 20 },
  ...{ max_position_embeddings: 64, num_attention_heads: 4, num_hidden_layers: 4, num_key_value_heads: 2 },
  ...{ pad_token_id: null, rms_norm_eps: 1e-6, transformers_version: '5.24.0', use_cache: true, vocab_size: 40 },
}
const hybrid = {
  ...common,
  layer_types: ['linear_attention', 'linear_attention', 'linear_attention', 'full_attention'],
  ...{ linear_conv_kernel_dim: 4, linear_key_head_dim: 6, linear_num_key_heads: 2 },
  ...{ linear_num_value_heads: 4, linear_value_head_dim: 5 },
  rope_parameters: { partial_rotary_factor: 0.25, rope_theta: 10000, rope_type: 'default' },
  tie_word_embeddings: false,
}
const mixture = {
  ...{ moe_intermediate_size: 12, num_experts: 4, num_experts_per_tok: 2, output_router_logits: false },
  ...{ router_aux_loss_coef: 0.001, shared_expert_intermediate_size: 12 },
}
const files: Record<FamilyName, Json> = {
  qwen3: {
    ...common,
    architectures: ['Qwen3ForCausalLM'],
    layer_types: Array(4).fill('full_attention'),
    max_window_layers: 28,
    model_type: 'qwen3',
    rope_parameters: { rope_theta: 10000, rope_type: 'default' },
    sliding_window: null,
    tie_word_embeddings: true,
    use_sliding_window: false,
  },
  qwen3_next: {
    ...hybrid,
    ...mixture,
    ...{ model_type: 'qwen3_next', decoder_sparse_step: 1, mlp_only_layers: [1], norm_topk_prob: true },
  },
  qwen3_5: { ...hybrid, model_type: 'qwen3_5_text' },
  qwen3_5_moe: { ...hybrid, ...mixture, model_type: 'qwen3_5_moe_text' },
}

const read = (json: Json) => transformerConfig(familyOf('test', json).read(json))

test('the files of transformers are read', () => {
  const delta = { rule: 'gatedDelta', keyHeads: 2, valueHeads: 4, keyWidth: 6, valueWidth: 5, convolutionWidth: 4 }
  expect(read(files.qwen3)).toMatchObject({ gate: 'none', tied: true, zeroCentredNorm: false, rope: { dims: 8 } })
  expect(read(files.qwen3_next)).toMatchObject({
    ...{ width: 24, heads: 4, keyValueHeads: 2, headWidth: 8, tied: false, zeroCentredNorm: true, delta },
    layerTypes: ['delta', 'delta', 'delta', 'attention'],
    gate: { position: 'G1', grain: 'elementwise', act: 'sigmoid' },
    rope: { base: 10000, dims: 2 },
    experts: { count: 4, active: 2, width: 12, sharedWidth: 12, normalise: true, every: 1, dense: [1] },
  })
  expect(read(files.qwen3_5)).toMatchObject({ experts: null, feedForwardWidth: 20, delta })
  expect(read(files.qwen3_5_moe)).toMatchObject({ experts: { count: 4, every: 1, dense: [] } })
})

test('older keys and left-out ones mean what transformers takes them for', () => {
  const { layer_types: _, rope_parameters: __, head_dim: ___, ...rest } = files.qwen3_next
  const old = { ...rest, full_attention_interval: 2, rope_theta: 1e7, rope_scaling: null, partial_rotary_factor: 0.5 }
  expect(read(old)).toMatchObject({
    layerTypes: ['delta', 'attention', 'delta', 'attention'],
    headWidth: 256,
    rope: { base: 1e7, dims: 128 },
  })
  expect(read({ ...rest, hidden_size: 24 }).layerTypes).toEqual(['delta', 'delta', 'delta', 'attention'])
  // The list wins over the interval, as in transformers.
  expect(read({ ...files.qwen3_next, full_attention_interval: 2 }).layerTypes[1]).toBe('delta')
  expect(read({ ...files.qwen3_next, num_experts: 0 }).experts).toBeNull()
})

test('a model that sees images too: its part about text is read', () => {
  const { model_type: _, tie_word_embeddings: __, ...text } = files.qwen3_5
  const rope = { mrope_interleaved: true, mrope_section: [11, 11, 10], rope_type: 'default', rope_theta: 1e7 }
  const whole = {
    ...{ model_type: 'qwen3_5', image_token_id: 1, vision_config: { depth: 27 }, tie_word_embeddings: true },
    text_config: { ...text, model_type: 'qwen3_5_text', rope_parameters: rope, mtp_num_hidden_layers: 1 },
  }
  expect(read(whole)).toMatchObject({ tied: true, rope: { base: 1e7, dims: 2 }, layers: 4 })
  const both = { ...whole, text_config: { ...whole.text_config, tie_word_embeddings: false } }
  expect(() => read(both)).toThrow(/tie_word_embeddings true and text_config.tie_word_embeddings false contradict/)
  const odd = { ...whole, text_config: { ...whole.text_config, hyper: 2 } }
  expect(() => read(odd)).toThrow(/text_config.hyper 2: not known here/)
})

test('the paper’s models: headwise wins over elementwise, and which bias counts', () => {
  const paper = (changes: object) => read({ ...files.qwen3, ...changes })
  const both = { headwise_attn_output_gate: true, elementwise_attn_output_gate: true }
  expect(paper(both)).toMatchObject({ gate: { grain: 'headwise' } })
  expect(paper({ elementwise_attn_output_gate: true, use_qk_norm: false })).toMatchObject({
    gate: { grain: 'elementwise' },
    queryKeyNorm: false,
  })
  expect(paper({ attention_bias: true }).bias).toBe(true)
  expect(paper({ ...both, qkv_bias: true }).bias).toBe(true)
  expect(paper({ ...both, qkv_bias: false, attention_bias: true }).bias).toBe(false)
  expect(() => paper({ ...both, attention_bias: true })).toThrow(/attention_bias true: .* reads qkv_bias .* missing/)
  expect(() => paper({ qkv_bias: true })).toThrow(/attention_bias false and qkv_bias true contradict/)
})

test.each<[FamilyName, object, RegExp]>([
  ['qwen3', { hidden_act: 'gelu' }, /hidden_act "gelu": only silu/],
  ['qwen3', { use_sliding_window: true }, /use_sliding_window true: sliding-window attention is not implemented/],
  ['qwen3', { layer_types: ['sliding_attention', 'x', 'x', 'x'] }, /layer_types\[0\] 'sliding_attention' is not impl/],
  ['qwen3', { layer_types: ['full_attention'] }, /layer_types \["full_attention"\] must be a list of 4 names/],
  ['qwen3', { layer_types: [...Array(3).fill('full_attention'), 'linear_attention'] }, /qwen3 has no linear_attention/],
  ['qwen3', { rope_scaling: { type: 'yarn', factor: 4 } }, /rope_scaling.type "yarn": .* no scaling is implemented/],
  ['qwen3', { rope_parameters: { rope_type: 'linear' } }, /rope_parameters.rope_type "linear"/],
  ['qwen3', { rope_parameters: { factor: 2 } }, /rope_parameters.factor 2: not known here/],
  ['qwen3', { partial_rotary_factor: 0.5 }, /qwen3 turns all dimensions of a head/],
  ['qwen3', { vocab_size: undefined }, /vocab_size is missing/],
  ['qwen3', { vocab_size: '40' }, /vocab_size "40" must be a positive integer/],
  ['qwen3', { num_key_value_heads: 3 }, /heads must be a multiple of keyValueHeads/],
  ['qwen3', { quantization_config: { bits: 4 } }, /quantization_config {"bits":4}: not known here/],
  ['qwen3', { model_type: 'llama' }, /model_type "llama"; what can be read is qwen3, qwen3_next/],
  ['qwen3_next', { rope_parameters: { partial_rotary_factor: 0.45 } }, /turns 3 of 8 dimensions; an even number/],
  ['qwen3_next', { linear_num_value_heads: 3 }, /delta.valueHeads must be a multiple of delta.keyHeads/],
  ['qwen3_next', { mlp_only_layers: [-1] }, /mlp_only_layers \[-1\] must be a list of layers/],
  ['qwen3_next', { num_experts: 1 }, /experts.active must be at most experts.count/],
  ['qwen3_5', { output_gate_type: 'sigmoid' }, /output_gate_type "sigmoid": the output gate .* is silu/],
  ['qwen3_5', { attn_output_gate: false }, /attn_output_gate false: attention without its gate/],
  ['qwen3_5', { mtp_num_hidden_layers: 2 }, /mtp_num_hidden_layers 2: more than one block/],
  ['qwen3_5_moe', { norm_topk_prob: false }, /norm_topk_prob false: qwen3_5_moe always divides/],
])('%s with %o is refused by name', (name, changes, message) => {
  const json = { ...files[name], ...changes }
  expect(() => read(json)).toThrow(SluiceError)
  expect(() => read(json)).toThrow(message)
})

test('damaged values of any key are a SluiceError or another model, never a crash', () => {
  const odd = fc.oneof(fc.jsonValue(), fc.integer(), fc.constantFrom(null, 0, -1, 1.5, '', 'silu', true, [], {}))
  fc.assert(
    fc.property(fc.constantFrom(...familyNames), fc.nat(), odd, (name, place, value) => {
      const keys = Object.keys(files[name])
      const json = { ...files[name], [keys[place % keys.length]]: value }
      try {
        transformerConfig(familyOf('test', json).read(json))
      } catch (error) {
        expect(error).toBeInstanceOf(SluiceError)
      }
    }),
    { numRuns: 1000 },
  )
})

test('a model that no family can express: the key that stands in the way of each', () => {
  const of = (changes: object) => transformerConfig({ vocabularySize: 5, width: 8, heads: 2, ...changes })
  expect(familyFor('test', of({})).name).toBe('qwen3')
  expect(familyFor('test', of({ zeroCentredNorm: true })).name).toBe('qwen3_next')
  const obstacles: [object, FamilyName, string | null][] = [
    [{ norm: 'sandwich' }, 'qwen3', 'norm: "sandwich"'],
    [{ clip: 3 }, 'qwen3', 'clip: 3'],
    [{ position: 'learned' }, 'qwen3', 'position: "learned"'],
    [{ feedForward: 'gelu' }, 'qwen3_next', 'feedForward: "gelu"'],
    [{ sdpaPost: 'silu' }, 'qwen3', 'sdpaPost: "silu"'],
    [{ switchHead: { count: 2, active: 1 } }, 'qwen3', 'switchHead: {"maps":"value","count":2,"active":1}'],
    [{ switchHead: { count: 2, active: 1 } }, 'qwen3_next', 'switchHead: {"maps":"value","count":2,"active":1}'],
    [{ gate: { act: 'silu' } }, 'qwen3', 'gate.act: "silu"'],
    [{ gate: { position: 'G2' } }, 'qwen3', 'gate.position: "G2"'],
    [{ gate: { op: 'add' } }, 'qwen3', 'gate.op: "add"'],
    [{ gate: { shared: true } }, 'qwen3', 'gate.shared: true'],
    [{ gate: { input: 'none' } }, 'qwen3', 'gate.input: "none"'],
    [{ zeroCentredNorm: true }, 'qwen3', 'zeroCentredNorm: true'],
    [{ rope: { dims: 2 } }, 'qwen3', 'rope.dims: 2, not all 4 of a head'],
    [{ multiTokenPrediction: {} }, 'qwen3', 'multiTokenPrediction'],
    [{ layerTypes: ['delta'] }, 'qwen3', "layerTypes: 'delta'"],
    [{}, 'qwen3_next', 'zeroCentredNorm: false'],
    [{ zeroCentredNorm: true, gate: 'headwise' }, 'qwen3_next', "gate.grain: 'headwise'"],
    [{ zeroCentredNorm: true, gate: 'none' }, 'qwen3_next', "gate: 'none'"],
    [{ zeroCentredNorm: true, rope: { dims: 0 } }, 'qwen3_next', 'rope.dims: 0'],
    [{ zeroCentredNorm: true, queryKeyNorm: false }, 'qwen3_5', 'queryKeyNorm: false'],
    [{ zeroCentredNorm: true, layerTypes: ['delta'], delta: { rule: 'kda' } }, 'qwen3_5', 'delta.rule: "kda"'],
    [{ zeroCentredNorm: true, experts: { count: 2, active: 1 } }, 'qwen3_next', 'experts.sharedWidth: 0'],
    [{ zeroCentredNorm: true, experts: { count: 2, active: 1, sharedWidth: 2 } }, 'qwen3_5', 'experts'],
    [{ zeroCentredNorm: true }, 'qwen3_5_moe', 'a model without experts'],
    [
      { zeroCentredNorm: true, experts: { count: 2, active: 1, sharedWidth: 2, dense: [1] } },
      'qwen3_5_moe',
      'experts.dense: [1]',
    ],
    // A gate of attention is no matter where there is no attention.
    [{ zeroCentredNorm: true, layerTypes: ['delta'], gate: 'none' }, 'qwen3_next', null],
  ]
  for (const [changes, name, obstacle] of obstacles) {
    expect(familyNamed('test', name).obstacle(of(changes)), JSON.stringify(changes)).toBe(obstacle)
  }
  expect(() => familyFor('test', of({ norm: 'sandwich' }))).toThrow(
    /no family can express this model: qwen3 cannot express norm: "sandwich"; qwen3_next cannot/,
  )
})
