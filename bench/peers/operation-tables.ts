/** The comparison of operations as tables: times of each pass, ratios, the delta rule by length. */
import { median } from '../median.ts'
import type { Cell, Table } from '../table.ts'
import { goalsOfOperations, goalsTable } from './goals.ts'
import { type OperationCase, type OperationLine, operationCases } from './operation-cases.ts'
import { medianOf, type PeerRecord, type Results, type Summary, summarize, threadsInWords } from './records.ts'

type OperationSummary = Summary<OperationLine>

/** Engines sum in different orders; over a tensor such differences of float32 hardly show in a root mean square. */
const TOLERANCE = 1e-4

/** A line for each engine and operation whose values are not those that most find. */
export function disagreements(records: readonly PeerRecord<OperationLine>[]): string[] {
  const all = summarize(records)
  return all.flatMap(({ what, engine, threads, lines: [{ checks }] }) => {
    const others = all.filter((other) => other.what === what).map(({ lines }) => lines[0].checks)
    const expected = checks.map((_, i) => median(others.map((each) => each[i])))
    const isNear = checks.every((x, i) => Math.abs(x - expected[i]) <= TOLERANCE * Math.abs(expected[i]))
    if (isNear) return []
    return [`${what}, ${engine}, ${threadsInWords(threads)}: VALUES DIFFER: ${checks} where most find ${expected}`]
  })
}

type Pass = 'forward' | 'both'

const timeOf = (found: OperationSummary | undefined, pass: Pass): number | null =>
  found === undefined || found.lines[0][pass] === null ? null : medianOf(found, (line) => line[pass]!)

/** How many flops the forward pass counts for in a pass. */
const share = { forward: 1, both: 3 } as const

const passName = { forward: 'forward', both: 'with backward' } as const

/** Rows of one number of threads: each case and pass, each engine's ms, and the peers' time over the best of ours. */
function timesTable(cases: readonly OperationCase[], all: readonly OperationSummary[], threads: number): Table {
  // Those that were measured once, on one thread, stand in every table.
  const shown = all.filter(
    (s) => s.threads === threads || !all.some((t) => t.engine === s.engine && t.threads === threads),
  )
  const engines = [...new Map(shown.map(({ engine, family }) => [engine, family]))]
  const others = engines.filter(([, family]) => family !== 'Sluice').map(([engine]) => engine)
  const rows = cases.flatMap((given) =>
    (['forward', 'both'] as const).flatMap((pass): Cell[][] => {
      const at = (name: string) =>
        timeOf(
          shown.find(({ engine, what }) => engine === name && what === given.row),
          pass,
        )
      const times = engines.map(([engine]) => at(engine))
      if (times.every((ms) => ms === null)) return []
      const ours = Math.min(...engines.map(([engine, family]) => (family === 'Sluice' && at(engine)) || Infinity))
      const rate = given.flops && ours < Infinity ? (share[pass] * given.flops) / ours / 1e6 : null
      const ratios = others.map((engine) => {
        const ms = at(engine)
        return ms === null || ours === Infinity ? null : ms / ours
      })
      return [[given.row, given.operation === 'adamW' ? 'step' : passName[pass], ...times, rate, ...ratios]]
    }),
  )
  return {
    title: `Operations, ${threadsInWords(threads)}: ms of a call, GFLOP/s of our best, and others' times over it`,
    headings: [
      ...['operation', 'pass', ...engines.map(([engine]) => engine), 'GFLOP/s'],
      ...others.map((engine) => `${engine} / ours`),
    ],
    rows,
  }
}

function deltaTable(cases: readonly OperationCase[], all: readonly OperationSummary[], threads: number): Table {
  const rows = cases.flatMap((given) =>
    all
      .filter((found) => found.what === given.row && found.threads === threads)
      .map((found): Cell[] => {
        const both = timeOf(found, 'both')
        return [
          ...[given.mode!, given.inputs[0].shape[1], found.engine, timeOf(found, 'forward'), both],
          both === null ? null : (1e3 * both) / given.tokens!,
          medianOf(found, ({ rss_mb }) => rss_mb),
          medianOf(found, ({ rss_start_mb }) => rss_start_mb),
        ]
      }),
  )
  return {
    title: `Gated delta rule, B 2, H 4, K = V = 32, ${threadsInWords(threads)}`,
    headings: ['form', 'T', 'engine', 'forward ms', 'with backward', 'us a token', 'RSS MB', 'of it at start'],
    rows,
  }
}

/** The largest resident memory of each process: that of the tensors, and of the engine around them. */
function memoryTable(cases: readonly OperationCase[], all: readonly OperationSummary[], threads: number): Table {
  const shown = all.filter(
    (s) => s.threads === threads || !all.some((t) => t.engine === s.engine && t.threads === threads),
  )
  const engines = [...new Set(shown.map(({ engine }) => engine))]
  return {
    title: `Operations, ${threadsInWords(threads)}: largest resident MB, of it before the first tensor`,
    headings: ['operation', ...engines],
    rows: cases.map(({ row }) => [
      row,
      ...engines.map((name) => {
        const found = shown.find(({ engine, what }) => engine === name && what === row)
        if (!found) return null
        return `${medianOf(found, (line) => line.rss_mb)}, ${medianOf(found, (line) => line.rss_start_mb)}`
      }),
    ]),
  }
}

export function operationTables({ records }: Results<OperationLine>): Table[] {
  const all = summarize(records)
  const measured = operationCases.filter(({ row }) => all.some(({ what }) => what === row))
  const [delta, others] = [
    measured.filter(({ operation }) => operation === 'gatedDeltaRule'),
    measured.filter(({ operation }) => operation !== 'gatedDeltaRule'),
  ]
  // Only Sluice's say which numbers were asked for: others may have one thread whatever is asked.
  const threads = [...new Set(all.filter(({ family }) => family === 'Sluice').map((s) => s.threads))]
  const tables = threads.flatMap((n) => [
    ...(others.length > 0 ? [timesTable(others, all, n), memoryTable(others, all, n)] : []),
    ...(delta.length > 0 ? [deltaTable(delta, all, n)] : []),
  ])
  return [...tables, ...goalsTable('Goals', goalsOfOperations(all))]
}
