/** Longer contexts than trained on, and learning within the context. */
import { figure, section } from '../../train/report/figures.ts'
import { formatFixed, formatInteger } from '../../train/report/format.ts'
import { escapeText, type Markup, markup } from '../../train/report/markup.ts'
import { type Arm, armsOf, differenceOf, type Measure, runsOf, spreadOf } from './arms.ts'
import { type Axis, type Curve, curvesChart, type Point } from './charts.ts'
import { baselineName, type StudyData, type StudyRun } from './data.ts'
import { armMark, baselineMark, keys, type Mark } from './marks.ts'
import { type Column, distinct, leftOut, panel, panels, spreadCell, table } from './parts.ts'

const three = (value: number): string => formatFixed(value, 3)
const two = (value: number): string => formatFixed(value, 2)

type LengthLoss = NonNullable<StudyRun['length']>[number]

/** Loss added beyond the length trained on, as it is and with RoPE's base rescaled. */
export function lengthSection(data: StudyData): Markup {
  const heading = 'Beyond the training length'
  const arms = armsOf(runsOf(data, 'main')).filter(({ runs }) => runs.some(({ length }) => (length?.length ?? 0) > 1))
  if (arms.length === 0) return leftOut('length', heading, 'no run was read at longer lengths.')
  const lengths = distinct(arms.flatMap(({ runs }) => runs.flatMap((run) => (run.length ?? []).map((at) => at.length))))
  lengths.sort((a, b) => a - b)
  const baseline = arms.find(({ variant }) => variant === baselineName)
  const all = arms.flatMap((arm) => [...added(arm, lengths, 'loss'), ...added(arm, lengths, 'rescaled')])
  const high = Math.max(0.05, ...all.map((point) => finiteOr(point.high, point.y)))
  const low = Math.min(0, ...all.map((point) => finiteOr(point.low, point.y)))
  const margin = (high - low) * 0.06
  const x: Axis = { name: 'tokens read, logarithmic', logarithmic: true, ticks: lengths, format: formatInteger }
  const y: Axis = { name: 'added loss, nats', low: low - (low < 0 ? margin : 0), high: high + margin }
  const rescaled: Mark = { colour: 'var(--run-1)', symbol: 'rect', dash: [2, 2], hollow: true }
  const baselineRescaled: Mark = { ...baselineMark, symbol: 'rect', dash: [2, 2] }
  const shown = arms.length > 1 ? arms.filter((arm) => arm !== baseline) : arms
  const content = panels(shown, (arm, index) => {
    const curves: Curve[] = []
    if (baseline && arm !== baseline) {
      curves.push({ mark: baselineMark, points: added(baseline, lengths, 'loss') })
      curves.push({ mark: baselineRescaled, points: added(baseline, lengths, 'rescaled') })
    }
    curves.push({ mark: armMark, points: added(arm, lengths, 'loss') })
    curves.push({ mark: rescaled, points: added(arm, lengths, 'rescaled') })
    const label = `${arm.variant}: loss added at lengths ${lengths.join(', ')}`
    return panel(arm.variant, curvesChart({ id: `length-${index}`, label, width: 310, height: 220 }, curves, x, y))
  })
  const both = baseline && shown[0] !== baseline
  const legend = keys([
    { label: 'as trained', mark: armMark },
    { label: 'RoPE rescaled', mark: rescaled },
    ...(both
      ? [
          { label: 'baseline as trained', mark: baselineMark },
          { label: 'baseline, RoPE rescaled', mark: baselineRescaled },
        ]
      : []),
  ])
  const caption =
    'Held-out loss at a length minus the same model\u2019s loss at the length it was trained on; mean and 95\u00a0% interval over seeds. ' +
    'Rescaled: RoPE\u2019s base times s^(D/(D\u22122)) for s times the length, without training.'
  return section('length', heading, `${figure(legend + content, caption)}\n${lengthTable(arms, lengths)}`)
}

/** The loss at `length` beyond the one at the length trained on, which is the first. */
function addedAt(run: StudyRun, length: number, kind: 'loss' | 'rescaled'): number | undefined {
  const trained = run.length?.[0]
  const at: LengthLoss | undefined = run.length?.find((other) => other.length === length)
  return trained && at ? at[kind] - trained.loss : undefined
}

function added({ runs }: Arm, lengths: readonly number[], kind: 'loss' | 'rescaled'): Point[] {
  return lengths.flatMap((length) => {
    const spread = spreadOf(runs, (run) => addedAt(run, length, kind))
    return spread ? [{ x: length, y: spread.mean, low: spread.low, high: spread.high }] : []
  })
}

const finiteOr = (value: number | undefined, other: number): number =>
  value !== undefined && Number.isFinite(value) ? value : other

function lengthTable(arms: readonly Arm[], lengths: readonly number[]): Markup {
  const [, ...longer] = lengths
  const column = (length: number, kind: 'loss' | 'rescaled'): Column<Arm> => ({
    head: markup(`${formatInteger(length)}<small>${kind === 'loss' ? 'as trained' : 'rescaled'}</small>`),
    cell: ({ runs }) =>
      spreadCell(
        spreadOf(runs, (run) => addedAt(run, length, kind)),
        two,
      ),
  })
  return table<Arm>(
    arms,
    ({ variant }) => escapeText(variant),
    longer.flatMap((length) => [column(length, 'loss'), column(length, 'rescaled')]),
    {
      first: 'Added loss',
      caption:
        'The same in numbers. The paper, after training at 32k and YaRN: RULER falls by 41.6 points at 32k without a gate, by 6.9 with it.',
    },
  )
}

/** What a model learns from its context. */
export function inContextSection(data: StudyData): Markup {
  const heading = 'Learning in context'
  const arms = armsOf(runsOf(data, 'main')).filter(({ runs }) => runs.some(({ inContext }) => inContext))
  if (arms.length === 0) return leftOut('in-context', heading, 'no run was measured within its context.')
  const baseline = arms.find(({ variant }) => variant === baselineName)?.runs ?? []
  const gain: Measure = ({ inContext }) => inContext && inContext.early - inContext.late
  const column = (name: string, of: Measure): Column<Arm> => ({
    head: markup(name),
    cell: ({ runs }) => spreadCell(spreadOf(runs, of), three),
  })
  const columns: Column<Arm>[] = [
    column('early loss', ({ inContext }) => inContext?.early),
    column('late loss', ({ inContext }) => inContext?.late),
    column('early minus late', gain),
    {
      head: markup('the same<small>minus the baseline\u2019s</small>'),
      cell: ({ variant, runs }) =>
        variant === baselineName ? undefined : spreadCell(differenceOf(runs, baseline, gain), three),
    },
    column('prefix matching', ({ inContext }) => inContext?.prefixMatching),
  ]
  const content = table<Arm>(arms, ({ variant }) => escapeText(variant), columns, {
    first: 'Variant',
    caption:
      'Loss a tenth into the context and at its end; the more it falls, the more the model learns from what it read. Prefix matching: on repeated random ' +
      'tokens, the attention from a token to the one after its previous occurrence (Olsson et al., arXiv\u00a02209.11895).',
  })
  return section('in-context', heading, content)
}
