/** The table of variants beside the paper's numbers, and the same as intervals. */
import { figure, section } from '../../train/report/figures.ts'
import { formatFixed, formatInteger, formatPercent } from '../../train/report/format.ts'
import { escapeText, type Markup, markup, none } from '../../train/report/markup.ts'
import { activation } from '../../train/report/summary.ts'
import {
  type Arm,
  activationMeasure,
  armsOf,
  differenceOf,
  gateMeasure,
  lossOf,
  type Measure,
  runsOf,
  sinkMeasure,
  spreadOf,
} from './arms.ts'
import { type Axis, type IntervalRow, intervalChart, intervalHeight } from './charts.ts'
import { baselineName, type StudyData } from './data.ts'
import { armMark, baselineMark, keys, type Mark } from './marks.ts'
import { type PaperFigures, paperOf, titleOf } from './paper.ts'
import { chart, leftOut, paperCell, spreadCell, table } from './parts.ts'

const two = (value: number): string => formatFixed(value, 2)
const three = (value: number): string => formatFixed(value, 3)

/** The paper's numbers, in every chart of this section. */
const paperMark: Mark = { colour: 'var(--run-1)', symbol: 'diamond', dash: 'solid', hollow: true }

/** Loss, sink, activations and gates of every variant. */
export function variantSection(data: StudyData): Markup {
  const arms = armsOf(runsOf(data, 'main'))
  if (arms.length === 0) return leftOut('variants', 'Variants', 'the study has no runs of the group of variants.')
  return section('variants', 'Variants', [variantTable(arms), ...intervalFigures(arms)].join('\n'))
}

function variantTable(arms: readonly Arm[]): Markup {
  const baseline = arms.find(({ variant }) => variant === baselineName)?.runs ?? []
  const paper = (
    figureOf: keyof PaperFigures,
    format: (value: number) => string,
  ): { head: Markup; kind: 'paper'; cell(arm: Arm): Markup | undefined } => ({
    head: escapeText('paper'),
    kind: 'paper',
    cell: ({ variant }) => paperCell(paperOf(variant)[figureOf], format),
  })
  const head = (name: string, note: string) => markup(`${escapeText(name)}<small>${escapeText(note)}</small>`)
  return table<Arm>(
    arms,
    ({ variant, runs }) => markup(escapeText(titleOf(variant)) + notes(variant, runs)),
    [
      { head: head('loss', 'held-out'), cell: ({ runs }) => spreadCell(spreadOf(runs, lossOf), three) },
      {
        head: head('difference', 'to the baseline'),
        cell: ({ variant, runs }) =>
          variant === baselineName ? undefined : spreadCell(differenceOf(runs, baseline, lossOf), three),
      },
      paper('lossDifference', three),
      {
        head: head('first token', 'beyond uniform'),
        cell: ({ runs }) => spreadCell(spreadOf(runs, sinkMeasure), three),
      },
      paper('firstToken', three),
      {
        head: head('largest activation', 'mean of layers'),
        cell: ({ runs }) => spreadCell(spreadOf(runs, activationMeasure), activation),
      },
      paper('massiveActivation', activation),
      { head: head('gate score', 'mean'), cell: ({ runs }) => spreadCell(spreadOf(runs, gateMeasure), three) },
      paper('gateScore', three),
    ],
    { first: 'Variant', caption: variantCaption(arms) },
  )
}

function notes(variant: string, runs: Arm['runs']): string {
  const diverged = runs.filter((run) => run.diverged).length
  const lost = diverged > 0 ? `, ${diverged} diverged` : ''
  const name = titleOf(variant) === variant ? '' : `${variant}, `
  const seeds = `${runs.length} seed${runs.length === 1 ? '' : 's'}${lost}`
  return `<small>${escapeText(`${name}${seeds}`)}</small><small>${formatInteger(runs[0]!.parameters)} parameters</small>`
}

function variantCaption(arms: readonly Arm[]): string {
  const sizes = arms.flatMap(({ runs }) => runs.map((run) => run.parameters))
  const spread = (Math.max(...sizes) - Math.min(...sizes)) / Math.min(...sizes)
  const diverged = arms.some(({ runs }) => runs.some((run) => run.diverged))
  return (
    'Differences of the loss are taken seed by seed, so that what all arms share (data and its order) cancels. ' +
    'The paper\u2019s numbers are of a 15B-parameter mixture of experts at a context of 4096, its losses the logarithms of perplexities; ' +
    'compare orders, not sizes. ' +
    (diverged ? 'Diverged runs have no loss and are left out of the means. ' : '') +
    (spread === 0
      ? 'All models have as many parameters.'
      : `Models differ by at most ${formatPercent(spread)} in parameters.`)
  )
}

interface Forest {
  readonly id: string
  readonly title: string
  readonly measure: Measure
  readonly axis: Axis
  readonly paper: keyof PaperFigures
  readonly against?: 'baseline'
  readonly reference?: number
  readonly caption: string
}

const forests: readonly Forest[] = [
  {
    id: 'loss',
    title: 'Held-out loss minus the baseline\u2019s',
    measure: lossOf,
    axis: { name: 'difference, nats' },
    paper: 'lossDifference',
    against: 'baseline',
    reference: 0,
    caption: 'Left of the dashed line is better than the baseline. Small circles are seeds.',
  },
  {
    id: 'sink',
    title: 'Attention on the first token',
    measure: sinkMeasure,
    axis: { name: 'share beyond uniform', format: two },
    paper: 'firstToken',
    reference: 0,
    caption: '0 is what uniform attention gives, 1 is all attention on the first token.',
  },
  {
    id: 'activation',
    title: 'Largest activation',
    measure: activationMeasure,
    axis: { name: 'mean over layers, logarithmic', logarithmic: true },
    paper: 'massiveActivation',
    caption: 'The largest absolute value of a layer\u2019s output, averaged over layers.',
  },
]

function intervalFigures(arms: readonly Arm[]): Markup[] {
  const baseline = arms.find(({ variant }) => variant === baselineName)?.runs ?? []
  return forests.map(({ id, title, measure, axis, paper, against, reference, caption }) => {
    const shown = against ? arms.filter(({ variant }) => variant !== baselineName) : arms
    let withPaper = false
    const rows = shown.flatMap(({ variant, runs }): IntervalRow[] => {
      const spread = against ? differenceOf(runs, baseline, measure) : spreadOf(runs, measure)
      if (!spread) return []
      const { mean, low, high, values } = spread
      const mark = variant === baselineName ? { ...baselineMark, dash: 'solid' as const } : armMark
      const ours = { mark, value: mean, low, high, values: values.length > 1 ? values : [] }
      const theirs = paperOf(variant)[paper]
      if (theirs !== null) withPaper = true
      return [{ name: variant, places: theirs === null ? [ours] : [{ mark: paperMark, value: theirs }, ours] }]
    })
    if (rows.length === 0) return none
    const legend = keys([
      { label: 'here, mean and 95\u00a0% interval', mark: armMark },
      ...(withPaper ? [{ label: 'the paper', mark: paperMark, shows: 'point' as const }] : []),
    ])
    const drawn = chart((place, width) =>
      intervalChart(
        { id: `${id}-${place}`, label: `${title}, by variant`, width, height: intervalHeight(rows.length) },
        rows,
        axis,
        reference,
      ),
    )
    return figure(`<h3>${title}</h3>${legend}${drawn}`, caption)
  })
}
