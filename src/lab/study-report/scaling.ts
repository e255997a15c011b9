/** Loss against parameters and against tokens, with fitted exponents. */
import { figure, section } from '../../train/report/figures.ts'
import { formatCompact, formatFixed, formatInteger } from '../../train/report/format.ts'
import { escapeText, type Markup, markup } from '../../train/report/markup.ts'
import { fitPowerLaw } from '../metrics/statistics.ts'
import { type Arm, armsOf, runsOf } from './arms.ts'
import { type Curve, curvesChart } from './charts.ts'
import type { StudyData, StudyRun } from './data.ts'
import { keys } from './marks.ts'
import { type Column, distinct, leftOut, panel, table } from './parts.ts'
import { chartsOf, type MarkedArm } from './rates.ts'
import { placesOf } from './sweep.ts'

/** One way through the grid: the runs that differ in one thing, and that thing. */
interface Way {
  readonly id: string
  readonly over: string
  readonly kept: string
  readonly x: (run: StudyRun) => number
  readonly runs: (arm: Arm) => StudyRun[]
}

/** The loss over the grid of sizes and budgets. */
export function scalingSection(data: StudyData): Markup {
  const heading = 'Scaling'
  const runs = runsOf(data, 'scaling')
  const arms = armsOf(runs)
  if (arms.length === 0) return leftOut('scaling', heading, 'the study has no grid of sizes and budgets.')
  const ways = waysOf(runs)
  const figures = chartsOf(arms).map((shown, index) => {
    const legend = keys(shown.map(({ variant, mark }) => ({ label: variant, mark })))
    const charts = ways.map((way) => wayChart(shown, way, index)).join('\n')
    return figure(`${legend}<div class="pair">${charts}</div>`, caption, 'long')
  })
  return section('scaling', heading, `${figures.join('\n')}\n${exponentTable(arms, ways)}`)
}

/** At every budget over sizes, at every size over budgets; only where two or more are to be had. */
function waysOf(runs: readonly StudyRun[]): Way[] {
  const budgets = distinct(runs.map(({ job }) => job.steps)).sort((a, b) => a - b)
  const sizes = placesOf(runs, ({ parameters }) => parameters).map((place) => place.runs[0]!.job.size)
  const overSizes = budgets.map((steps) => ({
    id: `size-${steps}`,
    over: 'parameters',
    kept: `${formatInteger(steps)} steps`,
    x: ({ parameters }: StudyRun) => parameters,
    runs: (arm: Arm) => arm.runs.filter(({ job }) => job.steps === steps),
  }))
  const overBudgets = distinct(sizes).map((size, index) => ({
    id: `tokens-${index}`,
    over: 'tokens',
    kept: `size ${size}`,
    x: ({ tokens }: StudyRun) => tokens,
    runs: (arm: Arm) => arm.runs.filter(({ job }) => job.size === size),
  }))
  return [...overSizes, ...overBudgets].filter(
    (way) => distinct(runs.filter((run) => way.runs({ variant: '', runs: [run] }).length > 0).map(way.x)).length > 1,
  )
}

function pointsOf(arm: Arm, { runs, x }: Way) {
  return runs(arm).flatMap((run) =>
    run.loss !== null && Number.isFinite(run.loss) && run.loss > 0 ? [{ x: x(run), loss: run.loss }] : [],
  )
}

/** The fit, where losses at two places and three runs at least let one be made. */
function fitOf(arm: Arm, way: Way): ReturnType<typeof fitPowerLaw> | undefined {
  const points = pointsOf(arm, way)
  return points.length >= 3 && distinct(points.map(({ x }) => x)).length >= 2 ? fitPowerLaw(points) : undefined
}

const caption =
  'Mean and 95\u00a0% interval over seeds; lines are power laws fitted to the runs. Both axes are logarithmic.'

function wayChart(shown: readonly MarkedArm[], way: Way, index: number): Markup {
  const curves = shown.flatMap((arm): Curve[] => {
    const places = placesOf(way.runs(arm), way.x)
    const fit = fitOf(arm, way)
    const points = places.flatMap(({ x, loss }) => (loss ? [{ x, y: loss.mean, low: loss.low, high: loss.high }] : []))
    const ends = places.length > 1 ? [places[0]!.x, places.at(-1)!.x] : []
    const line = fit ? steps(ends).map((x) => ({ x, y: fit.at(x) })) : []
    return [
      { mark: arm.mark, kind: 'line', points: line },
      { mark: arm.mark, kind: 'scattered', points },
    ]
  })
  const label = `Held-out loss against ${way.over}, ${way.kept}, of ${shown.map(({ variant }) => variant).join(', ')}`
  const svg = curvesChart(
    { id: `scaling-${way.id}-${index}`, label, width: 460, height: 280 },
    curves,
    { name: way.over, logarithmic: true, format: formatCompact },
    { name: 'held-out loss, nats', logarithmic: true },
  )
  return panel(`Over ${way.over}, ${way.kept}`, svg)
}

/** Places along a fitted line, which is straight on two logarithmic axes. */
function steps([first, last]: number[]): number[] {
  if (first === undefined || last === undefined) return []
  return Array.from({ length: 9 }, (_, index) => first * (last / first) ** (index / 8))
}

function exponentTable(arms: readonly Arm[], ways: readonly Way[]): Markup {
  const columns = ways.map(
    (way): Column<Arm> => ({
      head: markup(`over ${way.over}<small>${escapeText(way.kept)}</small>`),
      cell: (arm) => {
        const fit = fitOf(arm, way)
        if (!fit) return undefined
        const interval = Number.isFinite(fit.low) ? `${four(fit.low)} to ${four(fit.high)}` : 'no interval'
        return markup(`${four(fit.exponent)}<small class="interval">${interval}</small>`)
      },
    }),
  )
  return table<Arm>(arms, ({ variant }) => escapeText(variant), columns, {
    first: 'Exponent',
    caption:
      '\u03b2 of the power law ln\u00a0L = \u03b1 \u2212 \u03b2\u00a0ln\u00a0x, by least squares over the runs, with its 95\u00a0% interval. A larger one falls faster. ' +
      'A pure power law has no floor, so exponents at different sizes or budgets are not the same number.',
  })
}

const four = (value: number): string => formatFixed(value, 4)
