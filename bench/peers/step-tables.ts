/** The comparison of training steps as tables: times, ratios, goals. */
import { type HashModelName, hashModelSizes } from '../hash-model.ts'
import type { Cell, Table } from '../table.ts'
import { goalsOfSteps, goalsTable } from './goals.ts'
import { medianOf, type Problem, type Results, reasonOf, summarize, threadsInWords } from './records.ts'
import { agreement, bestOfJavaScript, limitOf, milliseconds, type StepLine, type StepSummary } from './steps.ts'

const losses = ({ what, lines }: StepSummary): string =>
  lines.every((line) => agreement(what, line).agrees) ? 'agree' : 'DIFFER'

function timesTable(config: string, steps: readonly StepSummary[], problems: readonly Problem[]): Table {
  const [{ gflop_step }] = steps[0].lines
  const { T, B } = hashModelSizes[config as HashModelName]
  return {
    title: `Training step of ${config}, ${gflop_step} GFLOP`,
    headings: ['engine', 'threads', 'ms', 'best ms', 'tokens/s', 'GFLOP/s', 'RSS MB', 'losses', 'rounds'],
    rows: [
      ...steps.map((step): Cell[] => {
        const ms = milliseconds(step)
        return [
          step.engine,
          step.threads,
          ms,
          Math.min(...step.lines.map(({ ms_best }) => ms_best)),
          (1e3 * B * T) / ms,
          (1e3 * gflop_step) / ms,
          medianOf(step, ({ rss_mb }) => rss_mb),
          losses(step),
          step.lines.length,
        ]
      }),
      ...problems.map((problem): Cell[] => [
        ...[problem.engine, problem.threads, null, null, null, null, null],
        ...[reasonOf(problem), null],
      ]),
    ],
  }
}

/** A time over another; null where one is missing. */
const ratio = (above: StepSummary | undefined, below: StepSummary | undefined): Cell =>
  above && below ? milliseconds(above) / milliseconds(below) : null

function ratiosTable(config: string, steps: readonly StepSummary[]): Table {
  const peers = [...new Set(steps.filter(({ family }) => family === 'PyTorch').map(({ engine }) => engine))]
  return {
    title: `Ratios of times, ${config}`,
    headings: [
      ...['ours', 'threads', 'ours / limit'],
      ...[...peers, 'jax-js', 'TF.js', 'best in JavaScript'].map((name) => `${name} / ours`),
    ],
    rows: steps
      .filter(({ family }) => family === 'Sluice')
      .map((ours) => [
        ours.engine,
        ours.threads,
        ratio(ours, limitOf(ours, steps)),
        ...peers.map((name) =>
          ratio(
            steps.find(({ engine, threads }) => engine === name && threads === ours.threads),
            ours,
          ),
        ),
        ratio(bestOfJavaScript(ours, steps, ['jax-js']), ours),
        ratio(bestOfJavaScript(ours, steps, ['TF.js']), ours),
        ratio(bestOfJavaScript(ours, steps), ours),
      ]),
  }
}

/** Configurations in the order of their sizes, two tables each; then the goals that could be looked at. */
export function stepTables({ records, problems }: Results<StepLine>): Table[] {
  const all = summarize(records)
  const configs = [...new Set(all.map(({ what }) => what))]
  const tables = configs.flatMap((config) => {
    const steps = all.filter(({ what }) => what === config)
    const missing = problems.filter(({ what }) => what === undefined || what === config)
    return [timesTable(config, steps, missing), ratiosTable(config, steps)]
  })
  return [...tables, ...goalsTable(`Goals, ${threadsInWords(2)}`, goalsOfSteps(all))]
}
