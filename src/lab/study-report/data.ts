/**
 * What a study keeps of its runs, and all that its report, its tables and its claims are made from: plain JSON.
 *
 * T time (positions read), H heads. Losses are mean cross-entropies in nats. A number that is not finite becomes null in
 * JSON, so lists that may hold one say so.
 */
import { SluiceError } from '../../errors.ts'
import type { ModelMeasures } from '../metrics.ts'

export type { ModelMeasures }

/** One cell of the grid: what is trained, and how. */
export interface StudyJob {
  /** Which question the run belongs to: the table of variants, the sweep of learning rates, or the scaling. */
  group: 'main' | 'rates' | 'scaling'
  /** Name of the variant, or `baseline`. */
  variant: string
  /** Of weights, data order and dropout. */
  seed: number
  /** The largest of the schedule. */
  learningRate: number
  /** The name of a model size of the preset, such as `base`. */
  size: string
  /** Training steps. */
  steps: number
}

/** One run and what came of it. */
export interface StudyRun {
  /** The cell of the grid. */
  job: StudyJob
  /** Made of the job: a name no other run of the study has. */
  name: string
  /** Number of weights. */
  parameters: number
  /** Tokens trained on. */
  tokens: number
  /** Time spent training. */
  seconds: number
  /** The step at which loss or gradient stopped being finite, and what was found; null for a run that ended well. */
  diverged: { step: number; reason: string } | null
  /** Held-out; null when diverged. */
  loss: number | null
  /** Curves over the steps: losses in nats, shares of attention on the first token. */
  curve: {
    /** Training losses, every step. */
    step: number[]
    loss: (number | null)[]
    heldOut: { step: number; loss: number | null }[]
    firstToken: { step: number; mean: number; corrected: number }[]
  }
  /** By threshold in nats: the share of logged losses that far above the median of those before, and their number. */
  spikes: {
    rate: Record<string, number>
    count: Record<string, number>
    maximum: number
    /** Losses at the start that are not looked at; 0 unless given. */
    warmup?: number
  }
  /** Measures of the trained model; null when diverged. */
  measures: ModelMeasures | null
  /** Losses at multiples of the training length, as trained and with RoPE's base rescaled; the first is that length. */
  length: { length: number; loss: number; rescaled: number }[] | null
  /** Losses early and late in the context, in nats, and the score of prefix matching; null when diverged. */
  inContext: { early: number; late: number; prefixMatching: number } | null
  /** Attention on one text, each head [T, T]; kept for the first seed. */
  maps: { tokens: string[]; layers: { heads: number[][] }[] } | null
}

/** A study, whole: settings and runs. */
export interface StudyData {
  /** Heading of the report. */
  title: string
  /** ISO 8601. */
  createdAt: string
  /** Name of the preset. */
  preset: string
  /** Where it ran, in words. */
  machine: string
  /** As `StudySettings`. */
  settings: Record<string, unknown>
  /** Runs that are done. */
  runs: StudyRun[]
}

/** The arm that all others are held against. */
export const baselineName = 'baseline'

/**
 * Refuses data that no honest report can be drawn from.
 *
 * @throws SluiceError when there is no run, a job was run twice, a run has neither a loss nor a divergence, or a map does
 * not have one weight for each pair of tokens
 */
export function checkStudyData({ runs }: StudyData): void {
  if (runs.length === 0) throw new SluiceError('study report', 'runs is empty: expected at least one finished run')
  const names = new Map<string, string>()
  for (const run of runs) {
    const { group, variant, seed, learningRate, size, steps } = run.job
    const arm = group === 'main' ? [group, variant, seed] : [group, variant, seed, learningRate, size, steps]
    const key = JSON.stringify(arm)
    const twin = names.get(key)
    if (twin !== undefined) {
      throw new SluiceError(
        'study report',
        `runs '${twin}' and '${run.name}' are both of group ${group}, variant ${variant}, seed ${seed}: ` +
          'means over seeds count each seed once; leave one of them out',
      )
    }
    names.set(key, run.name)
    if (run.loss === null && run.diverged === null) {
      throw new SluiceError(
        'study report',
        `run '${run.name}' has no loss and did not diverge: expected one of the two`,
      )
    }
    checkMaps(run)
  }
}

function checkMaps({ name, maps }: StudyRun): void {
  if (!maps) return
  const T = maps.tokens.length
  for (const [layer, { heads }] of maps.layers.entries()) {
    for (const [head, weights] of heads.entries()) {
      if (weights.length === T * T) continue
      throw new SluiceError(
        'study report',
        `run '${name}', layer ${layer}, head ${head}: the map has ${weights.length} weights, expected ` +
          `${T * T} = ${T} x ${T}, one for each pair of the ${T} tokens`,
      )
    }
  }
}
