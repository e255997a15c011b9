/** What a comparison finds: one record for each engine, what it did, and round; and the medians over rounds. */
import type { Simd } from '../cpu.ts'
import { type Machine, showMachine } from '../machine.ts'
import { median } from '../median.ts'
import type { Engine } from './engines.ts'
import type { Family } from './settings.ts'

/** Who measured. */
export interface Measurer {
  /** Name of the engine. */
  readonly engine: string
  readonly family: Family
  readonly threads: number
  readonly simd?: Simd
}

/** One measurement: of a training step or of an operation, `what` names which. */
export interface PeerRecord<Line> extends Measurer {
  readonly what: string
  readonly round: number
  readonly line: Line
}

/** What could not be measured, and why. */
export interface Problem extends Measurer {
  /** Undefined where the engine is not there at all. */
  readonly what?: string
  readonly why: string
}

/** All rounds of one engine and one thing together. */
export interface Summary<Line> extends Measurer {
  readonly what: string
  readonly lines: readonly Line[]
}

/** Everything that a run writes. */
export interface Results<Line> {
  readonly machine: Machine
  readonly command: string
  /** A line for each engine that is there, with its version. */
  readonly installed: readonly string[]
  readonly records: readonly PeerRecord<Line>[]
  readonly problems: readonly Problem[]
}

export const measurer = ({ name, family, threads, simd }: Engine): Measurer => ({
  engine: name,
  family,
  threads,
  ...(simd === undefined ? {} : { simd }),
})

/** In the order in which they first came. */
export function summarize<Line>(records: readonly PeerRecord<Line>[]): Summary<Line>[] {
  const groups = new Map<string, PeerRecord<Line>[]>()
  for (const record of records) {
    const key = JSON.stringify([record.what, record.engine, record.threads])
    groups.set(key, [...(groups.get(key) ?? []), record])
  }
  return [...groups.values()].map((group) => {
    const { round: _, line: __, ...first } = group[0]
    return { ...first, lines: group.map(({ line }) => line) }
  })
}

/** Median over the rounds. */
export const medianOf = <Line>({ lines }: Summary<Line>, value: (line: Line) => number): number =>
  median(lines.map(value))

/** `2 threads`. */
export const threadsInWords = (threads: number): string => `${threads} thread${threads === 1 ? '' : 's'}`

/** What a problem says of one thing that was to be measured. */
export const reasonOf = ({ what, why }: Problem): string =>
  `${what === undefined ? 'left out' : 'not measured'}: ${why}`

/** On what and with what, and what is missing, as lines of text. */
export function showHead<Line>({ machine, command, installed, problems, records }: Results<Line>): string[] {
  const rounds = Math.max(0, ...records.map(({ round }) => round))
  const missing = problems.map((problem) => {
    const { engine, threads, what } = problem
    return [engine, ...(what === undefined ? [] : [threadsInWords(threads), what]), reasonOf(problem)].join(', ')
  })
  return [
    `\`${command}\``,
    showMachine(machine),
    ...installed,
    `Medians of ${rounds} interleaved rounds; each measurement is a process of its own.`,
    // The same engine is there once for each number of threads.
    ...new Set(missing),
  ]
}
