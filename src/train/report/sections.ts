/** The report's parts below the curves: first-token attention, gates, activations, samples, configuration. */
import { attentionFigures } from './attention.ts'
import { type BarGroups, groupedBarChart, histogramChart } from './charts.ts'
import type { ReportData, ReportRun } from './data.ts'
import { figure, legend, namesOf, runColour, runEntries, runHeading, section, wideAndNarrow } from './figures.ts'
import { formatFixed, formatPercent } from './format.ts'
import { escapeText, type Markup, none } from './markup.ts'
import { orderOf, paragraph, valuesOf } from './sentences.ts'
import { activation, largest } from './summary.ts'

const two = (value: number): string => formatFixed(value, 2)

/** First-token share per layer and head, then the maps themselves. */
export function attentionSection({ runs }: ReportData): Markup {
  const figures = [firstTokenFigure(runs), attentionFigures(runs)].filter((part) => part !== '')
  return figures.length ? section('attention', 'Attention', figures.join('\n')) : none
}

function firstTokenFigure(runs: ReportRun[]): Markup {
  const measured = runs.flatMap((run, index) => (run.firstToken ? [{ run, shares: run.firstToken, index }] : []))
  const layers = Math.max(0, ...measured.map(({ shares }) => shares.perLayerHead.length))
  const heads = Math.max(0, ...measured.flatMap(({ shares }) => shares.perLayerHead.map((layer) => layer.length)))
  if (layers === 0 || heads === 0) return none
  const uniforms = [...new Set(measured.map(({ shares }) => shares.uniform))].filter(Number.isFinite)
  const bars: BarGroups = {
    groups: Array.from({ length: layers }, (_, layer) => `layer ${layer}`),
    items: Array.from({ length: heads }, (_, head) => `${head}`),
    series: measured.map(({ shares, index }) => ({
      colour: runColour(index),
      values: Array.from({ length: layers * heads }, (_, place) => {
        return finiteOrNull(shares.perLayerHead[Math.floor(place / heads)]?.[place % heads])
      }),
    })),
    references: uniforms,
  }
  const label = `Share of attention on the first token by layer and head of ${namesOf(measured.map(({ run }) => run))}`
  const marks = uniforms.map((value) => ({
    label: `uniform attention, ${formatFixed(value, 3)}`,
    mark: 'dashed' as const,
  }))
  const corrected = (run: ReportRun) => run.firstToken?.corrected
  const caption = paragraph(
    'Each bar is one head, averaged over the held-out text; above the dashed line it looks at the first token more than uniform attention would.',
    `Beyond uniform, over all heads: ${valuesOf(runs, corrected, two)}.`,
    orderOf('It', runs, corrected, two),
  )
  return figure(
    legend([...runEntries(runs, measured), ...marks]) +
      wideAndNarrow((id, width) =>
        groupedBarChart({ id: `first-${id}`, label, width, height: 300 }, bars, 'share on the first token'),
      ),
    caption,
  )
}

/** Histograms of gate scores, one for each layer of each run with a gate. */
export function gateSection({ runs }: ReportData): Markup {
  const figures = runs.flatMap((run, index) => (run.gateScores?.layers.length ? [gateFigure(runs, index)] : []))
  return figures.length ? section('gates', 'Gate scores', figures.join('\n')) : none
}

function gateFigure(runs: ReportRun[], index: number): Markup {
  const run = runs[index]!
  const { layers, mean, shareBelowTenth, shareAboveNineTenths } = run.gateScores!
  const shares = layers.map(({ counts }) => {
    const total = counts.reduce((sum, count) => sum + count, 0)
    return counts.map((count) => (total > 0 ? count / total : 0))
  })
  const top = axisTop(Math.max(...shares.flat()))
  const charts = layers.map((layer, place) => {
    const number = layer.layer ?? place
    const label = `${run.name}, layer ${number}: histogram of gate scores, mean ${two(layer.mean)}`
    const frame = { id: `gate-${index}-${number}`, label, width: 310, height: 190 }
    const bars = { shares: shares[place]!, mean: layer.mean, colour: runColour(index), top }
    return `<div class="small-chart"><h3>Layer ${number}</h3>${histogramChart(frame, bars)}</div>`
  })
  const caption = paragraph(
    'Share of scores in each bin, all layers on the same scale; a score near 0 shuts a part of the attention\u2019s output off.',
    `Over all layers the mean is ${two(mean)}, with ${formatPercent(shareBelowTenth)} of the scores below 0.1 and ${formatPercent(shareAboveNineTenths)} above 0.9.`,
    'The paper\u2019s sigmoid gates average 0.12 to 0.34, and a sigmoid gate starts near 0.5.',
    mean >= 0.5 ? 'Here the gate is more open than closed, unlike the paper\u2019s.' : '',
  )
  return figure(`${legend(runEntries(runs, [{ index }]))}<div class="small-charts">${charts.join('\n')}</div>`, caption)
}

/** The y axis' end of histograms: the first of these that holds the tallest bar, so that its half is short to write too. */
export function axisTop(tallest: number): number {
  return [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8].find((top) => tallest <= top) ?? 1
}

/** Largest activation per layer. */
export function activationSection({ runs }: ReportData): Markup {
  const measured = runs.flatMap((run, index) => {
    return run.maximumActivation?.length ? [{ run, maxima: run.maximumActivation, index }] : []
  })
  if (measured.length === 0) return none
  const layers = Math.max(...measured.map(({ maxima }) => maxima.length))
  const bars: BarGroups = {
    groups: Array.from({ length: layers }, (_, layer) => `layer ${layer}`),
    items: [],
    series: measured.map(({ maxima, index }) => ({
      colour: runColour(index),
      values: Array.from({ length: layers }, (_, layer) => finiteOrNull(maxima[layer])),
    })),
    references: [],
  }
  const label = `Largest activation by layer of ${namesOf(measured.map(({ run }) => run))}`
  const measure = (run: ReportRun) => (run.maximumActivation?.length ? largest(run.maximumActivation) : undefined)
  const caption = paragraph(
    'The largest absolute value in each layer\u2019s output; a few values far above all others are called massive activations.',
    `Over all layers: ${valuesOf(runs, measure, activation)}.`,
    orderOf('It', runs, measure, activation),
  )
  return section(
    'activations',
    'Activations',
    figure(
      legend(runEntries(runs, measured)) +
        wideAndNarrow((id, width) =>
          groupedBarChart({ id: `activation-${id}`, label, width, height: 240 }, bars, 'largest |activation|'),
        ),
      caption,
    ),
  )
}

/** What each run wrote after its prompt. */
export function sampleSection({ runs }: ReportData): Markup {
  const samples = runs.flatMap((run, index) => (run.sample === undefined ? [] : [sampleBlock(run, run.sample, index)]))
  if (samples.length === 0) return none
  const prompted = runs.some((run) => run.sample !== undefined && run.prompt)
  const caption = prompted
    ? 'The prompt is marked, the rest is the model\u2019s; one draw each, so judge by the loss and not by a lucky line.'
    : 'One draw each, so judge by the loss and not by a lucky line.'
  return section('samples', 'Samples', figure(`<div class="columns">${samples.join('\n')}</div>`, caption))
}

function sampleBlock(run: ReportRun, sample: string, index: number): string {
  const { prompt = '' } = run
  const rest = sample.startsWith(prompt) ? sample.slice(prompt.length) : sample
  const marked = prompt ? `<mark>${escapeText(prompt)}</mark>` : ''
  return `<div class="column">${runHeading(run, index)}<pre class="sample">${marked}${escapeText(rest)}</pre></div>`
}

/** The configuration, as JSON; what JSON has no word for (NaN, bigints) is written as a string. */
export function configurationSection({ configuration }: Pick<ReportData, 'configuration'>): Markup {
  if (Object.keys(configuration).length === 0) return none
  const json = JSON.stringify(configuration, plainValue, 2)
  return section('configuration', 'Configuration', `<pre class="configuration">${escapeText(json)}</pre>`)
}

function plainValue(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number' && !Number.isFinite(value)) return value.toString()
  if (ArrayBuffer.isView(value) && !(value instanceof DataView))
    return Array.from(value as unknown as ArrayLike<number>)
  return value
}

function finiteOrNull(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null
}
