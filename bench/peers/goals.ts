/** What the engine is to reach on a cpu, as ratios of times measured in one run. */
import type { Simd } from '../cpu.ts'
import type { HashModelName } from '../hash-model.ts'
import { medianOf } from './records.ts'
import { bestOfJavaScript, limitOf, milliseconds, type StepSummary } from './steps.ts'

export interface Goal {
  readonly goal: string
  readonly found: number
  readonly isMet: boolean
}

/** Steps are compared on as many threads. */
const THREADS = 2

type ForEachModel = Readonly<Record<HashModelName, number>>

/** Times of the single-purpose program in the same variant, at most. */
const ofTheLimit: ForEachModel = { tiny: 1.5, small: 1.25, medium: 1.25 }

/** PyTorch's time over ours, at least. */
const overPyTorch: ForEachModel = { tiny: 2, small: 1.4, medium: 1.05 }

/** The time of the best engine in JavaScript over ours, at least. */
const overJavaScript: Readonly<Partial<Record<Simd, ForEachModel>>> = {
  wide: { tiny: 10, small: 6, medium: 4 },
  relaxed: { tiny: 6, small: 3.5, medium: 2.2 },
}

/** MB that a step of medium takes, at most. */
const MEMORY = 650

/** Those for which both sides were measured. */
export function goalsOfSteps(steps: readonly StepSummary[]): Goal[] {
  const goals: Goal[] = []
  const atMost = (goal: string, found: number, most: number) =>
    goals.push({ goal: `${goal}: at most ${most}`, found, isMet: found <= most })
  const atLeast = (goal: string, found: number, least: number) =>
    goals.push({ goal: `${goal}: at least ${least}`, found, isMet: found >= least })
  const captured = steps.filter(
    ({ family, engine, threads }) => family === 'Sluice' && threads === THREADS && !engine.endsWith('eager'),
  )
  for (const ours of captured) {
    const config = ours.what as HashModelName
    const name = `${config}, ${ours.engine}`
    const ms = milliseconds(ours)
    const limit = limitOf(ours, steps)
    if (limit) atMost(`${name}: time over the limit's`, ms / milliseconds(limit), ofTheLimit[config])
    if (ours.simd === 'wide') {
      for (const peer of steps.filter((s) => s.family === 'PyTorch' && s.what === config && s.threads === THREADS)) {
        atLeast(`${name}: ${peer.engine}'s time over it`, milliseconds(peer) / ms, overPyTorch[config])
      }
    }
    const best = bestOfJavaScript(ours, steps)
    const least = overJavaScript[ours.simd!]
    if (best && least) atLeast(`${name}: time of ${best.engine} over it`, milliseconds(best) / ms, least[config])
    if (config === 'medium') {
      atMost(
        `${name}: memory in MB`,
        medianOf(ours, ({ rss_mb }) => rss_mb),
        MEMORY,
      )
    }
  }
  return goals
}
