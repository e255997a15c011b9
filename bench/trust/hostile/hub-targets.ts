/** Weights, configurations and tokenizers of other programs. */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { SluiceError } from '../../../src/errors.ts'
import {
  decodeSafetensors,
  encodeSafetensors,
  loadPretrained,
  loadTokenizer,
  openPretrained,
  openSafetensors,
  savePretrained,
  saveSafetensors,
} from '../../../src/hub/index.ts'
import { tokenizerFiles } from '../../../src/hub/tokenizer-files.ts'
import { Transformer, type TransformerConfigInput } from '../../../src/nn/index.ts'
import { hostileJson } from './json.ts'
import { bytesOf, type ReadyTarget, textOf } from './target.ts'

const device = 'reference'

const floats = (...shape: number[]) => ({
  dtype: 'float32' as const,
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i / 7),
})

/** A safetensors file of this header, whatever it says. */
export function withHeader(header: Uint8Array, values: Uint8Array, claimed = header.length): Uint8Array {
  const bytes = Buffer.alloc(8 + header.length + values.length)
  bytes.writeBigUInt64LE(BigInt(claimed))
  bytes.set(header, 8)
  bytes.set(values, 8 + header.length)
  return bytes
}

const headerWords = [
  'dtype',
  'shape',
  'data_offsets',
  '__metadata__',
  'F64',
  'F32',
  'F16',
  'BF16',
  'I32',
  'I64',
  'weight',
]

/** The two readers must be of one mind: from memory at once, and in parts. */
export const safetensors: ReadyTarget = async () => {
  const tensors = new Map<string, ReturnType<typeof floats>>([
    ['weight', floats(2, 3)],
    ['empty', floats(0, 4)],
    ['scalar', floats()],
  ])
  const valid = [
    encodeSafetensors(tensors, { format: 'pt', step: '3' }),
    withHeader(bytesOf('{"h":{"dtype":"F16","shape":[3],"data_offsets":[0,6]}}'), new Uint8Array(6)),
    encodeSafetensors(new Map()),
  ]
  const headers = valid.map((bytes) => {
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true))
    return JSON.parse(textOf(bytes.subarray(8, 8 + length))) as unknown
  })
  return {
    valid,
    words: headerWords,
    made: fc
      .tuple(hostileJson(headers, headerWords), fc.constantFrom(0, 14, 28, 64))
      .map(([header, length]) => withHeader(bytesOf(header), new Uint8Array(length))),
    besides: 0,
    async read(bytes) {
      let whole: ReturnType<typeof decodeSafetensors> | undefined
      let refusal: unknown
      try {
        whole = decodeSafetensors(bytes)
      } catch (error) {
        if (!(error instanceof SluiceError)) throw error
        refusal = error
      }
      const reader = await openSafetensors(bytes).catch((error: unknown) => {
        if (whole) throw new Error('decodeSafetensors reads what openSafetensors refuses')
        throw error
      })
      if (!whole) throw new Error(`openSafetensors reads what decodeSafetensors refuses: ${String(refusal)}`)
      for (const [name, { shape }] of reader.tensors) {
        const { data } = await reader.read(name)
        if (data.length !== whole.tensors.get(name)?.data.length) throw new Error('the two readers differ')
        if (shape.length > 0) await reader.read(name, { rows: [0, Math.min(1, shape[0]!)] })
      }
      await reader.close()
    },
  }
}

export const shardedIndex: ReadyTarget = async (folder) => {
  const path = join(folder, 'model.safetensors')
  const tensors = { a: floats(4), b: floats(2, 3), c: floats(5) }
  const index = await saveSafetensors(path, tensors, { shardBytes: 40 })
  await mkdir(join(folder, 'inner'))
  await saveSafetensors(join(folder, 'inner/other.safetensors'), tensors)
  const valid = [new Uint8Array(await readFile(index))]
  const shards = ['model-00001-of-00003.safetensors', 'model-00002-of-00003.safetensors']
  const places = [
    '../x',
    '../../../x',
    '/etc/passwd',
    'C:\\x',
    '..\\x',
    'inner/other.safetensors',
    'a/../../x',
    '\0',
    './',
    '..',
    '.',
  ]
  const words = [
    'weight_map',
    'metadata',
    'total_size',
    'a',
    'b',
    'c',
    ...shards,
    ...places,
    'inner',
    'file:///etc/passwd',
  ]
  const pointed = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom(...shards, ...places))
  return {
    valid,
    words,
    made: fc
      .oneof(
        { weight: 3, arbitrary: hostileJson([JSON.parse(textOf(valid[0]!))], words) },
        { weight: 1, arbitrary: pointed.map((map) => JSON.stringify({ weight_map: map })) },
      )
      .map(bytesOf),
    besides: 600,
    async read(bytes) {
      await writeFile(index, bytes)
      const reader = await openSafetensors(index)
      for (const name of reader.tensors.keys()) await reader.read(name)
      await reader.close()
    },
  }
}

const models: Readonly<Record<string, TransformerConfigInput>> = {
  qwen3: { vocabularySize: 7, width: 4, layers: 2, heads: 2, headWidth: 2, gate: 'headwise', tied: false },
  qwen3_next: {
    ...{ vocabularySize: 7, width: 4, layers: 2, heads: 2, headWidth: 4, gate: 'elementwise', tied: false },
    ...{ fullAttentionInterval: 2, zeroCentredNorm: true, rope: { dims: 2 }, feedForwardWidth: 8 },
    experts: { count: 2, active: 1, width: 3, sharedWidth: 2 },
  },
}

const configWords = [
  ...['model_type', 'qwen3', 'qwen3_next', 'qwen3_5', 'qwen3_5_moe', 'text_config', 'layer_types', 'full_attention'],
  ...['linear_attention', 'hidden_size', 'num_hidden_layers', 'num_attention_heads', 'num_key_value_heads', 'head_dim'],
  ...['rope_scaling', 'rope_parameters', 'rope_theta', 'partial_rotary_factor', 'num_experts', 'mlp_only_layers'],
  ...['tie_word_embeddings', 'vocab_size', 'intermediate_size', 'full_attention_interval', 'qkv_bias', 'rms_norm_eps'],
]

/** A model's folder, whose config.json is hostile; loaded whole, and opened to be streamed. */
export const configuration: ReadyTarget = async (folder) => {
  const texts: string[] = []
  let besides = 0
  for (const [name, settings] of Object.entries(models)) {
    const model = new Transformer(settings, { device })
    await savePretrained(model, join(folder, name))
    model.dispose()
    texts.push(await readFile(join(folder, name, 'config.json'), 'utf8'))
    besides += (await stat(join(folder, name, 'model.safetensors'))).size
  }
  return {
    valid: texts.map(bytesOf),
    words: configWords,
    made: hostileJson(
      texts.map((text) => JSON.parse(text) as unknown),
      configWords,
    ).map(bytesOf),
    besides,
    async read(bytes) {
      const inside = join(folder, textOf(bytes.subarray(0, 2000)).includes('next') ? 'qwen3_next' : 'qwen3')
      await writeFile(join(inside, 'config.json'), bytes)
      const streamed = await openPretrained(inside, { device })
      await streamed.close()
      const whole = await loadPretrained(inside, { device })
      whole.dispose()
    },
  }
}

/** Byte pairs with everything that such files have. */
const bytePairs = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [
    { id: 9, content: '<|end|>', single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
  ],
  normalizer: {
    type: 'Sequence',
    normalizers: [{ type: 'NFC' }, { type: 'Replace', pattern: { String: 'x' }, content: 'y' }],
  },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex: "'s| ?\\p{L}+|\\s+(?!\\S)|\\s+" }, behavior: 'Isolated', invert: false },
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  },
  post_processor: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true },
  decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: {
    ...{ type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null },
    ...{ fuse_unk: false, byte_fallback: false, ignore_merges: false },
    vocab: { a: 0, b: 1, c: 2, ab: 3, abc: 4, Ġ: 5, Ġa: 6, l: 7, m: 8 },
    merges: ['a b', 'ab c', 'Ġ a'],
  },
}

const tokenizerWords = [
  ...['model', 'type', 'BPE', 'WordPiece', 'Unigram', 'WordLevel', 'vocab', 'merges', 'added_tokens', 'content', 'id'],
  ...['pre_tokenizer', 'normalizer', 'decoder', 'post_processor', 'Sequence', 'Split', 'Regex', 'String', 'pattern'],
  ...[
    'Replace',
    'ByteLevel',
    'ByteFallback',
    'Fuse',
    'Metaspace',
    'Punctuation',
    'Digits',
    'TemplateProcessing',
    'unk_token',
  ],
  ...['(', '(a+)+', '[^', '\\p{L}+', 'BertNormalizer', 'Precompiled', 'Strip', 'CTC', 'Lowercase', 'Prepend', 'unk_id'],
]

export const tokenizer: ReadyTarget = async (folder) => {
  const simple = [{ kind: 'byte' as const }, { kind: 'character' as const, characters: 'abcdelm ' }]
  const texts = [...simple.map((kind) => tokenizerFiles(kind, 64)['tokenizer.json']!), JSON.stringify(bytePairs)]
  return {
    valid: texts.map(bytesOf),
    words: tokenizerWords,
    made: hostileJson(
      texts.map((text) => JSON.parse(text) as unknown),
      tokenizerWords,
    ).map(bytesOf),
    besides: 0,
    async read(bytes) {
      await writeFile(join(folder, 'tokenizer.json'), bytes)
      const { encode, decode, vocabularySize } = await loadTokenizer(folder)
      if (!Number.isSafeInteger(vocabularySize)) throw new Error(`the vocabulary has ${vocabularySize} tokens`)
      decode(encode('abc call me abab'))
    },
  }
}
