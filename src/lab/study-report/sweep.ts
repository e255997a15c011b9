/** One arm's runs at several learning rates, or sizes, or budgets: the spread of the loss at each. */
import { largestStableRate } from '../metrics/statistics.ts'
import { grouped, lossOf, type Spread, spreadOf } from './arms.ts'
import type { StudyRun } from './data.ts'

/** The runs that share one place on an axis. */
export interface Place {
  readonly x: number
  readonly runs: readonly StudyRun[]
  /** Of the held-out loss, over the seeds that did not diverge. */
  readonly loss: Spread | undefined
  readonly diverged: number
}

/** The runs by rising x. */
export function placesOf(runs: readonly StudyRun[], x: (run: StudyRun) => number): Place[] {
  return [...grouped(runs, x)]
    .map(([at, there]) => ({
      x: at,
      runs: there,
      loss: spreadOf(there, lossOf),
      diverged: there.filter(({ diverged }) => diverged !== null).length,
    }))
    .sort((a, b) => a.x - b.x)
}

export const rateOf = ({ job }: StudyRun): number => job.learningRate

/** The largest learning rate at which every run of this arm trains, and the best; undefined without runs. */
export function stableRate(runs: readonly StudyRun[]): ReturnType<typeof largestStableRate> | undefined {
  return runs.length > 0
    ? largestStableRate(runs.map((run) => ({ learningRate: rateOf(run), loss: run.loss })))
    : undefined
}
