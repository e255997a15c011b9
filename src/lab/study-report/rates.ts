/** Loss against the learning rate, and the largest rate at which each arm trains. */
import { figure, section } from '../../train/report/figures.ts'
import { formatFixed } from '../../train/report/format.ts'
import { escapeText, type Markup } from '../../train/report/markup.ts'
import { type Arm, armsOf, runsOf } from './arms.ts'
import { type Axis, type Curve, curvesChart } from './charts.ts'
import { baselineName, type StudyData } from './data.ts'
import { baselineMark, crossSymbol, keys, type Mark, markAt, mostMarks } from './marks.ts'
import { type Column, chart, distinct, leftOut, spreadCell, table } from './parts.ts'
import { placesOf, rateOf, stableRate } from './sweep.ts'

const three = (value: number): string => formatFixed(value, 3)

/** An arm with its mark: the baseline's own, or one of the others'. */
export interface MarkedArm extends Arm {
  readonly mark: Mark
}

/** Marks for the arms of one chart. */
export function marked(arms: readonly Arm[]): MarkedArm[] {
  const others = arms.filter(({ variant }) => variant !== baselineName)
  return arms.map((arm) => ({
    ...arm,
    mark: arm.variant === baselineName ? baselineMark : markAt(others.indexOf(arm)),
  }))
}

/** Arms in charts that tell them apart: the baseline in each, and at most as many others as there are marks. */
export function chartsOf(arms: readonly Arm[]): MarkedArm[][] {
  const baseline = arms.filter(({ variant }) => variant === baselineName)
  const others = arms.filter(({ variant }) => variant !== baselineName)
  const charts = Array.from({ length: Math.ceil(others.length / mostMarks) }, (_, index) =>
    marked([...baseline, ...others.slice(index * mostMarks, (index + 1) * mostMarks)]),
  )
  return charts.length > 0 ? charts : [marked(baseline)]
}

/** Loss against learning rate by arm. */
export function rateSection(data: StudyData): Markup {
  const heading = 'Learning rates'
  const arms = armsOf(runsOf(data, 'rates'))
  if (arms.length === 0) return leftOut('rates', heading, 'the study has no sweep of learning rates.')
  const rates = distinct(arms.flatMap(({ runs }) => runs.map(rateOf))).sort((a, b) => a - b)
  const x: Axis = {
    name: 'largest learning rate of the schedule, logarithmic',
    logarithmic: true,
    ticks: rates,
    format: String,
  }
  const figures = chartsOf(arms).map((shown, index) => {
    const curves = shown.map(({ runs, mark }): Curve => {
      const places = placesOf(runs, rateOf)
      return {
        mark,
        points: places.flatMap(({ x, loss }) => (loss ? [{ x, y: loss.mean, low: loss.low, high: loss.high }] : [])),
        diverged: places.flatMap(({ x, diverged }) => (diverged > 0 ? [x] : [])),
      }
    })
    const label = `Held-out loss against learning rate of ${shown.map(({ variant }) => variant).join(', ')}`
    const drawn = chart((place, width) =>
      curvesChart({ id: `rates-${index}-${place}`, label, width, height: 320 }, curves, x, {
        name: 'held-out loss, nats',
      }),
    )
    const legend = keys([
      ...shown.map(({ variant, mark }) => ({ label: variant, mark })),
      {
        label: 'a seed diverged',
        mark: { colour: 'var(--muted)', symbol: crossSymbol, dash: 'solid' },
        shows: 'point',
      },
    ])
    return figure(
      legend + drawn,
      'Mean and 95\u00a0% interval over the seeds that did not diverge; a cross at the top marks a rate at which some seed did.',
    )
  })
  return section('rates', heading, `${figures.join('\n')}\n${rateTable(arms, rates)}`)
}

function rateTable(arms: readonly Arm[], rates: readonly number[]): Markup {
  const columns: Column<Arm>[] = [
    {
      head: escapeText('largest stable'),
      cell: ({ runs }) => {
        const rate = stableRate(runs)?.rate
        return escapeText(rate == null ? 'none' : String(rate))
      },
    },
    {
      head: escapeText('lowest loss at'),
      cell: ({ runs }) => {
        const best = stableRate(runs)?.best
        return best ? escapeText(String(best.learningRate)) : undefined
      },
    },
    ...rates.map(
      (rate): Column<Arm> => ({
        head: escapeText(String(rate)),
        cell: ({ runs }) => {
          const place = placesOf(runs, rateOf).find(({ x }) => x === rate)
          if (!place) return undefined
          const { loss, diverged } = place
          const lost = diverged > 0 ? escapeText(`${diverged} of ${place.runs.length} diverged`) : ''
          if (!loss) return escapeText('diverged')
          return lost ? (`${three(loss.mean)}<small>${lost}</small>` as Markup) : spreadCell(loss, three)
        },
      }),
    ),
  ]
  return table<Arm>(arms, ({ variant }) => escapeText(variant), columns, {
    first: 'Variant',
    caption:
      'A rate is stable when no seed diverged there or ended 0.2 nats above the arm\u2019s best mean, counted from the best rate up; the columns after are the losses at each rate. ' +
      'The paper, 48 layers at 0.008: perplexity 9.195 without a gate, 7.325 with it, 7.407 with sandwich norm; over 1T tokens the baseline diverges.',
  })
}
