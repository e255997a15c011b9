/** Settings of attention layers and of whole models: plain JSON, checked, with every default filled in. */
import { SluiceError } from '../errors.ts'
import { type DeltaNetConfig, deltaNetConfig } from './delta-config.ts'
import { type ExpertsConfig, type ExpertsConfigInput, expertsConfig } from './experts-config.ts'
import { checkGate, type GateConfig, type GateInput, gateConfig, paperGateStd, withoutUndefined } from './gate.ts'
import { type SwitchHeadConfig, type SwitchHeadInput, switchHeadConfig } from './switch-head-config.ts'
import {
  type Check,
  checkRecord,
  evenInteger,
  flag,
  integerUpTo,
  needKeys,
  nonNegative,
  oneOf,
  orNull,
  positive,
  positiveInteger,
  probability,
  record,
  type Schema,
} from './validate.ts'

/** Rotary positions: pair i of the first `dims` dimensions of a head turns by position times base^(-2 i / dims). */
export interface RopeConfig {
  /** theta; 10000 unless given. */
  readonly base: number
  /** Leading dimensions that turn, an even number; all of D unless given. */
  readonly dims: number
}

interface AttentionSettings {
  /** C, the model's width. */
  readonly width: number
  /** H, query heads. */
  readonly heads: number
  /** KV, key-value heads; H is a multiple of it. H unless given. */
  readonly keyValueHeads: number
  /** D; C / H unless given. */
  readonly headWidth: number
  readonly gate: GateConfig | 'none'
  /** Standard deviation of the initial rows of gates and of `switchHead`'s routers; 0.905 / sqrt(C) unless given (see `paperGateStd`). */
  readonly gateStd: number
  /** Several value (or key and value) maps a key-value head, a few of them for each token; null, the default, for one. */
  readonly switchHead: SwitchHeadConfig | null
  /** On each head's attention output, before the gate: an RMSNorm, or silu. 'none' unless given. */
  readonly sdpaPost: 'none' | 'headRmsNorm' | 'silu'
  /** RMSNorm of queries and keys over D, before rotary positions; true unless given. */
  readonly queryKeyNorm: boolean
  /**
   * Biases of attention's projections, 0 at the start; of the gate's too, whose rows are part of the query projection in
   * published checkpoints. false unless given.
   */
  readonly bias: boolean
  /** All norms scale by 1 + weight, with the weight 0 at the start; false unless given. */
  readonly zeroCentredNorm: boolean
  /** Of all norms; 1e-6 unless given. */
  readonly eps: number
  /** Standard deviation of initial weights; 0.02 unless given. */
  readonly initStd: number
}

/** All settings of one layer of attention. */
export interface AttentionConfig extends AttentionSettings {
  /** null for none; base 10000 and all of D unless given. */
  readonly rope: RopeConfig | null
  /** Position i sees positions up to i; true unless given. */
  readonly causal: boolean
  /** Standard deviation of the output projection's initial weight; `initStd` unless given. */
  readonly outputStd: number
}

/** What differs from the defaults; `attentionConfig` fills in the rest. */
export type AttentionConfigInput = Partial<
  Omit<AttentionConfig, 'gate' | 'rope' | 'switchHead' | 'width' | 'heads'>
> & {
  /** C */
  readonly width: number
  /** H, heads of queries. */
  readonly heads: number
  /** 'none' unless given. */
  readonly gate?: GateInput
  /** Several maps a projection, of which each token chooses; null, the default, for one. */
  readonly switchHead?: SwitchHeadInput | null
  /** null for no rotary positions. */
  readonly rope?: Partial<RopeConfig> | null
}

/** What mixes the positions of a layer. */
export type LayerType = 'attention' | 'delta'

/** One more block that predicts the token after next, and its part in the loss. */
export interface MultiTokenPredictionConfig {
  /** Multiplies the block's cross-entropy; 0.3 unless given (DeepSeek-V3, section 4.2). */
  readonly weight: number
}

/** All settings of a model, defaults included; plain JSON. */
export interface TransformerConfig extends AttentionSettings {
  /** V */
  readonly vocabularySize: number
  /** Number of blocks. */
  readonly layers: number
  /** One a layer; all 'attention' unless given. */
  readonly layerTypes: readonly LayerType[]
  /** Of the delta layers. As many heads as attention has, of its width, unless given. */
  readonly delta: DeltaNetConfig
  /** Mixtures of experts in place of feed-forward layers; null, the default, for none. */
  readonly experts: ExpertsConfig | null
  /** null, the default, for none. */
  readonly multiTokenPrediction: MultiTokenPredictionConfig | null
  /** 4 C for 'gelu', 8 C / 3 rounded up to a multiple of 8 for 'swiglu', unless given. */
  readonly feedForwardWidth: number
  /** down(silu(gate x) ⊙ up x), or down(gelu(up x)). 'swiglu' unless given. */
  readonly feedForward: 'swiglu' | 'gelu'
  /** x += f(norm x), or x += norm(f(norm x)). 'pre' unless given. */
  readonly norm: 'pre' | 'sandwich'
  /** Outputs of attention and feed-forward are kept within [-clip, clip]; null unless given. */
  readonly clip: number | null
  /** 'rope' unless given. */
  readonly position: 'rope' | 'learned' | 'none'
  /** Used with position 'rope'. */
  readonly rope: RopeConfig
  /** Longest sequence in training; the number of learned positions. 256 unless given. */
  readonly contextLength: number
  /** The head is the transposed table of token embeddings; true unless given. */
  readonly tied: boolean
  /** On embeddings and on both residual branches, when training; 0 unless given. */
  readonly dropout: number
}

type NestedKey = 'gate' | 'switchHead' | 'rope' | 'delta' | 'experts' | 'multiTokenPrediction'

/** What differs from the defaults; `transformerConfig` fills in the rest. */
export type TransformerConfigInput = Partial<Omit<TransformerConfig, NestedKey | 'vocabularySize'>> & {
  /** V */
  readonly vocabularySize: number
  /** 'none' unless given. */
  readonly gate?: GateInput
  /** Several maps a projection, of which each token chooses; null, the default, for one. */
  readonly switchHead?: SwitchHeadInput | null
  /** Base and dimensions of rotary positions. */
  readonly rope?: Partial<RopeConfig>
  /** Settings of the delta layers. */
  readonly delta?: Partial<DeltaNetConfig>
  /** Mixtures of experts in place of feed-forward layers; null, the default, for none. */
  readonly experts?: ExpertsConfigInput | null
  /** Predicts the token after next too, in training; null, the default, for none. */
  readonly multiTokenPrediction?: Partial<MultiTokenPredictionConfig> | null
  /**
   * n: layer i is attention when (i + 1) % n = 0, else delta, as Qwen3-Next counts; 0 for delta layers only. Instead of
   * `layerTypes`.
   */
  readonly fullAttentionInterval?: number
}

const ropeSchema: Schema<RopeConfig> = { base: positive, dims: evenInteger }

const sharedSchema: Schema<AttentionSettings> = {
  width: positiveInteger,
  heads: positiveInteger,
  keyValueHeads: positiveInteger,
  headWidth: positiveInteger,
  gate: checkGate,
  gateStd: nonNegative,
  switchHead: orNull(record),
  sdpaPost: oneOf('none', 'headRmsNorm', 'silu'),
  queryKeyNorm: flag,
  bias: flag,
  zeroCentredNorm: flag,
  eps: positive,
  initStd: nonNegative,
}

const attentionSchema: Schema<AttentionConfig> = {
  ...sharedSchema,
  rope: orNull(record),
  causal: flag,
  outputStd: nonNegative,
}

const layerTypeNames = ['attention', 'delta'] as const

const layerTypeList: Check = (value) =>
  Array.isArray(value) && value.every((type) => layerTypeNames.includes(type))
    ? null
    : `a list with one of ${layerTypeNames.map((name) => `'${name}'`).join(', ')} for each layer`

const interval: Check = (value) =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? null : 'an integer from 0 up'

const predictionSchema: Schema<MultiTokenPredictionConfig> = { weight: nonNegative }

/** Far beyond any model: a list is made of them, and a file may say any number. */
export const mostLayers = 10_000

const transformerSchema: Schema<TransformerConfig & { fullAttentionInterval: number }> = {
  ...sharedSchema,
  vocabularySize: positiveInteger,
  layers: integerUpTo(mostLayers),
  layerTypes: layerTypeList,
  fullAttentionInterval: interval,
  delta: record,
  experts: orNull(record),
  multiTokenPrediction: orNull(record),
  feedForwardWidth: positiveInteger,
  feedForward: oneOf('swiglu', 'gelu'),
  norm: oneOf('pre', 'sandwich'),
  clip: orNull(positive),
  position: oneOf('rope', 'learned', 'none'),
  rope: record,
  contextLength: positiveInteger,
  tied: flag,
  dropout: probability,
}

type SharedInput = Partial<Omit<AttentionSettings, 'gate' | 'switchHead'>> & {
  width: number
  heads: number
  gate?: GateInput
  switchHead?: SwitchHeadInput | null
}

function sharedSettings(operation: string, given: SharedInput): AttentionSettings {
  const { width, heads, keyValueHeads = heads, initStd = 0.02 } = given
  if (heads % keyValueHeads !== 0) {
    throw new SluiceError(operation, `heads must be a multiple of keyValueHeads, got ${heads} and ${keyValueHeads}`)
  }
  if (given.headWidth === undefined && width % heads !== 0) {
    throw new SluiceError(operation, `width ${width} does not divide into ${heads} heads; change one, or set headWidth`)
  }
  return {
    width,
    heads,
    keyValueHeads,
    headWidth: given.headWidth ?? width / heads,
    gate: gateConfig(operation, given.gate),
    gateStd: given.gateStd ?? paperGateStd(width),
    switchHead: switchHeadConfig(operation, given.switchHead),
    sdpaPost: given.sdpaPost ?? 'none',
    queryKeyNorm: given.queryKeyNorm ?? true,
    bias: given.bias ?? false,
    zeroCentredNorm: given.zeroCentredNorm ?? false,
    eps: given.eps ?? 1e-6,
    initStd,
  }
}

function ropeSettings(operation: string, given: Partial<RopeConfig> | undefined, headWidth: number): RopeConfig {
  checkRecord(operation, given ?? {}, ropeSchema as Readonly<Record<string, Check>>, 'rope.')
  const rope = { base: 10000, dims: headWidth - (headWidth % 2), ...withoutUndefined(given ?? {}) }
  if (rope.dims > headWidth) {
    throw new SluiceError(operation, `rope.dims must be at most the head width ${headWidth}, got ${rope.dims}`)
  }
  return rope
}

function layerTypesOf(
  operation: string,
  { layers, layerTypes, fullAttentionInterval: n }: Partial<TransformerConfigInput>,
): readonly LayerType[] {
  const count = layers ?? layerTypes?.length ?? 4
  const byInterval = Array.from(
    { length: count },
    (_, i): LayerType => (n === undefined || (n > 0 && (i + 1) % n === 0) ? 'attention' : 'delta'),
  )
  if (!layerTypes) return byInterval
  if (layerTypes.length !== count || count === 0) {
    throw new SluiceError(
      operation,
      `layerTypes must name one type a layer, got ${layerTypes.length} for layers ${count}; change layerTypes or layers`,
    )
  }
  const other = n === undefined ? -1 : byInterval.findIndex((type, i) => type !== layerTypes[i])
  if (other >= 0) {
    throw new SluiceError(
      operation,
      `layerTypes says that layer ${other} is '${layerTypes[other]}', fullAttentionInterval ${n} that it is '${byInterval[other]}'; give one of them`,
    )
  }
  return [...layerTypes]
}

function predictionSettings(
  operation: string,
  given: Partial<MultiTokenPredictionConfig> | null | undefined,
): MultiTokenPredictionConfig | null {
  if (given === null || given === undefined) return null
  checkRecord(operation, given, predictionSchema, 'multiTokenPrediction.')
  return { weight: 0.3, ...withoutUndefined(given) }
}

/** Whether layer i of a model has experts. */
export const hasExperts = ({ experts }: TransformerConfig, layer: number): boolean =>
  experts !== null && (layer + 1) % experts.every === 0 && !experts.dense.includes(layer)

/** Full settings of an attention layer. @throws SluiceError for unknown keys, wrong values, sizes that do not fit */
export function attentionConfig(given: AttentionConfigInput): AttentionConfig {
  const operation = 'GatedAttention'
  checkRecord(operation, given, attentionSchema)
  needKeys(operation, given, ['width', 'heads'])
  const shared = sharedSettings(operation, given)
  return {
    ...shared,
    rope: given.rope === null ? null : ropeSettings(operation, given.rope, shared.headWidth),
    causal: given.causal ?? true,
    outputStd: given.outputStd ?? shared.initStd,
  }
}

/**
 * Full settings of a model, from those that are given.
 *
 * @param given a plain object, such as parsed JSON; only `vocabularySize` is required
 * @throws SluiceError naming an unknown key and the nearest known one, a wrong value, or sizes that do not fit
 *
 * @example
 * transformerConfig({ vocabularySize: 65, heads: 4, gate: 'headwise' }).headWidth // 32
 */
export function transformerConfig(given: TransformerConfigInput): TransformerConfig {
  const operation = 'transformerConfig'
  checkRecord(operation, given, transformerSchema)
  needKeys(operation, given, ['vocabularySize'])
  const { width = 128, heads = 4, feedForward = 'swiglu' } = given
  const shared = sharedSettings(operation, { ...given, width, heads })
  const layerTypes = layerTypesOf(operation, given)
  const layers = layerTypes.length
  const feedForwardWidth = given.feedForwardWidth ?? (feedForward === 'gelu' ? 4 * width : 8 * Math.ceil(width / 3))
  return {
    ...shared,
    vocabularySize: given.vocabularySize,
    layers,
    layerTypes,
    delta: deltaNetConfig(operation, given.delta, shared),
    experts: expertsConfig(operation, given.experts, { layers, width: feedForwardWidth }),
    multiTokenPrediction: predictionSettings(operation, given.multiTokenPrediction),
    feedForwardWidth,
    feedForward,
    norm: given.norm ?? 'pre',
    clip: given.clip ?? null,
    position: given.position ?? 'rope',
    rope: ropeSettings(operation, given.rope, shared.headWidth),
    contextLength: given.contextLength ?? 256,
    tied: given.tied ?? true,
    dropout: given.dropout ?? 0,
  }
}
