/**
 * The weights of the decoders that this folder reads: their names, and the order of their rows, in files and in a
 * `Transformer`. The families differ in a few choices, `Layout`; the rest is the same.
 *
 * C width, H query heads, KV key-value heads, G = H / KV, D head width; Hk key heads, Hv value heads, R = Hv / Hk, K and V
 * widths of a key and a value; E experts, F hidden width. Sources: transformers' modeling files of qwen3, qwen3_next and
 * qwen3_5, and the gated-attention paper's modeling_qwen3.py.
 */
import { hasExperts, type LayerType, type TransformerConfig } from '../../nn/config.ts'
import { type Named, RowMap, type Run, same } from './rows.ts'

export interface Layout {
  /** Of all names but the head's: 'model.', or 'model.language_model.' in a model that sees images too. */
  readonly prefix: string
  /**
   * How q_proj holds the gate: for each head its query rows, then its gate rows; or so for each key-value head, with the
   * rows of its G query heads.
   */
  readonly gateRows: 'head' | 'group'
  /**
   * How a delta layer holds its projections: in_proj_qkvz and in_proj_ba, by key head, or in_proj_qkv, _z, _b and _a.
   */
  readonly delta: 'joined' | 'split'
  /** Experts as tensors of their own, or stacked, gate_proj on up_proj. */
  readonly experts: 'separate' | 'stacked'
}

export interface DecoderWeights {
  readonly embedding: RowMap
  readonly layers: readonly (readonly RowMap[])[]
  readonly norm: RowMap
  /** Null when tied. */
  readonly head: RowMap | null
  /** Of multi-token prediction. */
  readonly nextToken: readonly RowMap[]
}

/** A tensor of this name and shape. */
const named = (name: string, ...shape: number[]): Named => ({ name, shape })

/** Runs for each of `count` heads. */
const perHead = (count: number, runs: (head: number) => Run[]): Run[] =>
  Array.from({ length: count }, (_, head) => runs(head)).flat()

function attentionWeights(config: TransformerConfig, layout: Layout, file: string, model: string): RowMap[] {
  const { width: C, heads: H, keyValueHeads: KV, headWidth: D, gate } = config
  const gateWidth = gate === 'none' ? 0 : gate.grain === 'elementwise' ? D : 1
  const groups = layout.gateRows === 'head' ? H : KV
  const heads = H / groups
  const runs = perHead(groups, (m): Run[] => [
    [0, m * heads * D, heads * D],
    ...(gateWidth > 0 ? [[1, m * heads * gateWidth, heads * gateWidth] as const] : []),
  ])
  const projection = (name: string, part: 'weight' | 'bias', rows: number, columns: number) =>
    part === 'weight' ? named(`${name}.weight`, rows, columns) : named(`${name}.bias`, rows)
  const maps: RowMap[] = []
  for (const part of config.bias ? (['weight', 'bias'] as const) : (['weight'] as const)) {
    const queries = [projection(`${model}queryProjection`, part, H * D, C)]
    if (gateWidth > 0) queries.push(projection(`${model}gateProjection`, part, H * gateWidth, C))
    maps.push(
      new RowMap([projection(`${file}q_proj`, part, H * (D + gateWidth), C)], queries, part === 'weight' ? C : 1, runs),
      same(projection(`${file}k_proj`, part, KV * D, C), projection(`${model}keyProjection`, part, KV * D, C)),
      same(projection(`${file}v_proj`, part, KV * D, C), projection(`${model}valueProjection`, part, KV * D, C)),
      same(projection(`${file}o_proj`, part, C, H * D), projection(`${model}outputProjection`, part, C, H * D)),
    )
  }
  if (config.queryKeyNorm) {
    maps.push(
      same(named(`${file}q_norm.weight`, D), named(`${model}queryNorm.weight`, D)),
      same(named(`${file}k_norm.weight`, D), named(`${model}keyNorm.weight`, D)),
    )
  }
  return maps
}

function deltaWeights(config: TransformerConfig, layout: Layout, file: string, model: string): RowMap[] {
  const { width: C, delta } = config
  const { keyHeads: Hk, valueHeads: Hv, keyWidth: K, valueWidth: V, convolutionWidth: W } = delta
  const R = Hv / Hk
  const channels = 2 * Hk * K + Hv * V
  const q = named(`${model}queryProjection.weight`, Hk * K, C)
  const k = named(`${model}keyProjection.weight`, Hk * K, C)
  const v = named(`${model}valueProjection.weight`, Hv * V, C)
  const z = named(`${model}outputGateProjection.weight`, Hv * V, C)
  const b = named(`${model}betaProjection.weight`, Hv, C)
  const a = named(`${model}decayProjection.weight`, Hv, C)
  const projections =
    layout.delta === 'joined'
      ? [
          new RowMap(
            [named(`${file}in_proj_qkvz.weight`, channels + Hv * V, C)],
            [q, k, v, z],
            C,
            perHead(Hk, (h) => [
              [0, h * K, K],
              [1, h * K, K],
              [2, h * R * V, R * V],
              [3, h * R * V, R * V],
            ]),
          ),
          new RowMap(
            [named(`${file}in_proj_ba.weight`, 2 * Hv, C)],
            [b, a],
            C,
            perHead(Hk, (h) => [
              [0, h * R, R],
              [1, h * R, R],
            ]),
          ),
        ]
      : [
          new RowMap([named(`${file}in_proj_qkv.weight`, channels, C)], [q, k, v], C, [
            [0, 0, Hk * K],
            [1, 0, Hk * K],
            [2, 0, Hv * V],
          ]),
          same(named(`${file}in_proj_z.weight`, Hv * V, C), z),
          same(named(`${file}in_proj_b.weight`, Hv, C), b),
          same(named(`${file}in_proj_a.weight`, Hv, C), a),
        ]
  return [
    ...projections,
    same(named(`${file}conv1d.weight`, channels, 1, W), named(`${model}convolution`, channels, W)),
    same(named(`${file}dt_bias`, Hv), named(`${model}decayBias`, Hv)),
    same(named(`${file}A_log`, Hv), named(`${model}decayRate`, Hv)),
    same(named(`${file}norm.weight`, V), named(`${model}outputNorm.weight`, V)),
    same(named(`${file}out_proj.weight`, C, Hv * V), named(`${model}outputProjection.weight`, C, Hv * V)),
  ]
}

function feedForwardWeights(C: number, F: number, file: string, model: string): RowMap[] {
  return [
    same(named(`${file}gate_proj.weight`, F, C), named(`${model}gateProjection.weight`, F, C)),
    same(named(`${file}up_proj.weight`, F, C), named(`${model}upProjection.weight`, F, C)),
    same(named(`${file}down_proj.weight`, C, F), named(`${model}downProjection.weight`, C, F)),
  ]
}

function expertWeights(config: TransformerConfig, layout: Layout, file: string, model: string): RowMap[] {
  const { width: C } = config
  const { count: E, width: F, sharedWidth } = config.experts!
  const stacks = { gate: [E, F, C], up: [E, F, C], down: [E, C, F] } as const
  const stack = (part: keyof typeof stacks) => named(`${model}${part}Projections`, ...stacks[part])
  const maps = [same(named(`${file}gate.weight`, E, C), named(`${model}router.weight`, E, C))]
  if (layout.experts === 'stacked') {
    const gateUp = named(`${file}experts.gate_up_proj`, E, 2 * F, C)
    const runs = perHead(E, (e) => [
      [0, e * F, F],
      [1, e * F, F],
    ])
    maps.push(new RowMap([gateUp], [stack('gate'), stack('up')], C, runs))
    maps.push(same(named(`${file}experts.down_proj`, E, C, F), stack('down')))
  } else {
    for (const part of ['gate', 'up', 'down'] as const) {
      const [, rows, columns] = stacks[part]
      const own = Array.from({ length: E }, (_, e) => named(`${file}experts.${e}.${part}_proj.weight`, rows, columns))
      maps.push(new RowMap(own, [stack(part)], columns, [[0, 0, E * rows]]))
    }
  }
  if (sharedWidth > 0) {
    maps.push(...feedForwardWeights(C, sharedWidth, `${file}shared_expert.`, `${model}shared.`))
    maps.push(same(named(`${file}shared_expert_gate.weight`, 1, C), named(`${model}sharedGate.weight`, 1, C)))
  }
  return maps
}

/** One layer, by the beginnings of its names on either side. */
function layerWeights(
  config: TransformerConfig,
  layout: Layout,
  { type, experts }: { type: LayerType; experts: boolean },
  file: string,
  model: string,
): RowMap[] {
  const { width: C } = config
  return [
    same(named(`${file}input_layernorm.weight`, C), named(`${model}mixerNorm.weight`, C)),
    ...(type === 'attention'
      ? attentionWeights(config, layout, `${file}self_attn.`, `${model}attention.`)
      : deltaWeights(config, layout, `${file}linear_attn.`, `${model}delta.`)),
    same(named(`${file}post_attention_layernorm.weight`, C), named(`${model}feedForwardNorm.weight`, C)),
    ...(experts
      ? expertWeights(config, layout, `${file}mlp.`, `${model}experts.`)
      : feedForwardWeights(C, config.feedForwardWidth, `${file}mlp.`, `${model}feedForward.`)),
  ]
}

/** Names after vLLM's qwen3_next_mtp.py; the token's embedding comes first in `fc`. */
function nextTokenWeights(config: TransformerConfig, layout: Layout): RowMap[] {
  const { width: C } = config
  return [
    same(named('mtp.pre_fc_norm_embedding.weight', C), named('nextToken.embeddingNorm.weight', C)),
    same(named('mtp.pre_fc_norm_hidden.weight', C), named('nextToken.hiddenNorm.weight', C)),
    same(named('mtp.fc.weight', C, 2 * C), named('nextToken.projection.weight', C, 2 * C)),
    ...layerWeights(
      config,
      layout,
      { type: 'attention', experts: config.experts !== null },
      'mtp.layers.0.',
      'nextToken.block.',
    ),
    same(named('mtp.norm.weight', C), named('nextToken.norm.weight', C)),
  ]
}

/** All weights of a model, in the order of the forward pass. */
export function decoderWeights(config: TransformerConfig, layout: Layout): DecoderWeights {
  const { vocabularySize: V, width: C } = config
  return {
    embedding: same(named(`${layout.prefix}embed_tokens.weight`, V, C), named('tokenEmbedding.weight', V, C)),
    layers: config.layerTypes.map((type, i) =>
      layerWeights(
        config,
        layout,
        { type, experts: hasExperts(config, i) },
        `${layout.prefix}layers.${i}.`,
        `layers.${i}.`,
      ),
    ),
    norm: same(named(`${layout.prefix}norm.weight`, C), named('norm.weight', C)),
    head: config.tied ? null : same(named('lm_head.weight', V, C), named('head.weight', V, C)),
    nextToken: config.multiTokenPrediction ? nextTokenWeights(config, layout) : [],
  }
}

/** The same as one list. */
export const allWeights = ({ embedding, layers, norm, head, nextToken }: DecoderWeights): RowMap[] => [
  embedding,
  ...layers.flat(),
  norm,
  ...(head ? [head] : []),
  ...nextToken,
]
