/** What the engine is to reach on a cpu: ratios of times measured in one run, and a few rates. */
import type { Simd } from '../cpu.ts'
import type { HashModelName } from '../hash-model.ts'
import type { Table } from '../table.ts'
import { type OperationLine, operationCases } from './operation-cases.ts'
import { medianOf, type Summary } from './records.ts'
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

const atMost = (goal: string, found: number, most: number): Goal => ({
  goal: `${goal}: at most ${most}`,
  found,
  isMet: found <= most,
})

const atLeast = (goal: string, found: number, least: number): Goal => ({
  goal: `${goal}: at least ${least}`,
  found,
  isMet: found >= least,
})

/** Those for which both sides were measured. */
export function goalsOfSteps(steps: readonly StepSummary[]): Goal[] {
  const goals: Goal[] = []
  const captured = steps.filter(
    ({ family, engine, threads }) => family === 'Sluice' && threads === THREADS && !engine.endsWith('eager'),
  )
  for (const ours of captured) {
    const config = ours.what as HashModelName
    const name = `${config}, ${ours.engine}`
    const ms = milliseconds(ours)
    const limit = limitOf(ours, steps)
    if (limit) goals.push(atMost(`${name}: time over the limit's`, ms / milliseconds(limit), ofTheLimit[config]))
    if (ours.simd === 'wide') {
      for (const peer of steps.filter((s) => s.family === 'PyTorch' && s.what === config && s.threads === THREADS)) {
        goals.push(atLeast(`${name}: ${peer.engine}'s time over it`, milliseconds(peer) / ms, overPyTorch[config]))
      }
    }
    const best = bestOfJavaScript(ours, steps)
    const least = overJavaScript[ours.simd!]
    if (best && least)
      goals.push(atLeast(`${name}: time of ${best.engine} over it`, milliseconds(best) / ms, least[config]))
    if (config === 'medium') {
      const memory = medianOf(ours, ({ rss_mb }) => rss_mb)
      goals.push(atMost(`${name}: memory in MB`, memory, MEMORY))
    }
  }
  return goals
}

/** GFLOP/s of a matrix product on one thread, at least. */
const productRates: Readonly<Partial<Record<Simd, number>>> = { relaxed: 48, wide: 92 }

/** Times that of one thread that two reach, at least. */
const OF_TWO_THREADS = 1.8

/** Milliseconds of the gated delta rule, forward and backward, on one thread and the shortest length, at most. */
const DELTA = { row: 'T 256', longest: 'T 8192', milliseconds: 2.5 }

/** Those of our engine that were measured. */
export function goalsOfOperations(all: readonly Summary<OperationLine>[]): Goal[] {
  const ours = all.filter(({ family }) => family === 'Sluice')
  const onThreads = (given: Summary<OperationLine>, n: number) =>
    ours.find(({ what, engine, threads }) => what === given.what && engine === given.engine && threads === n)
  const forward = (given: Summary<OperationLine>) => medianOf(given, (line) => line.forward)
  const both = (given: Summary<OperationLine>) => medianOf(given, (line) => line.both ?? Number.NaN)
  const goals: Goal[] = []
  for (const one of ours.filter(({ threads }) => threads === 1)) {
    const { flops, operation } = operationCases.find(({ row }) => row === one.what)!
    const name = `${one.what}, ${one.engine}`
    const least = productRates[one.simd!]
    if (operation === 'matmul' && least) {
      goals.push(atLeast(`${name}, GFLOP/s of one thread`, flops! / forward(one) / 1e6, least))
      const two = onThreads(one, 2)
      if (two)
        goals.push(atLeast(`${name}, two threads' speed over one's`, forward(one) / forward(two), OF_TWO_THREADS))
    }
    if (operation === 'gatedDeltaRule' && one.what.endsWith(DELTA.row)) {
      goals.push(atMost(`${name}, ms of one thread`, both(one), DELTA.milliseconds))
      const long = ours.find(
        ({ what, engine, threads }) =>
          threads === 1 && engine === one.engine && what === one.what.replace(DELTA.row, DELTA.longest),
      )
      // Time per token stays flat; a quarter is left for caches.
      if (long) goals.push(atMost(`${name}, ms a token at ${DELTA.longest} over it`, both(long) / both(one) / 32, 1.25))
    }
  }
  return goals
}

/** None where nothing was measured that a goal is about. */
export function goalsTable(title: string, goals: readonly Goal[]): Table[] {
  if (goals.length === 0) return []
  const rows = goals.map(({ goal, found, isMet }) => [goal, found, isMet ? 'met' : 'not met'])
  return [{ title, headings: ['goal', 'found', ''], rows }]
}
