/** The table of toy tasks: mixers beside each other, over seeds. */
import { mixers } from './mixers.ts'
import { type ToyResult, toyTasks } from './toy-tasks.ts'

const percent = (share: number): string => (100 * share).toFixed(1)

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

/** `98.5 (97.9 to 99.1)`; of one seed its value alone. */
function spread(values: readonly number[]): string {
  const [low, high] = [Math.min(...values), Math.max(...values)].map(percent)
  return values.length === 1 ? low : `${percent(mean(values))} (${low} to ${high})`
}

/**
 * Markdown: for each task a table with a row for each mixer that was run.
 *
 * Scores are in percent, mean and range over seeds, 0 for guessing in tasks where guessing helps.
 */
export function toyTable(results: readonly ToyResult[]): string {
  const parts = toyTasks.flatMap(({ name, title, source, steps, chance }) => {
    const here = results.filter(({ task }) => task === name)
    if (here.length === 0) return []
    const rows = Object.keys(mixers).flatMap((mixer) => {
      const runs = here.filter((run) => run.mixer === mixer)
      if (runs.length === 0) return []
      const counts = runs.map((run) => run.steps)
      const range = [...new Set([Math.min(...counts), Math.max(...counts)])].join(' to ')
      const seeds = runs.map(({ seed }) => seed).sort((a, b) => a - b)
      return [
        `| ${mixer} | ${spread(runs.map(({ score }) => score))} | ${spread(runs.map(({ trained }) => trained))} | ${range} | ${runs[0].parameters} | ${seeds.join(', ')} |`,
      ]
    })
    const scale = chance > 0 ? `; 0 is guessing (${percent(chance)} % right), 100 all right` : ''
    return [
      `### ${title}`,
      '',
      `${source}. At most ${steps} steps${scale}.`,
      '',
      '| mixer | test, % | as trained, % | steps | parameters | seeds |',
      '|---|---|---|---|---|---|',
      ...rows,
      '',
    ]
  })
  return parts.join('\n')
}
