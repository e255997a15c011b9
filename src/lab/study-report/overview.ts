/** The report's opening: what was run, and what each claim came to. */
import { section } from '../../train/report/figures.ts'
import { formatCompact, formatDuration, formatInteger } from '../../train/report/format.ts'
import { escapeText, type Markup, markup } from '../../train/report/markup.ts'
import { countOf } from '../../train/report/sentences.ts'
import { type Claim, claims, type Verdict } from '../claims.ts'
import type { StudyData, StudyJob, StudyRun } from './data.ts'
import { distinct, table } from './parts.ts'

const groupNames: Record<StudyJob['group'], string> = {
  main: 'Variants',
  rates: 'Learning rates',
  scaling: 'Scaling',
}

/** Title, date, and one paragraph of what was trained. */
export function header(data: StudyData): Markup {
  const { title, createdAt, preset, machine, runs } = data
  const seconds = runs.reduce((sum, run) => sum + run.seconds, 0)
  const tokens = runs.reduce((sum, run) => sum + run.tokens, 0)
  const diverged = runs.filter((run) => run.diverged).length
  const lead =
    `${countOf(runs.length, 'model')} of ${countOf(distinct(runs.map(({ job }) => job.variant)).length, 'variant')} trained ` +
    `on ${formatCompact(tokens)} tokens in ${formatDuration(seconds)} of computing, preset <b>${escapeText(preset)}</b>, ` +
    `${escapeText(machine)}. ${diverged === 0 ? 'None diverged.' : `${formatInteger(diverged)} diverged.`} ` +
    'Means are over seeds, with 95\u00a0% intervals by Student\u2019s t; losses are in nats.'
  return markup(
    `<header>\n<p class="date">${escapeText(createdAt)}</p>\n<h1>${escapeText(title)}</h1>\n<p class="lead">${lead}</p>\n</header>`,
  )
}

const signs: Record<Verdict, string> = { shows: '\u2713', 'does not show': '\u2717', 'cannot be told': '?' }

/** Each claim of the paper with what it came to here. */
export function verdictSection(data: StudyData): Markup {
  const rows = claims(data)
  const counts = (Object.keys(signs) as Verdict[]).map((verdict) => {
    return `${rows.filter((row) => row.verdict === verdict).length} ${verdict === 'shows' ? 'show' : verdict === 'does not show' ? 'do not show' : 'cannot be told'}`
  })
  const small = (text: string) => `<small>${escapeText(text)}</small>`
  const content = table<Claim>(
    rows,
    ({ claim, rule }) => markup(escapeText(claim) + small(rule)),
    [
      { head: escapeText('Paper'), kind: 'words', cell: ({ paper }) => escapeText(paper) },
      {
        head: escapeText('Here'),
        kind: 'words',
        cell: ({ here }) => markup(here.split('; ').map(escapeText).join('<br>')),
      },
      {
        head: escapeText('Verdict'),
        kind: 'words',
        cell: ({ verdict }) =>
          markup(`<span class="verdict" data-sign="${signs[verdict]}">${escapeText(verdict)}</span>`),
      },
    ],
    {
      first: 'Claim',
      kind: 'claims',
      caption:
        `Of ${rows.length} claims, ${counts.join(', ')}. A claim shows when the interval lies on its side and the mean reaches the margin ` +
        'named under it; it does not show when the interval rules such an effect out; otherwise the data cannot tell.',
    },
  )
  return section('claims', 'The paper\u2019s claims', content)
}

/** One row for each group of runs. */
export function runsSection({ runs }: StudyData): Markup {
  const groups = (Object.keys(groupNames) as StudyJob['group'][])
    .map((group) => ({ group, runs: runs.filter(({ job }) => job.group === group) }))
    .filter((row) => row.runs.length > 0)
  type Row = (typeof groups)[number]
  const values = (row: Row, of: (run: StudyRun) => string | number) => distinct(row.runs.map(of))
  const range = (numbers: number[], format: (value: number) => string) =>
    distinct([Math.min(...numbers), Math.max(...numbers)].map(format)).join(' to ')
  const content = table<Row>(
    groups,
    ({ group }) => escapeText(groupNames[group]),
    [
      { head: escapeText('runs'), cell: (row) => escapeText(formatInteger(row.runs.length)) },
      { head: escapeText('variants'), cell: (row) => escapeText(`${values(row, ({ job }) => job.variant).length}`) },
      { head: escapeText('seeds'), cell: (row) => escapeText(`${values(row, ({ job }) => job.seed).length}`) },
      {
        head: escapeText('learning rates'),
        cell: (row) =>
          escapeText(
            range(
              row.runs.map(({ job }) => job.learningRate),
              String,
            ),
          ),
      },
      {
        head: escapeText('parameters'),
        cell: (row) =>
          escapeText(
            range(
              row.runs.map((run) => run.parameters),
              formatCompact,
            ),
          ),
      },
      {
        head: escapeText('steps'),
        cell: (row) =>
          escapeText(
            range(
              row.runs.map(({ job }) => job.steps),
              formatInteger,
            ),
          ),
      },
      {
        head: escapeText('tokens'),
        cell: (row) =>
          escapeText(
            range(
              row.runs.map((run) => run.tokens),
              formatCompact,
            ),
          ),
      },
      {
        head: escapeText('diverged'),
        cell: (row) => escapeText(`${row.runs.filter((run) => run.diverged).length}`),
      },
      {
        head: escapeText('time'),
        cell: (row) => escapeText(formatDuration(row.runs.reduce((sum, run) => sum + run.seconds, 0))),
      },
    ],
    {
      first: 'Group',
      caption: 'Parameters and tokens are those of one model; the time is of all runs of a group together.',
    },
  )
  return section('runs', 'What was run', content)
}
