/** The report's curves over the steps: losses, whole and enlarged, and the learning rate. */
import { type LossSeries, learningRateChart, lossChart } from './charts.ts'
import type { LossPoint, ReportData, ReportRun } from './data.ts'
import { figure, type LegendMark, legend, namesOf, runColour, runEntries, section, wideAndNarrow } from './figures.ts'
import { formatInteger } from './format.ts'
import { escapeText, type Markup, none, shorten } from './markup.ts'
import { countOf, paragraph } from './sentences.ts'
import { smoothCurve } from './smooth.ts'
import { loss3 } from './summary.ts'

type DrawnLosses = [LossSeries[], Parameters<typeof lossChart>[2]]

/** Loss and learning rate over the steps. */
export function trainingSection(data: ReportData): Markup {
  const figures = [lossFigure(data), learningRateFigure(data.runs)].filter((part) => part !== '')
  return figures.length ? section('training', 'Training', figures.join('\n')) : none
}

function lossFigure({ runs, baselines, lossUnit = 'nats per character' }: ReportData): Markup {
  const raw = runs.map((run) => drawable(run.trainLoss))
  const heldOut = runs.map((run) => drawable(run.heldOutLoss))
  if ([...raw, ...heldOut].every((points) => points.length === 0)) return none
  const smooth = raw.map(smoothCurve)
  const series = runs.map((_, index): LossSeries => {
    return {
      colour: runColour(index),
      raw: raw[index]!.map(pair),
      smoothed: smooth[index]!.points.map(pair),
      heldOut: heldOut[index]!.map(pair),
    }
  })
  const lines = baselines
    .filter(({ loss }) => Number.isFinite(loss))
    .map(({ name, loss }) => ({ name: `${shorten(name, 24)} ${loss3(loss)}`, value: loss }))
  const names = namesOf(runs)
  const chart = (id: string, heading: string, ...drawn: DrawnLosses) => {
    const label = `Loss over steps of ${names}: ${heading.toLowerCase()}`
    const svg = lossChart({ id: `loss-${id}`, label, width: 460, height: 340 }, ...drawn)
    return `<div class="small-chart"><h3>${heading}</h3>${svg}</div>`
  }
  const half = secondHalf(series)
  const range = half && usualRange(half)
  const charts = [chart('all', 'All steps', series, { baselines: lines, unit: lossUnit })]
  if (half) charts.push(chart('half', 'Second half, enlarged', half, { baselines: [], unit: lossUnit, range }))
  const cutOff = half && range ? countOutside(half, range) : 0
  const lost = runs.reduce((sum, run, index) => sum + run.trainLoss.length - raw[index]!.length, 0)
  const kinds: [LegendMark, string, boolean][] = [
    ['faint', 'training, as logged', raw.some((points) => points.length > 0)],
    ['strong', 'training, smoothed', raw.some((points) => points.length > 0)],
    ['dot', 'held-out', heldOut.some((points) => points.length > 0)],
    ['dashed', 'baseline', lines.length > 0],
  ]
  const marks = kinds.flatMap(([mark, name, present]) => (present ? [{ label: name, mark }] : []))
  const span = Math.max(...smooth.map((curve) => curve.span))
  const caption = paragraph(
    span > 0 ? `Each point of a smoothed curve is fitted to about ${countOf(span, 'logged value')}.` : '',
    ...lines.map(({ name, value }) => firstBelow(runs, heldOut, name, value)),
    cutOff > 0 ? `The enlarged half cuts off ${countOf(cutOff, 'logged value')} far from the others.` : '',
    lost > 0 ? `Not drawn, because not finite: ${countOf(lost, 'logged value')}.` : '',
  )
  return figure(`${legend([...runEntries(runs), ...marks])}<div class="pair">${charts.join('\n')}</div>`, caption)
}

function pair({ step, loss }: LossPoint): [number, number] {
  return [step, loss]
}

/** The curves' second half, where runs differ by less than they fell before; undefined when there is too little. */
function secondHalf(series: LossSeries[]): LossSeries[] | undefined {
  const steps = series.flatMap(({ raw, heldOut }) => [...raw, ...heldOut].map(([step]) => step))
  const last = steps.reduce((latest, step) => Math.max(latest, step), 0)
  const late = (points: [number, number][]) => points.filter(([step]) => step >= last / 2)
  const halves = series.map((run) => ({
    ...run,
    raw: late(run.raw),
    smoothed: late(run.smoothed),
    heldOut: late(run.heldOut),
  }))
  return halves.every(({ raw, heldOut }) => raw.length >= 8 || heldOut.length >= 3) ? halves : undefined
}

/**
 * The range that the enlarged half shows: all smoothed and held-out values, and the raw ones but for rare spikes, which
 * would flatten everything else. A spike is further out than the middle 98 % of values are wide, halved.
 */
function usualRange(series: LossSeries[]): [number, number] {
  const raw = series.flatMap((run) => run.raw.map(([, loss]) => loss)).sort((a, b) => a - b)
  const calm = series.flatMap(({ smoothed, heldOut }) => [...smoothed, ...heldOut].map(([, loss]) => loss))
  const quantile = (share: number) => raw[Math.round(share * (raw.length - 1))]
  const low = quantile(0.01)
  const high = quantile(0.99)
  const kept = low === undefined || high === undefined ? [] : raw.filter((loss) => between(loss, low, high))
  const shown = [...kept, ...calm]
  const bottom = shown.reduce((least, loss) => Math.min(least, loss), Infinity)
  const top = shown.reduce((most, loss) => Math.max(most, loss), -Infinity)
  const tick = niceTick((top - bottom) / 5)
  return [multiple(Math.floor(bottom / tick), tick), multiple(Math.ceil(top / tick), tick)]
}

/** n ticks, without the last digits that the product adds: the axis' own ticks must not lie outside its range. */
function multiple(n: number, tick: number): number {
  return Number((n * tick).toPrecision(12))
}

function between(loss: number, low: number, high: number): boolean {
  const margin = (high - low) / 2
  return loss >= low - margin && loss <= high + margin
}

/** The smallest of 1, 2, 5, 10, ... times a power of ten that is at least `size`. */
function niceTick(size: number): number {
  if (size <= 0) return 0.1
  const power = 10 ** Math.floor(Math.log10(size))
  return [1, 2, 5].map((factor) => factor * power).find((tick) => tick >= size) ?? 10 * power
}

function countOutside(series: LossSeries[], [bottom, top]: [number, number]): number {
  return series.flatMap(({ raw }) => raw).filter(([, loss]) => loss < bottom || loss > top).length
}

/** 'Held-out loss is first below bigram 2.469 at step 200 (gated), never (ungated).' */
function firstBelow(runs: ReportRun[], heldOut: LossPoint[][], name: string, value: number): string {
  const measured = runs.flatMap((run, index) => (heldOut[index]!.length > 0 ? [{ run, points: heldOut[index]! }] : []))
  const times = measured.map(({ points }) => {
    const point = points.find(({ loss }) => loss < value)
    return point ? `at step ${formatInteger(point.step)}` : 'never'
  })
  if (times.length === 0) return ''
  const told =
    new Set(times).size === 1
      ? `${times[0]}${times.length > 1 ? ' in every run' : ''}`
      : times.map((time, index) => `${time} (${escapeText(measured[index]!.run.name)})`).join(', ')
  return `Held-out loss is first below ${escapeText(name)} ${told}.`
}

function learningRateFigure(runs: ReportRun[]): Markup {
  const scheduled = runs.flatMap((run, index) => (run.learningRate?.length ? [{ run, index }] : []))
  if (scheduled.length === 0) return none
  const schedules = new Set(scheduled.map(({ run }) => JSON.stringify(run.learningRate)))
  const shared = schedules.size === 1 && scheduled.length === runs.length && runs.length > 1
  const drawn = shared ? scheduled.slice(0, 1) : scheduled
  const series = drawn.map(({ run, index }) => ({
    colour: shared ? 'var(--ink)' : runColour(index),
    points: run.learningRate!.map(({ step, value }): [number, number] => [step, value]),
  }))
  const label = `Learning rate over steps of ${namesOf(scheduled.map(({ run }) => run))}`
  return figure(
    (shared ? '' : legend(runEntries(runs, scheduled))) +
      wideAndNarrow((id, width) => learningRateChart({ id: `rate-${id}`, label, width, height: 150 }, series)),
    shared ? 'The learning rate, the same for every run.' : 'The learning rate of each run.',
  )
}

/** Points whose loss can be drawn. */
function drawable(points: LossPoint[]): LossPoint[] {
  return points.filter(({ step, loss }) => Number.isFinite(step) && Number.isFinite(loss))
}
