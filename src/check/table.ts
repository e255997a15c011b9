/** The table of a run of checks: operation by device, cases, and the worst error against its bound. */
import type { CheckRow } from './check-op.ts'

const HEAD = ['operation', 'check', 'device', 'cases', 'worst error', 'bound', 'of bound', ''] as const
const TO_THE_RIGHT = new Set([3, 4, 5, 6])

const number = (value: number): string => (value === 0 ? '0' : Number.isFinite(value) ? value.toExponential(1) : '-')

function cellsOf({ op, kind, device, cases, worstError, bound, ratio, failure }: CheckRow, first: boolean): string[] {
  const measured = kind !== 'bad input' && kind !== 'no gradient'
  const share = Number.isFinite(ratio) ? `${(100 * ratio).toFixed(ratio < 0.1 ? 1 : 0)} %` : '-'
  return [
    first ? op : '',
    kind,
    device,
    String(cases),
    measured ? number(worstError) : '-',
    measured ? number(bound) : '-',
    measured ? share : '-',
    failure === null ? '' : 'FAILS',
  ]
}

/**
 * Rows as a table in plain text, with a line of totals, and every failure in full below it.
 *
 * @param rows as `checkAll` gives them, those of an operation together
 *
 * @example
 * formatTable(rows)
 * // operation  check     device     cases  worst error    bound  of bound
 * // add        gradient  reference    200      1.9e-10  1.1e-6     0.0 %
 */
export function formatTable(rows: readonly CheckRow[]): string {
  const lines = [[...HEAD], ...rows.map((row, i) => cellsOf(row, rows[i - 1]?.op !== row.op))]
  const widths = HEAD.map((_, column) => Math.max(...lines.map((cells) => cells[column].length)))
  const table = lines.map((cells) =>
    cells
      .map((cell, i) => (TO_THE_RIGHT.has(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd(),
  )
  const failed = rows.filter(({ failure }) => failure !== null)
  const cases = rows.reduce((n, row) => n + row.cases, 0)
  const names = new Set(rows.map(({ op }) => op)).size
  const verdict = failed.length === 0 ? 'all within their bounds' : `${failed.length} checks failed`
  const told = failed.map(
    ({ op, kind, device, failure }) => `\n'${op}' fails the check '${kind}' on ${device}: ${failure}`,
  )
  return [
    ...table,
    '',
    `${names} operation${names === 1 ? '' : 's'}, ${rows.length} checks, ${cases} cases: ${verdict}`,
    ...told,
  ].join('\n')
}
