/** Everything that can be checked of an operation from its record alone: `checkOp` for one, `checkAll` for every one. */
import { device as readyDevice } from '../device/registry.ts'
import { SluiceError } from '../errors.ts'
import { type Operation, type OpRecord, operations } from '../ops/record.ts'
import type { Finding } from './finding.ts'
import { recordOf, searchParity } from './parity.ts'
import { badInputs, broadcastAdjoint, firstOrder, linearity, noGradient, secondOrder } from './properties.ts'
import { type Failure, type Outcome, type SampleCheck, type SearchOptions, search, showFailure } from './search.ts'

/**
 * What is looked at: messages of bad input, first and second gradients, linearity in the cotangent, sums over broadcast
 * axes, the absence of a gradient, or agreement with the reference device.
 */
export type CheckKind = 'bad input' | 'gradient' | 'second order' | 'linearity' | 'broadcast' | 'no gradient' | 'parity'

/** One line of the table: one kind of check of one operation on one device. */
export interface CheckRow {
  /** Name of the operation. */
  readonly op: string
  /** What was looked at. */
  readonly kind: CheckKind
  /** Name of the device it ran on. */
  readonly device: string
  /** Samples checked; for bad input, the bad inputs. */
  readonly cases: number
  /** The error nearest to its bound, or furthest beyond. */
  readonly worstError: number
  /** What is allowed there. */
  readonly bound: number
  /** worstError / bound: at most 1, unless it failed. */
  readonly ratio: number
  /** What is wrong, with the smallest sample that shows it; null when nothing is. */
  readonly failure: string | null
}

/** The checks on the reference device, by kind, in order. */
const sampleChecks: Readonly<Record<string, (record: OpRecord, given: readonly unknown[]) => Finding | null>> = {
  gradient: firstOrder,
  'second order': secondOrder,
  linearity,
  broadcast: broadcastAdjoint,
}

/** One kind of check of an operation, over samples of its record on the reference device. @throws SluiceError for 'bad input' and 'parity', which look at no samples there */
export function searchKind(record: OpRecord, kind: CheckKind, options: SearchOptions = {}): Promise<Outcome> {
  const check = kind === 'no gradient' ? noGradient : sampleChecks[kind]
  if (!check) throw new SluiceError('check', `there is no check of samples called '${kind}'`)
  const sampleCheck: SampleCheck = (given) => check(record, given)
  return search(record, sampleCheck, options)
}

const rowOf = (
  record: OpRecord,
  kind: CheckKind,
  device: string,
  cases: number,
  { error, bound, ratio }: Finding,
  failure: Failure | null,
): CheckRow => ({
  op: record.name,
  kind,
  device,
  cases,
  worstError: error,
  bound,
  ratio,
  failure: failure && showFailure(failure),
})

/** Checks one operation, kind after kind. */
async function* rowsOf(record: OpRecord, devices: readonly string[], options: SearchOptions): AsyncGenerator<CheckRow> {
  if (record.errors.length > 0) {
    const finding = badInputs(record)
    yield {
      ...rowOf(record, 'bad input', 'reference', record.errors.length, finding, null),
      failure: finding.message,
    }
  }
  const kinds: CheckKind[] = record.differentiable ? (Object.keys(sampleChecks) as CheckKind[]) : ['no gradient']
  for (const kind of kinds) {
    const { cases, worst, failure } = await searchKind(record, kind, options)
    // Most operations have no operands that broadcast; the others must have samples of every kind.
    if (kind === 'broadcast' && cases === 0 && !failure) continue
    yield rowOf(record, kind, 'reference', cases, worst, failure)
  }
  for (const device of devices) {
    if (device === 'reference') continue
    const { cases, worst, failure } = await searchParity(record, 'reference', device, options)
    yield rowOf(record, 'parity', device, cases, worst, failure)
  }
}

/**
 * Checks an operation: bad inputs, finite differences, second order, linearity in the cotangent, broadcasting, and parity
 * with the cpu device. One line proves an operation of one's own.
 *
 * @param op an operation made by `defineOp`, its record or its name
 * @returns one row for each kind of check
 * @throws SluiceError for the first kind that fails, with the smallest sample that shows it, its seed and path, and the
 *   analytic and numeric value
 *
 * @example
 * await checkOp(cube)
 */
export async function checkOp(
  op: Operation<never[], unknown> | OpRecord | string,
  options: SearchOptions = {},
): Promise<CheckRow[]> {
  const record = recordOf('checkOp', op)
  const rows: CheckRow[] = []
  for await (const row of rowsOf(record, ['cpu'], options)) {
    if (row.failure !== null) {
      throw new SluiceError(
        'checkOp',
        `'${record.name}' fails the check '${row.kind}' on ${row.device}: ${row.failure}`,
      )
    }
    rows.push(row)
  }
  return rows
}

/** What `checkAll` looks at, and how often. */
export interface CheckAllOptions extends Pick<SearchOptions, 'numRuns' | 'seed'> {
  /** Devices to compare with the reference: cpu. */
  devices?: readonly string[]
  /** Names of the operations: all, the internal ones too. */
  names?: readonly string[]
}

/**
 * Checks every operation, on every device named. Failures are rows too, so that the table is always whole.
 *
 * @example
 * const rows = []
 * for await (const row of checkAll({ numRuns: 20, names: ['add', 'matmul'] })) rows.push(row)
 * console.log(formatTable(rows))
 */
export async function* checkAll(options: CheckAllOptions = {}): AsyncGenerator<CheckRow> {
  const { devices = ['cpu'], names, ...searchOptions } = options
  for (const name of devices) await readyDevice(name)
  const records = names ? names.map((name) => recordOf('checkAll', name)) : [...operations.values()]
  for (const record of records) yield* rowsOf(record, devices, searchOptions)
}
