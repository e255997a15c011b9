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

/**
 * The largest learning rate at which this arm trains, and where its loss is lowest; undefined when every run diverged.
 *
 * A rate at which any seed diverged counts as diverged: whoever picks a rate has one run.
 */
export function stableRate(runs: readonly StudyRun[]): ReturnType<typeof largestStableRate> | undefined {
  const places = placesOf(runs, rateOf)
  const rates = places.map(({ x, loss, diverged }) => ({
    learningRate: x,
    loss: diverged > 0 ? null : (loss?.mean ?? null),
  }))
  return rates.some(({ loss }) => loss !== null) ? largestStableRate(rates) : undefined
}
