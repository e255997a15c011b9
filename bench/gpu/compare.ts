/** Ours beside PyTorch, as tables in Markdown: medians of the rounds of one run on one machine. */
import { threeDigits } from '../table.ts'
import { fastest, type GpuRecord, ofSection, type Summary, summarize } from './records.ts'

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

const table = (headings: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(headings), row(headings.map(() => '---')), ...rows.map(row)].join('\n')

const show = <R>(found: Summary<R> | undefined, value: (found: Summary<R>) => number): string =>
  found ? threeDigits(value(found)) : ''

/** How many times PyTorch's speed ours is. */
const ratio = (ours: Summary<unknown> | undefined, theirs: Summary<unknown> | undefined): string =>
  ours && theirs ? (theirs.milliseconds / ours.milliseconds).toFixed(2) : ''

function compareProducts(records: readonly GpuRecord[]): string {
  const all = summarize(ofSection(records, 'products'))
  const tflops = ({ first, milliseconds }: (typeof all)[number]) => (first.tflops * first.milliseconds) / milliseconds
  const rows = [...new Set(all.map((r) => r.row))].map((name) => {
    const ours = all.find((r) => r.row === name && r.way === 'captured')
    const clock = all.find((r) => r.row === name && r.way === 'timestamps')
    const theirs = all.find((r) => r.row === name && r.engine === 'pytorch')
    return [name, show(ours, tflops), show(clock, tflops), show(theirs, tflops), ratio(ours, theirs)]
  })
  return table(
    ['matrix product', 'Sluice TFLOP/s', "by the GPU's clock", 'PyTorch TFLOP/s (fp32, no TF32)', 'Sluice / PyTorch'],
    rows,
  )
}

function compareSteps(records: readonly GpuRecord[]): string {
  const all = summarize(ofSection(records, 'steps'))
  const rows = [...new Set(all.map((r) => r.row))].map((name) => {
    const of = (engine: string, start: string) =>
      fastest(all.filter((r) => r.row === name && r.engine === engine && r.way.startsWith(start)))
    const [captured, eager] = [of('sluice', 'captured'), of('sluice', 'eager')]
    const [theirs, compiled] = [of('pytorch', 'eager'), of('pytorch', 'compiled')]
    const milliseconds = (found: Summary<unknown>) => found.milliseconds
    const ours = fastest([captured, eager].filter((found) => found !== undefined))
    return [
      name,
      show(captured, milliseconds),
      show(eager, milliseconds),
      show(theirs, milliseconds),
      show(compiled, milliseconds),
      ours ? String(Math.round((ours.first.tokensPerSecond * ours.first.milliseconds) / ours.milliseconds)) : '',
      ratio(ours, theirs),
      ratio(ours, compiled),
      agreement(all.filter((r) => r.row === name)),
    ]
  })
  return table(
    [
      'training step',
      'Sluice captured ms',
      'eager ms',
      'PyTorch eager ms',
      'compiled ms',
      'Sluice tokens/s',
      'Sluice / eager',
      'Sluice / compiled',
      'losses',
    ],
    rows,
  )
}

/** The largest difference of the losses of all engines and ways. */
function agreement(of: readonly Summary<{ loss0: number; lossAfterK: number }>[]): string {
  const spread = (values: readonly number[]) => Math.max(...values) - Math.min(...values)
  const first = spread(of.map((r) => r.first.loss0))
  const after = spread(of.map((r) => r.first.lossAfterK))
  return of.length < 2 ? '' : `differ by ${first.toExponential(0)} at first, ${after.toExponential(0)} after K`
}

/** Both tables, for `bench/results/README.md`. Where a row lacks an engine, its cells are empty. */
export function compare(records: readonly GpuRecord[]): string {
  return `${compareProducts(records)}\n\n${compareSteps(records)}\n`
}
