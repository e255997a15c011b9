/** What a family of models is, and what those of this folder share in their config.json. */
import { SluiceError } from '../../errors.ts'
import { type LayerType, mostLayers, type TransformerConfig, type TransformerConfigInput } from '../../nn/config.ts'
import { flag, integerUpTo, isRecord, nonNegative, oneOf, positive, positiveInteger } from '../../nn/validate.ts'
import { showName } from '../../shown.ts'
import type { Layout } from './decoder.ts'
import type { Settings } from './settings.ts'

/** config.json, parsed. */
export type Json = Readonly<Record<string, unknown>>

/** Families of models that are read and written. */
export type FamilyName = 'qwen3' | 'qwen3_next' | 'qwen3_5' | 'qwen3_5_moe'

export interface Family {
  readonly name: FamilyName
  /** What config.json may say as `model_type`. */
  readonly modelTypes: readonly string[]
  /** How its checkpoints are written. */
  readonly layout: Layout
  /**
   * The settings of the model that config.json describes.
   *
   * @throws SluiceError naming the key that is wrong, missing, or asks for what is not implemented
   */
  read(json: Json): TransformerConfigInput
  /** The first setting that the family cannot express, with its value; null when it can express all. */
  obstacle(config: TransformerConfig): string | null
  /** config.json of a model without an obstacle. */
  write(config: TransformerConfig): Json
  /** What transformers' own code cannot load of it, in a sentence; null when it can load all. */
  foreign(config: TransformerConfig): string | null
}

/** Refuses a model that has no place in the family. */
export function requireExpressible(operation: string, family: Family, config: TransformerConfig): void {
  const obstacle = family.obstacle(config)
  if (obstacle !== null) throw new SluiceError(operation, `${family.name} cannot express ${obstacle}`)
}

/** Sizes and switches that stand under the same keys in all families. */
export function readCommon(
  settings: Settings,
  headDim: number,
): TransformerConfigInput & { heads: number; layers: number } {
  const heads = settings.take<number>('num_attention_heads', positiveInteger)
  const width = settings.take<number>('hidden_size', positiveInteger)
  settings.only('hidden_act', ['silu'], 'only silu is implemented in the feed-forward')
  settings.only('use_sliding_window', [false], 'sliding-window attention is not implemented')
  settings.pass('sliding_window', 'max_window_layers')
  return {
    vocabularySize: settings.take('vocab_size', positiveInteger),
    width,
    layers: settings.take<number>('num_hidden_layers', integerUpTo(mostLayers)),
    heads,
    keyValueHeads: settings.take('num_key_value_heads', positiveInteger, heads),
    headWidth: settings.take('head_dim', positiveInteger, headDim),
    feedForward: 'swiglu',
    norm: 'pre',
    eps: settings.take('rms_norm_eps', positive, 1e-6),
    initStd: settings.take('initializer_range', nonNegative, 0.02),
    contextLength: settings.take('max_position_embeddings', positiveInteger, 32768),
    tied: settings.take('tie_word_embeddings', flag, false),
  }
}

/**
 * Rotary positions: `rope_parameters`, or the older `rope_theta`, `rope_scaling` and `partial_rotary_factor`.
 *
 * The three axes of a model that also sees images (mrope_section, mrope_interleaved) are equal for text.
 */
export function readRope(settings: Settings, headWidth: number, partial: number): { base: number; dims: number } {
  const scaling = settings.inner('rope_scaling')
  const parameters = settings.inner('rope_parameters')
  for (const inner of [scaling, parameters]) {
    for (const key of ['rope_type', 'type']) {
      inner.only(key, ['default'], 'positions are only turned as they are; no scaling is implemented')
    }
    inner.pass('mrope_section', 'mrope_interleaved')
  }
  const inside = scaling.has('rope_theta') || scaling.has('partial_rotary_factor') ? scaling : parameters
  const base = inside.take('rope_theta', positive, settings.take('rope_theta', positive, 10000))
  const factor = inside.take(
    'partial_rotary_factor',
    positive,
    settings.take('partial_rotary_factor', positive, partial),
  )
  scaling.finish()
  parameters.finish()
  // As transformers rounds it.
  const dims = Math.trunc(headWidth * factor)
  if (dims % 2 !== 0 || dims > headWidth) {
    settings.fail(
      `partial_rotary_factor ${factor} turns ${dims} of ${headWidth} dimensions; an even number can be turned`,
    )
  }
  return { base, dims }
}

/** A factor of which `readRope` makes `dims` again, whatever the division rounds to. */
export function rotaryFactor({ rope, headWidth }: TransformerConfig): number {
  const factor = rope.dims / headWidth
  return Math.trunc(headWidth * factor) === rope.dims ? factor : (rope.dims + 0.5) / headWidth
}

const typeNames: Readonly<Record<string, LayerType>> = { full_attention: 'attention', linear_attention: 'delta' }

/** `layer_types`, or what stands for it; null where neither is given. */
export function readLayerTypes(settings: Settings, layers: number): readonly LayerType[] | null {
  const list = settings.take<readonly string[] | null>(
    'layer_types',
    (value) =>
      Array.isArray(value) && value.length === layers && value.every((type) => typeof type === 'string')
        ? null
        : `a list of ${layers} names, one a layer`,
    null,
  )
  if (!list) return null
  return list.map((type, i) =>
    Object.hasOwn(typeNames, type)
      ? typeNames[type]
      : settings.fail(`layer_types[${i}] '${showName(type)}' is not implemented`),
  )
}

/** The same for a file. */
export const writeLayerTypes = ({ layerTypes }: TransformerConfig): string[] =>
  layerTypes.map((type) => (type === 'attention' ? 'full_attention' : 'linear_attention'))

/** Checks `model_type` and takes it away. */
export function requireModelType(settings: Settings, types: readonly string[]): void {
  settings.take('model_type', oneOf(...types))
}

/** What no family of this folder can express. */
export function commonObstacle(config: TransformerConfig): string | null {
  const { feedForward, norm, clip, position, sdpaPost, switchHead, gate, layerTypes } = config
  const wanted = {
    ...{ feedForward: 'swiglu', norm: 'pre', clip: null, position: 'rope' },
    ...{ sdpaPost: 'none', switchHead: null },
  } as const
  const given = { feedForward, norm, clip, position, sdpaPost, switchHead }
  for (const [key, value] of Object.entries(wanted)) {
    const found = given[key as keyof typeof given]
    if (found !== value) return `${key}: ${JSON.stringify(found)}`
  }
  if (!layerTypes.includes('attention') || gate === 'none') return null
  const usual = { position: 'G1', shared: false, op: 'mul', act: 'sigmoid', input: 'x' } as const
  for (const [key, value] of Object.entries(usual)) {
    const found = gate[key as keyof typeof usual]
    if (found !== value) return `gate.${key}: ${JSON.stringify(found)}`
  }
  return null
}

/** The keys that `readCommon` reads. */
export function writeCommon(config: TransformerConfig): Json {
  return {
    vocab_size: config.vocabularySize,
    hidden_size: config.width,
    intermediate_size: config.feedForwardWidth,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.keyValueHeads,
    head_dim: config.headWidth,
    hidden_act: 'silu',
    rms_norm_eps: config.eps,
    initializer_range: config.initStd,
    max_position_embeddings: config.contextLength,
    tie_word_embeddings: config.tied,
    use_cache: true,
  }
}

/** Keys whose values are fractions to transformers, which refuses to read them as 0 or 1. */
const fractions = ['rms_norm_eps', 'initializer_range', 'router_aux_loss_coef', 'rope_theta', 'partial_rotary_factor']

/** The text of a config.json: JSON, with a decimal point in what transformers takes for fractions. */
export function configText(json: Json): string {
  const whole = new RegExp(`("(?:${fractions.join('|')})": -?\\d+)(?=,?$)`, 'gm')
  return `${JSON.stringify(json, null, 2).replace(whole, '$1.0')}\n`
}

/** An object out of untrusted JSON. */
export function requireObject(operation: string, value: unknown): Json {
  if (isRecord(value)) return value
  throw new SluiceError(operation, 'config.json must hold an object')
}
