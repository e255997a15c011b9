/**
 * The paper's claims, each held against a study: what the paper reports, what was measured here, and whether it shows.
 *
 * Gated Attention for Large Language Models, NeurIPS 2025 (arXiv 2505.06708). Rules and margins: `claim-rules.ts`. Losses
 * are in nats, differences are taken seed by seed, brackets are 95 % intervals over seeds.
 */
import { formatFixed } from '../train/report/format.ts'
import { type Judged, judgeLower, judgeNear, judgeSide, together, type Verdict } from './claim-rules.ts'
import {
  type Arm,
  activationMeasure,
  armsOf,
  differenceOf,
  gateMeasure,
  lossOf,
  type Measure,
  runsOf,
  sinkMeasure,
  spreadOf,
} from './study-report/arms.ts'
import { baselineName, type StudyData, type StudyRun } from './study-report/data.ts'
import { placesOf, rateOf, stableRate } from './study-report/sweep.ts'

export type { Verdict } from './claim-rules.ts'

/** One row of the table of verdicts. */
export interface Claim {
  /** Short name of the claim. */
  readonly id: string
  /** What is claimed, in words. */
  readonly claim: string
  /** What the paper reports for it. */
  readonly paper: string
  /** What was measured, with intervals. */
  readonly here: string
  /** What the rule says of it. */
  readonly verdict: Verdict
  /** What decides: the quantity and the margin. */
  readonly rule: string
}

/** Smallest effects that count. */
const margins = {
  /** Of the share of attention beyond uniform. */
  sink: 0.05,
  /** Of the baseline's largest activation. */
  activation: 0.1,
  /** In nats; the paper's smallest effect is 0.008. */
  loss: 0.005,
  /** In nats: the paper's neutral gates stay within it. */
  neutral: 0.01,
  /** Of logged losses that are spikes. */
  spikes: 0.001,
  /** In nats, of the loss that a longer context adds, or a replaced gate. */
  damage: 0.02,
  /** Of attention outputs below 0.01. */
  sparsity: 0.01,
}

/** A sink: this much of the attention beyond the uniform share. */
export const sinkThreshold = 0.1

const three = (value: number): string => formatFixed(value, 3)
const one = (value: number): string => formatFixed(value, 1)

const g1 = ['g1-elementwise', 'g1-headwise']

/** A claim before it is judged. */
interface Question {
  readonly id: string
  readonly claim: string
  readonly paper: string
  readonly rule: string
  judge(arms: Arms): Judged
}

/** The runs by arm. */
class Arms {
  readonly data: StudyData
  readonly #main: readonly Arm[]

  constructor(data: StudyData) {
    this.data = data
    this.#main = armsOf(runsOf(data, 'main'))
  }

  main(variant: string): readonly StudyRun[] {
    return this.#main.find((arm) => arm.variant === variant)?.runs ?? []
  }

  /** The runs of a variant in the sweep of learning rates; those of the main table belong to it at their own rate. */
  rates(variant: string): readonly StudyRun[] {
    return runsOf(this.data, 'rates').filter(({ job }) => job.variant === variant)
  }

  scaling(variant: string): readonly StudyRun[] {
    return runsOf(this.data, 'scaling').filter(({ job }) => job.variant === variant)
  }
}

interface Ordering {
  readonly measure: Measure
  readonly margin: number | 'tenth of the higher'
  readonly format: (value: number) => string
  readonly apart?: boolean
}

const sinkOrder: Ordering = { measure: sinkMeasure, margin: margins.sink, format: three, apart: true }
const lossOrder: Ordering = { measure: lossOf, margin: margins.loss, format: three }
const activationOrder: Ordering = {
  measure: activationMeasure,
  margin: 'tenth of the higher',
  format: one,
  apart: true,
}

function order(lower: readonly StudyRun[], higher: readonly StudyRun[], ordering: Ordering): Judged | undefined {
  const { measure, format, apart = false } = ordering
  const spreads = { lower: spreadOf(lower, measure), higher: spreadOf(higher, measure) }
  const difference = differenceOf(lower, higher, measure)
  if (!spreads.lower || !spreads.higher || !difference) return undefined
  const margin = ordering.margin === 'tenth of the higher' ? margins.activation * spreads.higher.mean : ordering.margin
  return judgeLower({ lower: spreads.lower, higher: spreads.higher, difference }, { margin, format, apart })
}

/** Each pair's first arm below its second. */
const ordered =
  (pairs: readonly (readonly [lower: string, higher: string])[], ordering: Ordering) =>
  (arms: Arms): Judged =>
    together(
      pairs.map(([lower, higher]) => ({
        name: `${lower} against ${higher}`,
        judged: order(arms.main(lower), arms.main(higher), ordering),
      })),
    )

const belowBaseline = (variants: readonly string[], ordering: Ordering) =>
  ordered(
    variants.map((variant) => [variant, baselineName] as const),
    ordering,
  )

/** What is said of a sink's remains means nothing where none forms. */
const withSink =
  (judge: (arms: Arms) => Judged) =>
  (arms: Arms): Judged => {
    const sink = spreadOf(arms.main(baselineName), sinkMeasure)
    const judged = judge(arms)
    if (sink && !(sink.high < sinkThreshold)) return judged
    const why = sink ? 'no sink formed in the baseline' : 'the baseline has no measured attention'
    return { verdict: 'cannot be told', here: `${why}; ${judged.here}` }
  }

const sides =
  (variants: readonly string[], measure: Measure, threshold: number, side: 'above' | 'below', format = three) =>
  (arms: Arms): Judged =>
    together(
      variants.map((name) => {
        const spread = spreadOf(arms.main(name), measure)
        return { name, judged: spread && judgeSide(spread, { threshold, side, format }) }
      }),
    )

const neutral =
  (variants: readonly string[]) =>
  (arms: Arms): Judged =>
    together(
      variants.map((name) => {
        const difference = differenceOf(arms.main(name), arms.main(baselineName), lossOf)
        return { name, judged: difference && judgeNear(difference, { margin: margins.neutral, format: three }) }
      }),
    )

const questions: readonly Question[] = [
  {
    id: 'sink-forms',
    claim: 'Without a gate, a sink forms on the first token',
    paper: '46.7 % of the attention',
    rule: `share of attention on the first token beyond uniform above ${sinkThreshold}`,
    judge: sides([baselineName], sinkMeasure, sinkThreshold, 'above'),
  },
  {
    id: 'gate-removes-sink',
    claim: 'A gate after attention removes it',
    paper: '0.467 to 0.048 (elementwise), 0.073 (headwise)',
    rule: `share beyond uniform lower by ${margins.sink} or more, intervals apart`,
    judge: withSink(belowBaseline(g1, sinkOrder)),
  },
  {
    id: 'shared-keeps-sink',
    claim: 'A gate shared by the heads leaves much of it',
    paper: '0.301 against 0.048',
    rule: `share beyond uniform lower by ${margins.sink} or more, intervals apart`,
    judge: withSink(ordered([['g1-elementwise', 'g1-shared']], sinkOrder)),
  },
  {
    id: 'value-gate-keeps-sink',
    claim: 'A gate on the values (G2) leaves the sink',
    paper: '0.297 against 0.048',
    rule: `share beyond uniform lower by ${margins.sink} or more, intervals apart`,
    judge: withSink(ordered([['g1-elementwise', 'g2-elementwise']], sinkOrder)),
  },
  {
    id: 'dense-and-fixed-gates-keep-sink',
    claim: 'Gates that do not see the input, or do not close, leave the sink',
    paper: '0.364 (input-independent), 0.451 (NS-sigmoid) against 0.048',
    rule: `share beyond uniform lower by ${margins.sink} or more, intervals apart`,
    judge: withSink(
      ordered(
        [
          ['g1-elementwise', 'g1-input-independent'],
          ['g1-elementwise', 'g1-ns-sigmoid'],
        ],
        sinkOrder,
      ),
    ),
  },
  {
    id: 'activations-fall',
    claim: 'The gate removes massive activations',
    paper: '1053 to 94 (elementwise), 98 (headwise)',
    rule: 'largest activation lower by a tenth or more, intervals apart',
    judge: belowBaseline(g1, activationOrder),
  },
  {
    id: 'value-gate-lowers-activations',
    claim: 'Massive activations can fall while the sink stays: G2 lowers them',
    paper: '1053 to 125, with 0.297 on the first token',
    rule: 'largest activation lower by a tenth or more, intervals apart',
    judge: belowBaseline(['g2-elementwise'], activationOrder),
  },
  {
    id: 'gate-is-sparse',
    claim: 'Gates close: the mean score is below a half',
    paper: '0.116 (elementwise), 0.172 (headwise)',
    rule: 'mean gate score below 0.5',
    judge: sides(g1, gateMeasure, 0.5, 'below'),
  },
  {
    id: 'output-is-sparse',
    claim: 'The gate makes attention\u2019s output sparse, more than its mean would',
    paper: 'shares below 0.01 and 0.001 rise (figure 5)',
    rule: `share of outputs below 0.01 larger by ${margins.sparsity} or more than with the mean gate`,
    judge: sides(g1, sparsityBeyondMean, margins.sparsity, 'above'),
  },
  {
    id: 'gate-lowers-loss',
    claim: 'A gate after attention lowers the loss',
    paper: '\u22120.045 (elementwise), \u22120.040 (headwise)',
    rule: `loss lower by ${margins.loss} or more`,
    judge: belowBaseline(g1, lossOrder),
  },
  {
    id: 'non-linearity-lowers-loss',
    claim: 'So does any non-linearity there: a norm per head, an additive SiLU gate',
    paper: '\u22120.030 (norm), \u22120.035 (additive SiLU)',
    rule: `loss lower by ${margins.loss} or more`,
    judge: belowBaseline(['sdpa-norm', 'g1-additive-silu'], lossOrder),
  },
  {
    id: 'other-places-are-neutral',
    claim: 'A gate on the output (G5), or SiLU alone, does little',
    paper: '\u22120.002 (G5), \u22120.009 (SiLU)',
    rule: `loss within ${margins.neutral} of the baseline\u2019s`,
    judge: neutral(['g5', 'sdpa-silu']),
  },
  {
    id: 'gate-trains-at-larger-rates',
    claim: 'The gate trains at learning rates where the baseline does not',
    paper: 'perplexity 7.325 against 9.195 at 8e-3; 7.078 against divergence',
    rule: 'largest stable learning rate of the sweep',
    judge: largerRate('g1-elementwise'),
  },
  {
    id: 'sandwich-trains-at-larger-rates',
    claim: 'So does sandwich norm',
    paper: 'perplexity 7.407 against 9.195 at 8e-3',
    rule: 'largest stable learning rate of the sweep',
    judge: largerRate('sandwich'),
  },
  {
    id: 'spikes-go',
    claim: 'The gate removes loss spikes',
    paper: '1.26 % of logged losses against none',
    rule: `share of losses 0.1 above the median before, at the largest rate that both ran, lower by ${margins.spikes} or more`,
    judge: fewerSpikes,
  },
  {
    id: 'length-holds',
    claim: 'The gate loses less beyond the length it was trained on',
    paper: 'RULER at 32k after extension: \u22126.9 against \u221241.6 points',
    rule: `loss added at the longest context, RoPE rescaled, lower by ${margins.damage} or more`,
    judge: belowBaseline(g1, { measure: lengthDamage, margin: margins.damage, format: three }),
  },
  {
    id: 'gate-depends-on-input',
    claim: 'A trained model needs its gate\u2019s values, not only their mean',
    paper: 'not in the paper; on its released model, perplexity 12.4 to 277',
    rule: `loss added by the mean gate above ${margins.damage}`,
    judge: sides(g1, meanGateDamage, margins.damage, 'above'),
  },
  {
    id: 'gain-holds-with-size',
    claim: 'The lower loss holds at every size',
    paper: 'at 1.7B and 15B parameters',
    rule: `loss lower by ${margins.loss} or more at each size, largest budget`,
    judge: everySize,
  },
]

function sparsityBeyondMean({ measures }: StudyRun): number | undefined {
  const output = measures?.attentionOutput
  return output?.sparsityMeanGate ? output.sparsityAfter['0.01']! - output.sparsityMeanGate['0.01']! : undefined
}

/** Loss at the longest context, RoPE rescaled, minus the loss at the training length. */
export function lengthDamage({ length }: StudyRun): number | undefined {
  return length && length.length > 1 ? length.at(-1)!.rescaled - length[0]!.loss : undefined
}

function meanGateDamage({ measures }: StudyRun): number | undefined {
  return measures?.clamp ? measures.clamp.mean - measures.clamp.none : undefined
}

/** Gains by its largest stable rate; when both reach the end of the sweep, the sweep was too short to tell. */
function largerRate(variant: string): (arms: Arms) => Judged {
  return (arms) => {
    const [ours, theirs] = [arms.rates(variant), arms.rates(baselineName)]
    const [stable, baseline] = [stableRate(ours), stableRate(theirs)]
    if (ours.length === 0 || theirs.length === 0) return { verdict: 'cannot be told', here: `${variant}: not measured` }
    const text = (rate: number | null | undefined) => (rate == null ? 'none' : String(rate))
    const here = `${variant}: ${text(stable?.rate)} against ${text(baseline?.rate)}`
    const [a, b] = [stable?.rate ?? 0, baseline?.rate ?? 0]
    if (a > b) return { verdict: 'shows', here }
    const end = Math.max(...theirs.map(rateOf))
    if (b >= end) return { verdict: 'cannot be told', here: `${here}, where the sweep ends` }
    return { verdict: 'does not show', here }
  }
}

function fewerSpikes(arms: Arms): Judged {
  const measure: Measure = ({ spikes }) => spikes.rate['0.1']
  const format = (share: number) => `${formatFixed(share * 100, 2)} %`
  return together(
    g1.map((variant) => {
      const sweep = arms.rates(variant).length > 0 ? arms.rates.bind(arms) : arms.main.bind(arms)
      const places = (name: string) => placesOf(sweep(name), rateOf)
      const theirs = places(baselineName)
      const common = places(variant).filter(({ x }) => theirs.some((place) => place.x === x))
      const ours = common.at(-1)
      const name = ours ? `${variant} at ${ours.x}` : variant
      if (!ours) return { name, judged: undefined }
      const baseline = theirs.find(({ x }) => x === ours.x)!.runs
      const spread = spreadOf(baseline, measure)
      if (spread && spread.mean === 0) {
        const here = 'the baseline has no spikes to remove'
        return { name, judged: { verdict: 'cannot be told' as const, here } }
      }
      return { name, judged: order(ours.runs, baseline, { measure, margin: margins.spikes, format }) }
    }),
  )
}

function everySize(arms: Arms): Judged {
  const variant = 'g1-elementwise'
  const budget = (runs: readonly StudyRun[]) => placesOf(runs, ({ job }) => job.steps).at(-1)?.runs ?? []
  const ours = placesOf(budget(arms.scaling(variant)), ({ job }) => sizeOrder(arms, job.size))
  return together(
    ours.length === 0
      ? [{ name: variant, judged: undefined }]
      : ours.map(({ runs }) => {
          const { size } = runs[0]!.job
          const baseline = budget(arms.scaling(baselineName)).filter(({ job }) => job.size === size)
          return { name: `${variant}, ${size}`, judged: order(runs, baseline, lossOrder) }
        }),
  )
}

/** Sizes by the baseline's parameters. */
function sizeOrder(arms: Arms, size: string): number {
  return arms.data.runs.find(({ job }) => job.size === size)!.parameters
}

/**
 * Every claim with its verdict, in the order of the paper's argument.
 *
 * @example
 * const rows = claims(measured).map(({ claim, verdict }) => `${verdict}: ${claim}`)
 */
export function claims(data: StudyData): Claim[] {
  const arms = new Arms(data)
  return questions.map(({ judge, ...question }) => ({ ...question, ...judge(arms) }))
}
