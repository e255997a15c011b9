/** Curves over training with spikes marked, and largest activations over depth, one arm in each panel before the baseline. */
import { figure, section } from '../../train/report/figures.ts'
import { formatFixed } from '../../train/report/format.ts'
import { escapeText, type Markup } from '../../train/report/markup.ts'
import { smoothCurve } from '../../train/report/smooth.ts'
import { excesses } from '../metrics/spikes.ts'
import { type Arm, armsOf, runsOf, type Spread, spreadOf } from './arms.ts'
import { type Curve, curvesChart, type Point } from './charts.ts'
import { baselineName, type StudyData, type StudyRun } from './data.ts'
import { armMark, baselineMark, crossSymbol, downSymbol, keys, type Mark } from './marks.ts'
import { type Column, leftOut, panel, panels, spreadCell, table } from './parts.ts'

/** Spikes of at least this many nats are marked. */
const markedSpikes = 0.2

/** The baseline's mean, which has to be seen on the seeds of an arm. */
const behind: Mark = { ...baselineMark, colour: 'var(--ink)' }

/** Training losses of every arm and seed. */
export function curveSection(data: StudyData): Markup {
  const heading = 'Training loss and spikes'
  const arms = armsOf(runsOf(data, 'main')).filter(({ runs }) => runs.some(({ curve }) => curve.loss.length > 0))
  if (arms.length === 0) return leftOut('curves', heading, 'no run of the variants kept its losses.')
  const means = new Map(arms.map((arm) => [arm, meanCurve(arm.runs)]))
  const baseline = arms.find(({ variant }) => variant === baselineName)
  const [low, high] = lateRange(arms)
  const content = panels(arms, (arm, index) => {
    const curves: Curve[] = arm.runs.map((run) => ({
      mark: armMark,
      kind: 'faint',
      points: pointsOf(run).filter(({ y }) => Number.isFinite(y)),
      noticed: spikesOf(run).map(({ x, y }) => ({ x, y: Math.min(y, high) })),
      diverged: run.diverged ? [run.diverged.step] : [],
    }))
    curves.push({ mark: armMark, kind: 'line', points: means.get(arm)! })
    if (baseline && arm !== baseline) curves.push({ mark: behind, kind: 'line', points: means.get(baseline)! })
    const label = `${arm.variant}: training loss over steps of ${arm.runs.length} seeds`
    return panel(
      arm.variant,
      curvesChart(
        { id: `curve-${index}`, label, width: 310, height: 220 },
        curves,
        { name: 'step' },
        { name: 'nats', low, high },
      ),
    )
  })
  const legend = keys([
    { label: 'mean over seeds, smoothed; seeds faint', mark: armMark, shows: 'line' },
    { label: 'baseline, the same', mark: behind, shows: 'line' },
    {
      label: `a spike of ${markedSpikes} or more`,
      mark: { colour: 'var(--run-4)', symbol: downSymbol, dash: 'solid' },
      shows: 'point',
    },
    { label: 'diverged', mark: { colour: 'var(--run-0)', symbol: crossSymbol, dash: 'solid' }, shows: 'point' },
  ])
  const caption =
    'All panels on the same scale, which is that of the losses after the first quarter of the steps. A spike is a loss above the median of the 50 before it; ' +
    'marks of spikes beyond the scale stand at its top.'
  return section('curves', heading, `${figure(legend + content, caption, 'long')}\n${spikeTable(arms)}`)
}

function spikesOf({ curve, spikes }: StudyRun): Point[] {
  const losses = curve.loss.map((loss) => loss ?? Number.NaN)
  return excesses(losses, { warmup: spikes.warmup }).flatMap(({ index, excess }) =>
    excess > markedSpikes ? [{ x: curve.step[index]!, y: losses[index]! }] : [],
  )
}

function pointsOf({ curve }: StudyRun): Point[] {
  return curve.step.map((step, index) => ({ x: step, y: curve.loss[index] ?? Number.NaN }))
}

/** The mean over seeds of each step, smoothed; steps that some seed did not reach are means of the others. */
function meanCurve(runs: readonly StudyRun[]): Point[] {
  const sums = new Map<number, { sum: number; count: number }>()
  for (const { x, y } of runs.flatMap(pointsOf)) {
    if (!Number.isFinite(y)) continue
    const at = sums.get(x) ?? { sum: 0, count: 0 }
    sums.set(x, { sum: at.sum + y, count: at.count + 1 })
  }
  const points = [...sums].sort(([a], [b]) => a - b).map(([step, { sum, count }]) => ({ step, loss: sum / count }))
  return smoothCurve(points).points.map(({ step, loss }) => ({ x: step, y: loss }))
}

/** The range that holds nearly all losses after the first quarter of the steps. */
function lateRange(arms: readonly Arm[]): [number, number] {
  const late = arms.flatMap(({ runs }) =>
    runs.flatMap((run) => {
      const last = run.job.steps
      return pointsOf(run).flatMap(({ x, y }) => (x >= last / 4 && Number.isFinite(y) ? [y] : []))
    }),
  )
  const all = late.length > 0 ? late : arms.flatMap(({ runs }) => runs.flatMap(pointsOf).map(({ y }) => y))
  const sorted = all.filter(Number.isFinite).sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? 0
  const [low, high] = [at(0), at(0.995)]
  const margin = (high - low) * 0.08 || 0.1
  return [low - margin, high + margin]
}

function spikeTable(arms: readonly Arm[]): Markup {
  const thresholds = Object.keys(arms[0]!.runs[0]!.spikes.rate)
  const percent = (share: number) => `${formatFixed(share * 100, 2)}\u00a0%`
  const columns: Column<Arm>[] = thresholds.map((threshold) => ({
    head: escapeText(`above ${threshold}`),
    cell: ({ runs }) =>
      spreadCell(
        spreadOf(runs, ({ spikes }) => spikes.rate[threshold]),
        percent,
      ),
  }))
  columns.push({
    head: escapeText('largest'),
    cell: ({ runs }) => {
      const spread = spreadOf(runs, ({ spikes }) => spikes.maximum)
      return spread && escapeText(formatFixed(Math.max(...spread.values), 2))
    },
  })
  return table<Arm>(arms, ({ variant }) => escapeText(variant), columns, {
    first: 'Spikes',
    caption:
      'Share of training losses that lie so many nats above the median of the 50 before, and the largest such excess of any seed. ' +
      'The paper\u2019s logs over 3.5T tokens: 1.26\u00a0% above 0.1 and at most 8.29 without the gate; none, at most 0.09, with it.',
  })
}

/** Largest activation by layer. */
export function activationSection(data: StudyData): Markup {
  const heading = 'Activations by layer'
  const arms = armsOf(runsOf(data, 'main')).filter(({ runs }) => runs.some(({ measures }) => measures))
  if (arms.length === 0) return leftOut('activations', heading, 'no run of the variants was measured.')
  const layers = (arm: Arm, of: 'perLayer' | 'perLayerMedian'): Spread[] => {
    const count = Math.max(...arm.runs.map(({ measures }) => measures?.massiveActivation[of].length ?? 0))
    return Array.from({ length: count }, (_, layer) =>
      spreadOf(arm.runs, ({ measures }) => measures?.massiveActivation[of][layer]),
    ).flatMap((spread) => spread ?? [])
  }
  const points = (arm: Arm, of: 'perLayer' | 'perLayerMedian'): Point[] =>
    layers(arm, of).map(({ mean, low, high }, layer) => ({
      x: layer,
      y: mean,
      ...(low > 0 ? { low, high } : {}),
    }))
  const baseline = arms.find(({ variant }) => variant === baselineName)
  const most = arms.flatMap((arm) => [...points(arm, 'perLayer'), ...points(arm, 'perLayerMedian')])
  const positive = most
    .flatMap(({ y, low = y, high = y }) => [y, low, high])
    .filter((value) => value > 0 && Number.isFinite(value))
  const range = { low: Math.min(...positive) / 1.2, high: Math.max(...positive) * 1.2 }
  const shown = arms.length > 1 ? arms.filter((arm) => arm !== baseline) : arms
  const medianMark: Mark = { colour: 'var(--run-2)', symbol: 'triangle', dash: [2, 2], hollow: true }
  const content = panels(shown, (arm, index) => {
    const curves: Curve[] = []
    if (baseline && arm !== baseline) curves.push({ mark: baselineMark, points: points(baseline, 'perLayer') })
    curves.push({ mark: armMark, points: points(arm, 'perLayer') })
    curves.push({ mark: medianMark, points: points(arm, 'perLayerMedian') })
    const count = Math.max(...curves.map((curve) => curve.points.length))
    const every = Math.ceil(count / 8)
    const ticks = Array.from({ length: count }, (_, layer) => layer).filter((layer) => layer % every === 0)
    const label = `${arm.variant}: largest and median activation by layer`
    return panel(
      arm.variant,
      curvesChart(
        { id: `activations-${index}`, label, width: 310, height: 220 },
        curves,
        { name: 'layer', ticks, low: -0.3, high: count - 0.7 },
        { name: '|activation|', logarithmic: true, ...range },
      ),
    )
  })
  const legend = keys([
    { label: 'largest', mark: armMark },
    ...(baseline && shown[0] !== baseline ? [{ label: 'largest, baseline', mark: baselineMark }] : []),
    { label: 'median', mark: medianMark },
  ])
  return section(
    'activations',
    heading,
    figure(
      legend + content,
      'Absolute values of each layer\u2019s output, logarithmic; mean and 95\u00a0% interval over seeds. ' +
        'Activations are called massive when the largest is above 100 and about a thousand times the median (Sun et al., arXiv\u00a02402.17762).',
    ),
  )
}
