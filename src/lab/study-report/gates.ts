/** What the gates do: how their scores are spread, what they leave of attention's output, and what their values are worth. */
import { histogramChart } from '../../train/report/charts.ts'
import { figure, section } from '../../train/report/figures.ts'
import { formatFixed, formatPercent } from '../../train/report/format.ts'
import { escapeText, type Markup, markup } from '../../train/report/markup.ts'
import { axisTop } from '../../train/report/sections.ts'
import { type Arm, armsOf, type Measure, runsOf, spreadOf } from './arms.ts'
import { type IntervalRow, intervalChart, intervalHeight } from './charts.ts'
import type { StudyData, StudyRun } from './data.ts'
import { keys, type Mark } from './marks.ts'
import { type Column, chart, leftOut, spreadCell, table } from './parts.ts'

const two = (value: number): string => formatFixed(value, 2)
const three = (value: number): string => formatFixed(value, 3)

/** Histograms of gate scores by arm and layer. */
export function gateSection(data: StudyData): Markup {
  const heading = 'Gate scores'
  const arms = armsOf(runsOf(data, 'main')).filter(({ runs }) => runs.some(({ measures }) => measures?.gate))
  if (arms.length === 0) return leftOut('gates', heading, 'no run has measured gate scores.')
  const layered = arms.map((arm) => ({ arm, layers: layersOf(arm.runs) }))
  const top = axisTop(Math.max(...layered.flatMap(({ layers }) => layers.flatMap(({ shares }) => shares))))
  const rows = layered.map(({ arm: { variant, runs }, layers }, index) => {
    const charts = layers.map(({ layer, shares, mean }) => {
      const label = `${variant}, layer ${layer}: histogram of gate scores, mean ${two(mean)}`
      const frame = { id: `gate-${index}-${layer}`, label, width: 230, height: 150 }
      return `<div class="small-chart"><h3>layer ${layer}</h3>${histogramChart(frame, { shares, mean, colour: 'var(--run-0)', top })}</div>`
    })
    const share = (of: Measure) => formatPercent(spreadOf(runs, of)?.mean ?? Number.NaN)
    const words =
      `${share(({ measures }) => measures?.gate?.shareBelowTenth)} below 0.1, ` +
      `${share(({ measures }) => measures?.gate?.shareAboveNineTenths)} above 0.9, ` +
      `median ${two(spreadOf(runs, ({ measures }) => measures?.gate?.median)?.mean ?? Number.NaN)}`
    return (
      `<div class="gate-row"><h3>${escapeText(variant)} <small>${words}</small></h3>` +
      `<div class="small-charts gates">${charts.join('\n')}</div></div>`
    )
  })
  return section(
    'gates',
    heading,
    figure(
      rows.join('\n'),
      'Share of scores in each bin, all seeds together, all panels on the same scale; scores outside 0 to 1 are counted in the nearest bin. ' +
        'A score near 0 shuts a part of the attention\u2019s output off.',
      'long',
    ),
  )
}

interface LayerShares {
  layer: number
  shares: number[]
  mean: number
}

/** Counts of all seeds added, layer by layer; the mean is of the seeds' means. */
function layersOf(runs: readonly StudyRun[]): LayerShares[] {
  const layers = new Map<number, { counts: number[]; means: number[] }>()
  for (const { measures } of runs) {
    for (const { layer, counts, mean } of measures?.gate?.layers ?? []) {
      const sum = layers.get(layer) ?? { counts: new Array<number>(counts.length).fill(0), means: [] }
      for (const [bin, count] of counts.entries()) sum.counts[bin]! += count
      sum.means.push(mean)
      layers.set(layer, sum)
    }
  }
  return [...layers]
    .sort(([a], [b]) => a - b)
    .map(([layer, { counts, means }]) => {
      const total = counts.reduce((sum, count) => sum + count, 0)
      return {
        layer,
        shares: counts.map((count) => (total > 0 ? count / total : 0)),
        mean: means.reduce((sum, mean) => sum + mean, 0) / means.length,
      }
    })
}

/** Size and sparsity of attention's output before and after the gate. */
export function outputSection(data: StudyData): Markup {
  const heading = 'What is left of attention\u2019s output'
  const arms = armsOf(runsOf(data, 'main')).filter(({ runs }) => runs.some(({ measures }) => measures?.attentionOutput))
  if (arms.length === 0) return leftOut('output', heading, 'no run has measured it.')
  const thresholds = Object.keys(
    arms[0]!.runs.find(({ measures }) => measures?.attentionOutput)!.measures!.attentionOutput!.sparsityBefore,
  )
  const column = (name: string, of: Measure, format: (value: number) => string): Column<Arm> => ({
    head: markup(name),
    cell: ({ runs }) => spreadCell(spreadOf(runs, of), format),
  })
  const columns = [
    column('size<small>before</small>', ({ measures }) => measures?.attentionOutput?.before, three),
    column('size<small>after</small>', ({ measures }) => measures?.attentionOutput?.after, three),
    ...thresholds.flatMap((threshold) => [
      column(
        `below ${escapeText(threshold)}<small>before</small>`,
        ({ measures }) => measures?.attentionOutput?.sparsityBefore[threshold],
        three,
      ),
      column(
        `below ${escapeText(threshold)}<small>after</small>`,
        ({ measures }) => measures?.attentionOutput?.sparsityAfter[threshold],
        three,
      ),
      column(
        `below ${escapeText(threshold)}<small>mean gate</small>`,
        ({ measures }) => measures?.attentionOutput?.sparsityMeanGate?.[threshold],
        three,
      ),
    ]),
  ]
  const content = table<Arm>(arms, ({ variant }) => escapeText(variant), columns, {
    first: 'Variant',
    caption:
      'Mean absolute value of the output of attention before and after the gate, and the share of it below a threshold. ' +
      '\u2018Mean gate\u2019 multiplies by the gate\u2019s mean instead: what is left of the difference is the work of single scores. ' +
      'The paper: size 0.71 to 0.05, shares rise more than with the mean.',
  })
  return section('output', heading, content)
}

type Clamp = NonNullable<NonNullable<StudyRun['measures']>['clamp']>

const clamps: readonly { key: keyof Clamp; name: string; mark: Mark }[] = [
  { key: 'none', name: 'as trained', mark: { colour: 'var(--run-0)', symbol: 'circle', dash: 'solid' } },
  { key: 'mean', name: 'its mean', mark: { colour: 'var(--run-1)', symbol: 'rect', dash: 'solid', hollow: true } },
  { key: 'one', name: '1, open', mark: { colour: 'var(--run-2)', symbol: 'triangle', dash: 'solid', hollow: true } },
  { key: 'zero', name: '0, shut', mark: { colour: 'var(--run-3)', symbol: 'diamond', dash: 'solid', hollow: true } },
]

/** The loss when the gate's scores are replaced in a trained model. */
export function clampSection(data: StudyData): Markup {
  const heading = 'Holding the gate still'
  const arms = armsOf(runsOf(data, 'main')).filter(({ runs }) => runs.some(({ measures }) => measures?.clamp))
  if (arms.length === 0) return leftOut('clamp', heading, 'no run has replaced its gate\u2019s scores.')
  const of =
    (key: keyof Clamp): Measure =>
    ({ measures }) =>
      measures?.clamp?.[key]
  const rows = arms.map(
    ({ variant, runs }): IntervalRow => ({
      name: variant,
      places: clamps.flatMap(({ key, mark }) => {
        const spread = spreadOf(runs, of(key))
        return spread ? [{ mark, value: spread.mean, low: spread.low, high: spread.high }] : []
      }),
    }),
  )
  const drawn = chart((place, width) =>
    intervalChart(
      { id: `clamp-${place}`, label: 'Loss by what the gate is held at', width, height: intervalHeight(rows.length) },
      rows,
      { name: 'held-out loss, nats' },
    ),
  )
  const content = table<Arm>(
    arms,
    ({ variant }) => escapeText(variant),
    clamps.map(({ key, name }) => ({
      head: escapeText(name),
      cell: ({ runs }) => spreadCell(spreadOf(runs, of(key)), three),
    })),
    {
      first: 'Gate held at',
      caption:
        'Held-out loss of trained models whose gate scores are replaced: by each layer\u2019s mean, by 1, by 0. ' +
        'On the paper\u2019s released model of perplexity 12.4, the mean gives 277, one 251,000, zero 304,000.',
    },
  )
  const legend = keys(clamps.map(({ name, mark }) => ({ label: name, mark, shows: 'point' })))
  return section(
    'clamp',
    heading,
    `${figure(legend + drawn, 'The further a mark lies from the first, the more the model needs what was replaced.')}\n${content}`,
  )
}
