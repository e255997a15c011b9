/** The report's opening: what was trained, and the table with every run's figures side by side. */
import type { ReportData, ReportRun } from './data.ts'
import { runColour } from './figures.ts'
import { formatCompact, formatDuration, formatFixed, formatInteger, formatPercent } from './format.ts'
import { escapeText, type Markup, markup } from './markup.ts'
import { orderOf, paragraph, valuesOf } from './sentences.ts'

/** What a cell shows: a figure, and below it what belongs to it. */
interface Cell {
  value: string
  notes?: string[]
}

interface Row {
  name: string
  note?: string
  cell(run: ReportRun): Cell | undefined
}

/** Whether any was trained for this report; models that came trained are only read with. */
const isTraining = (runs: readonly ReportRun[]): boolean => runs.some(({ steps }) => steps !== undefined)

const lossName = (runs: readonly ReportRun[]): string => (isTraining(runs) ? 'Held-out loss' : 'Loss')

export const loss3 = (value: number): string => formatFixed(value, 3)

/** Title, date, and one paragraph of what was trained and how it ended. */
export function header(data: ReportData): Markup {
  const { title, subtitle, createdAt } = data
  return markup(
    [
      '<header>',
      `<p class="date">${escapeText(createdAt)}</p>`,
      `<h1>${escapeText(title)}</h1>`,
      subtitle ? `<p class="subtitle">${escapeText(subtitle)}</p>` : '',
      `<p class="lead">${lead(data)}</p>`,
      '</header>',
    ]
      .filter((part) => part !== '')
      .join('\n'),
  )
}

function lead({ runs, text, baselines, lossUnit = 'nats per character' }: ReportData): string {
  const steps = [...new Set(runs.flatMap((run) => run.steps ?? []))]
  const verb = isTraining(runs) ? 'trained' : 'looked into'
  const trained = `${['One', 'Two', 'Three', 'Four'][runs.length - 1] ?? runs.length} model${runs.length === 1 ? '' : 's'} ${verb}`
  const read = text
    ? ` on <b>${escapeText(text.name)}</b> (${formatInteger(text.characters)} characters, vocabulary of ${formatInteger(text.vocabularySize)})`
    : ''
  const long = steps.length === 1 ? ` for ${formatInteger(steps[0]!)} steps${runs.length > 1 ? ' each' : ''}` : ''
  const losses = valuesOf(runs, (run) => run.finalHeldOutLoss, loss3)
  const beside = baselines.map(({ name, loss }) => `${escapeText(name)}\u00a0${loss3(loss)}`).join(', ')
  const ended = `${lossName(runs)} in ${escapeText(lossUnit)}: ${losses}${beside ? `; for comparison, ${beside}` : ''}.`
  return `${trained}${read}${long}. ${ended}`
}

/** The table: a row for each quantity that some run has, a column for each run. */
export function summaryTable(data: ReportData): Markup {
  const { runs } = data
  const rows = allRows(data).flatMap((row) => {
    const cells = runs.map((run) => row.cell(run))
    return cells.some((cell) => cell !== undefined) ? [tableRow(row, cells)] : []
  })
  const heads = runs.map(
    (run, index) =>
      `<th scope="col"><span class="run-name" style="--run:${runColour(index)}">${escapeText(run.name)}</span></th>`,
  )
  return markup(
    `<div class="scroll"><table>\n<caption>${tableCaption(data)}</caption>\n` +
      `<thead><tr><td></td>${heads.join('')}</tr></thead>\n<tbody>\n${rows.join('\n')}\n</tbody>\n</table></div>`,
  )
}

function tableRow({ name, note }: Row, cells: (Cell | undefined)[]): string {
  const small = note ? `<small>${note}</small>` : ''
  const columns = cells.map((cell) => {
    if (!cell)
      return '<td class="none"><span aria-hidden="true">\u2013</span><span class="spoken">not measured</span></td>'
    const notes = (cell.notes ?? []).map((line) => `<small>${line}</small>`).join('')
    return `<td>${cell.value}${notes}</td>`
  })
  return `<tr><th scope="row">${name}${small}</th>${columns.join('')}</tr>`
}

function allRows({ runs, baselines, lossUnit = 'nats per character' }: ReportData): Row[] {
  const firstToken = (run: ReportRun) => run.firstToken
  const uniforms = new Set(runs.flatMap((run) => (run.firstToken ? [formatFixed(run.firstToken.uniform, 3)] : [])))
  return [
    { name: 'Parameters', cell: (run) => ({ value: formatInteger(run.parameters) }) },
    { name: 'Steps', cell: ({ steps }) => shown(steps, formatInteger) },
    {
      name: lossName(runs),
      note: escapeText(lossUnit),
      cell: ({ finalHeldOutLoss }) => ({
        value: `<b>${loss3(finalHeldOutLoss)}</b>`,
        notes: baselines.map((baseline) => besideBaseline(finalHeldOutLoss, baseline)),
      }),
    },
    {
      name: 'First-token attention',
      note: `mean share${uniforms.size === 1 ? `; uniform attention gives ${[...uniforms][0]}` : ''}`,
      cell: (run) => firstToken(run) && { value: formatFixed(firstToken(run)!.mean, 3) },
    },
    {
      name: '\u2026 beyond uniform',
      note: '0 as uniform attention, 1 all on the first token',
      cell: (run) => firstToken(run) && { value: formatFixed(firstToken(run)!.corrected, 3) },
    },
    {
      name: 'Mean gate score',
      note: '0 closed, 1 open',
      cell: ({ gateScores }) =>
        gateScores && {
          value: formatFixed(gateScores.mean, 3),
          notes: [
            `${formatPercent(gateScores.shareBelowTenth)} below\u00a00.1`,
            `${formatPercent(gateScores.shareAboveNineTenths)} above\u00a00.9`,
          ],
        },
    },
    {
      name: 'Largest activation',
      note: 'absolute value of a layer\u2019s output',
      cell: ({ maximumActivation: maxima }) =>
        maxima && maxima.length > 0
          ? { value: activation(largest(maxima)), notes: [`mean over layers ${activation(mean(maxima))}`] }
          : undefined,
    },
    {
      name: 'Speed',
      note: 'tokens per second in training',
      cell: ({ tokensPerSecond }) => shown(tokensPerSecond, formatCompact),
    },
    { name: 'Training time', cell: ({ seconds }) => shown(seconds, formatDuration) },
  ]
}

function shown(value: number | undefined, format: (value: number) => string): Cell | undefined {
  return value === undefined ? undefined : { value: format(value) }
}

function besideBaseline(loss: number, baseline: { name: string; loss: number }): string {
  const difference = loss - baseline.loss
  const name = `${escapeText(baseline.name)} ${loss3(baseline.loss)}`
  if (!Number.isFinite(difference) || loss3(difference) === '0.000') return name
  return `${loss3(Math.abs(difference))} ${difference < 0 ? 'below' : 'above'} ${name}`
}

/** The largest of `maxima`, or NaN when one of them is: a diverged layer must not hide behind the others. */
export function largest(maxima: readonly number[]): number {
  return maxima.reduce((most, value) => (value > most || Number.isNaN(value) ? value : most), -Infinity)
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Activations span 1 to 10 000: one decimal below a hundred, none above. */
export function activation(value: number): string {
  return Math.abs(value) < 99.95 ? formatFixed(value, 1) : formatInteger(value)
}

function tableCaption({ runs }: ReportData): string {
  const sizes = [...new Set(runs.map((run) => run.parameters))]
  const most = Math.max(...sizes)
  const least = Math.min(...sizes)
  const apart = formatPercent((most - least) / least)
  const unequal =
    sizes.length > 1
      ? `The runs differ in size, by up to ${apart === '0%' ? `${formatInteger(most - least)} parameters` : `${apart} in parameters`}.`
      : ''
  const order = orderOf(`The ${lossName(runs).toLowerCase()}`, runs, (run) => run.finalHeldOutLoss, loss3)
  const seeds = runs.length > 1 ? 'One run each cannot tell a small difference in loss from the luck of a seed.' : ''
  return paragraph(
    runs.length > 1 ? 'The runs side by side; a lower loss is better.' : 'The run in figures; a lower loss is better.',
    order,
    unequal,
    seeds,
  )
}
