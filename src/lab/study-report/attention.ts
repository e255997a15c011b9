/** Attention maps, baseline beside gated, and how the attention on the first token grows in training. */
import { attentionFigures, smallMeanMaps } from '../../train/report/attention.ts'
import type { ReportRun } from '../../train/report/data.ts'
import { figure, section } from '../../train/report/figures.ts'
import { formatFixed } from '../../train/report/format.ts'
import { type Markup, none } from '../../train/report/markup.ts'
import { meanInterval } from '../metrics/statistics.ts'
import { type Arm, armsOf, grouped, runsOf, sinkMeasure, spreadOf } from './arms.ts'
import { type Curve, curvesChart, type Point } from './charts.ts'
import { baselineName, type StudyData, type StudyRun } from './data.ts'
import { armMark, baselineMark, keys, type Mark } from './marks.ts'
import { leftOut, panel, panels } from './parts.ts'

/** Gates after attention, the first of which is shown beside the baseline. */
const preferred = ['g1-elementwise', 'g1-headwise', 'g1-shared', 'g2-elementwise']

/** The maps of every arm small, and of two arms head by head. */
export function mapSection(data: StudyData): Markup {
  const heading = 'Attention maps'
  const mapped = armsOf(runsOf(data, 'main')).flatMap(({ variant, runs }) => {
    const run = runs.find(({ maps }) => maps?.layers.some(({ heads }) => heads.length > 0))
    return run ? [{ variant, run: drawn(variant, run) }] : []
  })
  if (mapped.length === 0) return leftOut('maps', heading, 'no run kept its attention.')
  const baseline = mapped.find(({ variant }) => variant === baselineName)
  const gated =
    preferred.flatMap((name) => mapped.find(({ variant }) => variant === name) ?? [])[0] ??
    mapped.find(({ variant }) => variant !== baselineName)
  const pair = [baseline, gated].flatMap((arm) => (arm ? [arm.run] : []))
  const all = mapped.length > pair.length ? smallMeanMaps(mapped.map(({ run }) => run)) : none
  return section('maps', heading, [all, attentionFigures(pair)].filter((part) => part !== '').join('\n'))
}

function drawn(variant: string, { maps, parameters, loss }: StudyRun): ReportRun {
  const { tokens, layers } = maps!
  return {
    name: variant,
    parameters,
    trainLoss: [],
    heldOutLoss: [],
    finalHeldOutLoss: loss ?? Number.NaN,
    attention: { tokens, layers: layers.map(({ heads }) => ({ heads: heads.map((head) => Float32Array.from(head)) })) },
  }
}

/** Attention on the first token over the steps, an arm in each panel before the baseline. */
export function growthSection(data: StudyData): Markup {
  const heading = 'The sink over training'
  const arms = armsOf(runsOf(data, 'main')).filter(({ runs }) => runs.some(({ curve }) => curve.firstToken.length > 0))
  if (arms.length === 0) return leftOut('growth', heading, 'no run measured its attention during training.')
  const points = new Map(arms.map((arm) => [arm, growth(arm)]))
  const baseline = arms.find(({ variant }) => variant === baselineName)
  const high = Math.max(0.05, ...[...points.values()].flat().map((point) => highest(point)))
  const low = Math.min(0, ...[...points.values()].flat().map((point) => lowest(point)))
  const margin = (high - low) * 0.06
  const shown = arms.length > 1 ? arms.filter((arm) => arm !== baseline) : arms
  const content = panels(shown, (arm, index) => {
    const curves: Curve[] = []
    if (baseline && arm !== baseline) curves.push({ mark: baselineMark, points: points.get(baseline)! })
    curves.push({ mark: armMark, points: points.get(arm)! })
    const spread = spreadOf(arm.runs, sinkMeasure)
    const ends = spread ? `, at the end ${formatFixed(spread.mean, 3)}` : ''
    const frame = { id: `growth-${index}`, label: `${arm.variant}: attention on the first token over steps${ends}` }
    return panel(
      arm.variant,
      curvesChart(
        { ...frame, width: 310, height: 210 },
        curves,
        { name: 'step' },
        { name: 'share beyond uniform', low: low < 0 ? low - margin : 0, high: high + margin },
      ),
    )
  })
  return section(
    'growth',
    heading,
    figure(
      keys(legendOf(baseline !== undefined && shown[0] !== baseline)) + content,
      'Share of attention on the first token beyond what uniform attention gives it, on held-out text; mean and 95\u00a0% interval over seeds.',
    ),
  )
}

function legendOf(withBaseline: boolean): { label: string; mark: Mark }[] {
  const arm = { label: 'the variant of the panel', mark: armMark }
  return withBaseline ? [arm, { label: 'baseline', mark: baselineMark }] : [arm]
}

function growth({ runs }: Arm): Point[] {
  const seen = runs.flatMap(({ curve }) => curve.firstToken).filter(({ corrected }) => Number.isFinite(corrected))
  return [...grouped(seen, ({ step }) => step)]
    .sort(([a], [b]) => a - b)
    .map(([step, at]) => {
      const { mean, low, high } = meanInterval(at.map(({ corrected }) => corrected))
      return { x: step, y: mean, low, high }
    })
}

const highest = ({ y, high }: Point): number => (high !== undefined && Number.isFinite(high) ? high : y)
const lowest = ({ y, low }: Point): number => (low !== undefined && Number.isFinite(low) ? low : y)
