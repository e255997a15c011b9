/**
 * The paper's variants: what each changes in a baseline model, of any size, and what the paper reports of it.
 *
 * A variant is the baseline without a gate, and one change. Gated Attention for Large Language Models, NeurIPS 2025, tables 1 to 4
 * and 6 and appendix A.6; `paperRuns` has every run.
 */
import { SluiceError } from '../errors.ts'
import { noSuch } from '../nearest.ts'
import { withoutUndefined } from '../nn/gate.ts'
import {
  type GateConfig,
  parameterCount,
  type SwitchHeadConfig,
  type TransformerConfig,
  type TransformerConfigInput,
  transformerConfig,
} from '../nn/index.ts'
import { type PaperRun, paperRuns } from './paper-runs.ts'

/** Settings of a model, whole or in part; vocabulary and context come from the data. */
export type ModelSettings = Partial<Omit<TransformerConfigInput, 'vocabularySize' | 'contextLength'>>

/** What the paper reports of a variant, in the first table that has it. */
export interface PaperNumbers {
  /** The run that the numbers are of. */
  readonly row: number
  /** The baseline of the same size, tokens, batch and learning rate. */
  readonly baselineRow: number
  /** Held-out, as printed. */
  readonly perplexity: number
  /** Loss minus the baseline's, in nats: ln(perplexity / the baseline's). Below 0 is better. */
  readonly lossDifference: number
  /** Parameters beyond the baseline's, in millions. */
  readonly addedParameters: number | null
  /** Mean score of the gate. */
  readonly gateScore: number | null
  /** M-Act: largest absolute activation of a layer, the mean over layers. */
  readonly massiveActivation: number | null
  /** F-Attn: mean attention on the first token. */
  readonly firstToken: number | null
}

/** A change to a model's settings that the paper tried, or that is compared with it. */
export interface Variant {
  /** As `variantNamed` takes it. */
  readonly name: string
  /** A few words for tables. */
  readonly title: string
  /** Its numbered runs, from 1; none for what the paper tells without a number, or does not have. */
  readonly rows: readonly number[]
  /** Null without a numbered run. */
  readonly paper: PaperNumbers | null
  /**
   * The variant of a baseline.
   *
   * @param base whatever gate it has is taken away first
   * @throws SluiceError for unknown or wrong settings, and where a baseline of this shape has no such variant
   *
   * @example
   * variantNamed('g1-headwise').configure({ width: 64, layers: 2, heads: 4 })
   * // { width: 64, layers: 2, heads: 4, gate: { position: 'G1', grain: 'headwise' } }
   */
  configure(base: ModelSettings): ModelSettings
}

const baselineName = 'baseline'

const isBaselineOf =
  ({ model, tokens, batch, maximumLearningRate }: PaperRun) =>
  (run: PaperRun): boolean =>
    run.variant === baselineName &&
    run.model === model &&
    run.tokens === tokens &&
    run.batch === batch &&
    run.maximumLearningRate === maximumLearningRate

/** The numbers of the first run of a variant that did not diverge, nor did its baseline. */
function paperNumbers(runs: readonly PaperRun[]): PaperNumbers | null {
  for (const run of runs) {
    const baseline = paperRuns.find(isBaselineOf(run))
    if (!baseline || run.perplexity === null || baseline.perplexity === null) continue
    const { row, perplexity, addedParameters, gateScore, massiveActivation, firstToken } = run
    const lossDifference = Math.log(perplexity / baseline.perplexity)
    const measured = { addedParameters, gateScore, massiveActivation, firstToken }
    return { row, baselineRow: baseline.row, perplexity, lossDifference, ...measured }
  }
  return null
}

/** Settings that differ from the baseline's; a function where they depend on its sizes. */
type Change = ModelSettings | ((base: TransformerConfig) => ModelSettings)

function variant(name: string, title: string, change: Change): Variant {
  const runs = paperRuns.filter((run) => run.variant === name)
  return {
    name,
    title,
    rows: runs.map(({ row }) => row),
    paper: paperNumbers(runs),
    configure: (base) => {
      const without = { ...base, gate: 'none' } as const
      const changed =
        typeof change === 'function' ? change(transformerConfig({ ...without, vocabularySize: 1 })) : change
      return withoutUndefined({ ...without, ...changed })
    },
  }
}

const gated = (name: string, title: string, gate: Partial<GateConfig>): Variant =>
  variant(name, title, { gate: { position: 'G1', grain: 'elementwise', ...gate } })

const switched = (name: string, title: string, switchHead: SwitchHeadConfig): Variant =>
  variant(name, title, { switchHead })

/** Row 2: twice the key-value heads, each read by half as many query heads. */
function moreKeyValueHeads({ heads, keyValueHeads }: TransformerConfig): ModelSettings {
  if (heads % (2 * keyValueHeads) !== 0) {
    throw new SluiceError(
      'more-kv-heads',
      `twice ${keyValueHeads} key-value heads do not divide ${heads} heads; give the baseline fewer keyValueHeads`,
    )
  }
  return { keyValueHeads: 2 * keyValueHeads }
}

/** Row 3: half as many query heads again, of the same width, rounded up to a multiple of the key-value heads. */
function moreQueryHeads({ heads, keyValueHeads, headWidth, layerTypes, delta }: TransformerConfig): ModelSettings {
  const more = Math.ceil((1.5 * heads) / keyValueHeads) * keyValueHeads
  // Delta layers take their heads from attention's unless they are given: they stay as they are.
  return { heads: more, keyValueHeads, headWidth, ...(layerTypes.includes('delta') ? { delta } : {}) }
}

/**
 * Row 4: half as many active experts again, rounded up, and as many more in all: the paper's 8 of 128 become 12 of 132. A dense model
 * is one expert that is always active: its feed-forward becomes half as wide again. (`matchParameters` then takes that back.)
 */
function moreExperts({ experts, feedForwardWidth }: TransformerConfig): ModelSettings {
  if (!experts) return { feedForwardWidth: Math.round(1.5 * feedForwardWidth) }
  const more = Math.ceil(experts.active / 2)
  return { experts: { ...experts, count: experts.count + more, active: experts.active + more } }
}

/** Qwen3-Next's pattern: Gated DeltaNet, and gated attention in every fourth layer; in every second of fewer than four. */
function gatedDeltaHybrid({ layers }: TransformerConfig): ModelSettings {
  if (layers < 2) {
    throw new SluiceError('gated-delta-hybrid', `a hybrid needs at least 2 layers, got ${layers}`)
  }
  return { gate: 'elementwise', layers, layerTypes: undefined, fullAttentionInterval: layers < 4 ? 2 : 4 }
}

/** Every variant, the baseline first, then by the paper's rows, then those without one. */
export const variants: readonly Variant[] = [
  variant(baselineName, 'baseline', {}),
  variant('more-kv-heads', 'twice the key-value heads', moreKeyValueHeads),
  variant('more-query-heads', 'half as many query heads again', moreQueryHeads),
  variant('more-experts', 'half as many active experts again', moreExperts),
  gated('g1-elementwise', 'G1 elementwise', {}),
  gated('g2-elementwise', 'G2 elementwise', { position: 'G2' }),
  gated('g3-elementwise', 'G3 elementwise', { position: 'G3' }),
  gated('g4-elementwise', 'G4 elementwise', { position: 'G4' }),
  gated('g5', 'G5, on the dense output', { position: 'G5' }),
  gated('g1-headwise', 'G1 headwise', { grain: 'headwise' }),
  gated('g2-headwise', 'G2 headwise', { position: 'G2', grain: 'headwise' }),
  gated('g1-shared', 'G1 head-shared', { shared: true }),
  gated('g2-shared', 'G2 head-shared', { position: 'G2', shared: true }),
  gated('g1-additive-silu', 'G1 additive, SiLU', { op: 'add', act: 'silu' }),
  gated('g1-silu', 'G1 elementwise, SiLU', { act: 'silu' }),
  variant('sdpa-norm', 'RMSNorm of each head, no gate', { sdpaPost: 'headRmsNorm' }),
  variant('sdpa-silu', 'SiLU of the attention output, no gate', { sdpaPost: 'silu' }),
  gated('g1-additive-identity', 'G1 additive, identity', { op: 'add', act: 'identity' }),
  gated('g1-input-independent', 'G1 input-independent', { input: 'none' }),
  gated('g1-ns-sigmoid', 'G1 NS-sigmoid', { act: 'nsSigmoid' }),
  switched('switch-kv-8-8', 'Switch keys and values, 8 of 8', { maps: 'keyValue', count: 8, active: 8 }),
  switched('switch-kv-4-4', 'Switch keys and values, 4 of 4', { maps: 'keyValue', count: 4, active: 4 }),
  switched('switch-v-4-4', 'Switch values, 4 of 4', { maps: 'value', count: 4, active: 4 }),
  switched('switch-v-8-2', 'Switch values, 2 of 8', { maps: 'value', count: 8, active: 2 }),
  variant('sandwich', 'sandwich norm', { norm: 'sandwich' }),
  variant('clip-300', 'outputs clipped to ±300', { clip: 300 }),
  variant('clip-100', 'outputs clipped to ±100', { clip: 100 }),
  variant('gated-delta-hybrid', 'Gated DeltaNet hybrid', gatedDeltaHybrid),
]

/**
 * The variant of that name.
 *
 * @throws SluiceError naming the nearest one
 *
 * @example
 * variantNamed('g1-elementwise').paper?.firstToken // 0.048
 */
export function variantNamed(name: string): Variant {
  const found = variants.find((known) => known.name === name)
  if (found) return found
  const known = variants.map((each) => each.name)
  throw new SluiceError('variant', noSuch('variant', name, known))
}

/**
 * `settings` with the feed-forward width that brings the model's parameters nearest to the baseline's, as the paper's dense models
 * pay for their gates. With experts of a width of their own, it is their width that changes.
 *
 * @param base the baseline; whatever gate it has is taken away first
 * @param settings a variant of it
 * @param vocabularySize counts only where the two differ in width or in `tied`; 256 unless given
 * @throws SluiceError where the variant is larger than the baseline with the narrowest feed-forward
 *
 * @example
 * const base = { width: 64, layers: 2, heads: 4, feedForwardWidth: 176 }
 * matchParameters(base, variantNamed('g1-elementwise').configure(base)).feedForwardWidth // 155
 */
export function matchParameters(base: ModelSettings, settings: ModelSettings, vocabularySize = 256): ModelSettings {
  const count = (of: ModelSettings) => parameterCount({ ...of, vocabularySize })
  const wide = (width: number): ModelSettings =>
    settings.experts?.width === undefined
      ? { ...settings, feedForwardWidth: width }
      : { ...settings, experts: { ...settings.experts, width } }
  const target = count(variantNamed(baselineName).configure(base))
  // The count is linear in the width.
  const each = count(wide(2)) - count(wide(1))
  const width = Math.round(1 + (target - count(wide(1))) / each)
  if (width >= 1 && Number.isFinite(width)) return wide(width)
  throw new SluiceError(
    'matchParameters',
    `the variant has ${count(wide(1))} parameters with a feed-forward of width 1, the baseline ${target}; give the baseline a wider feed-forward`,
  )
}
