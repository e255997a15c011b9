/** The runs of a study by variant, and a quantity of them over seeds: its mean, its interval, its difference to the baseline's. */
import { meanInterval, pairedDifference } from '../metrics/statistics.ts'
import { baselineName, type StudyData, type StudyJob, type StudyRun } from './data.ts'

/** All runs of one variant in one group, by rising seed. */
export interface Arm {
  readonly variant: string
  readonly runs: readonly StudyRun[]
}

/** One number of a run; null or undefined where it has none. */
export type Measure = (run: StudyRun) => number | null | undefined

/** A quantity over seeds: its mean with the 95 % interval, and the values. */
export interface Spread {
  readonly mean: number
  readonly low: number
  readonly high: number
  readonly values: readonly number[]
}

export const runsOf = ({ runs }: StudyData, group: StudyJob['group']): StudyRun[] =>
  runs.filter(({ job }) => job.group === group)

/** The items by their key, in the order in which keys come. */
export function grouped<Item, Key>(items: readonly Item[], key: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group) group.push(item)
    else groups.set(key(item), [item])
  }
  return groups
}

/** The arms of these runs: the baseline first, then as they come. */
export function armsOf(runs: readonly StudyRun[]): Arm[] {
  const byVariant = grouped(runs, ({ job }) => job.variant)
  const names = [...byVariant.keys()].sort((a, b) => Number(b === baselineName) - Number(a === baselineName))
  return names.map((variant) => ({
    variant,
    runs: byVariant.get(variant)!.toSorted((a, b) => a.job.seed - b.job.seed),
  }))
}

/** The runs' values by seed, where they have one. */
export function bySeed(runs: readonly StudyRun[], measure: Measure): Map<number, number> {
  const values = new Map<number, number>()
  for (const run of runs) {
    const value = measure(run)
    if (typeof value === 'number' && Number.isFinite(value)) values.set(run.job.seed, value)
  }
  return values
}

/** The spread of a quantity over seeds; undefined where no run has it. */
export function spreadOf(runs: readonly StudyRun[], measure: Measure): Spread | undefined {
  const values = [...bySeed(runs, measure).values()]
  return values.length > 0 ? { ...meanInterval(values), values } : undefined
}

/** The spread of `of` minus `from`, seed by seed; undefined where they share no seed. */
export function differenceOf(of: readonly StudyRun[], from: readonly StudyRun[], measure: Measure): Spread | undefined {
  const [ours, theirs] = [bySeed(of, measure), bySeed(from, measure)]
  const values = [...ours].flatMap(([seed, value]) => (theirs.has(seed) ? [value - theirs.get(seed)!] : []))
  if (values.length === 0) return undefined
  const { mean, low, high } = pairedDifference(ours, theirs)
  return { mean, low, high, values }
}

export const lossOf: Measure = ({ loss }) => loss
/** Attention on the first token beyond what uniform attention gives it. */
export const sinkMeasure: Measure = ({ measures }) => measures?.firstToken?.corrected
export const activationMeasure: Measure = ({ measures }) => measures?.massiveActivation.mean
export const gateMeasure: Measure = ({ measures }) => measures?.gate?.mean
