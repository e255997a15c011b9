/**
 * What is measured on a GPU, one record a row, engine, way and round; and what the tables make of them.
 *
 * The script `torch_gpu.py` prints records of the same form, so that both engines meet in one file.
 */
import { median } from '../median.ts'
import { formatTable } from '../table.ts'

export type Engine = 'sluice' | 'pytorch'

interface Common {
  readonly engine: Engine
  /** Counts from 1: the engines take turns, so that a drift of the machine meets both. */
  readonly round: number
}

/** One matrix product. */
export interface ProductRecord extends Common {
  readonly section: 'products'
  /** `2048 NT`, `64 x 512 NN`, `4096 x 256 x 4096 NN`: m x k x n where they differ. */
  readonly row: string
  /** `captured`: host time excluded; `timestamps`: the GPU's own clock; `mm`: PyTorch. */
  readonly way: string
  readonly milliseconds: number
  readonly tflops: number
}

/** One training step. */
export interface StepRecord extends Common {
  readonly section: 'steps'
  /** Name of the model. */
  readonly row: string
  /** `eager` or `captured`; of PyTorch `eager`, `eager, sdpa` or `compiled, sdpa`. */
  readonly way: string
  readonly batch: number
  readonly milliseconds: number
  readonly tokensPerSecond: number
  readonly loss0: number
  /** Loss of batch 0 after K steps. */
  readonly lossAfterK: number
  readonly K: number
}

/** GPU time of one training step by kernel, from timestamps; a profiled step is slower than one that is not. */
export interface ProfileRecord extends Common {
  readonly section: 'profile'
  readonly row: string
  readonly milliseconds: number
  readonly kernels: readonly { kernel: string; calls: number; milliseconds: number; share: number }[]
}

/** One operation against the float64 reference, forward and gradient. */
export interface ParityRecord extends Common {
  readonly section: 'parity'
  /** Name of the operation. */
  readonly row: string
  readonly cases: number
  /** The largest error as a share of what is allowed. */
  readonly worst: number
  readonly failure: string | null
}

/** What a task says of where it ran. */
export interface MachineRecord extends Common {
  readonly section: 'machine'
  readonly row: string
  readonly details: Readonly<Record<string, unknown>>
}

/** Something that could not be measured, and why. */
export interface ProblemRecord extends Common {
  readonly section: 'problem'
  readonly row: string
  readonly why: string
}

export type GpuRecord = ProductRecord | StepRecord | ProfileRecord | ParityRecord | MachineRecord | ProblemRecord

/** One row of a table: the same row and way, all rounds together. */
export interface Summary<R> {
  readonly row: string
  readonly way: string
  readonly engine: Engine
  readonly first: R
  readonly rounds: number
  /** The median of all rounds. */
  readonly milliseconds: number
}

/** Rounds of the same row and way, together, in the order in which they first came. */
export function summarize<R extends ProductRecord | StepRecord>(records: readonly R[]): Summary<R>[] {
  const groups = new Map<string, R[]>()
  for (const record of records) {
    const key = JSON.stringify([record.row, record.engine, record.way])
    groups.set(key, [...(groups.get(key) ?? []), record])
  }
  return [...groups.values()].map((group) => ({
    row: group[0].row,
    way: group[0].way,
    engine: group[0].engine,
    first: group[0],
    rounds: group.length,
    milliseconds: median(group.map(({ milliseconds }) => milliseconds)),
  }))
}

export function ofSection<S extends GpuRecord['section']>(
  records: readonly GpuRecord[],
  section: S,
): Extract<GpuRecord, { section: S }>[] {
  return records.filter((r): r is Extract<GpuRecord, { section: S }> => r.section === section)
}

/** The fastest of some ways. */
export const fastest = <R>(found: readonly Summary<R>[]): Summary<R> | undefined =>
  found.toSorted((a, b) => a.milliseconds - b.milliseconds)[0]

/** The fullest plain tables of what there is. */
export function showRecords(records: readonly GpuRecord[]): string {
  const parts: string[] = []
  const products = summarize(ofSection(records, 'products'))
  if (products.length > 0) {
    const cells = products.map(({ row, engine, way, milliseconds, first, rounds }) => [
      row,
      engine,
      way,
      milliseconds,
      (first.tflops * first.milliseconds) / milliseconds,
      rounds,
    ])
    parts.push(formatTable(['matrix product', 'engine', 'way', 'ms', 'TFLOP/s', 'rounds'], cells))
  }
  const steps = summarize(ofSection(records, 'steps'))
  if (steps.length > 0) {
    const cells = steps.map(({ row, engine, way, milliseconds, first, rounds }) => [
      row,
      engine,
      way,
      milliseconds,
      (first.tokensPerSecond * first.milliseconds) / milliseconds,
      first.loss0.toFixed(5),
      first.lossAfterK.toFixed(5),
      rounds,
    ])
    parts.push(
      formatTable(['training step', 'engine', 'way', 'ms', 'tokens/s', 'first loss', 'after K', 'rounds'], cells),
    )
  }
  for (const { row, milliseconds, kernels } of ofSection(records, 'profile')) {
    const cells = kernels
      .slice(0, 15)
      .map(({ kernel, calls, milliseconds: ms, share }) => [kernel, calls, ms, 100 * share])
    parts.push(
      `one step of ${row}, ${milliseconds.toFixed(3)} ms in kernels\n${formatTable(['kernel', 'calls', 'ms', '%'], cells)}`,
    )
  }
  const parity = ofSection(records, 'parity')
  if (parity.length > 0) {
    const failed = parity.filter(({ failure }) => failure !== null)
    const worst = parity.toSorted((a, b) => b.worst - a.worst)[0]
    parts.push(
      `parity: ${parity.length} operations, ${failed.length} failed; nearest to its bound: ${worst.row}, ` +
        `${(100 * worst.worst).toFixed(0)} % of it${failed.map(({ row, failure }) => `\n${row}: ${failure}`).join('')}`,
    )
  }
  const problems = ofSection(records, 'problem')
  if (problems.length > 0) parts.push(problems.map(({ engine, row, why }) => `${engine}, ${row}: ${why}`).join('\n'))
  return parts.join('\n\n')
}
