/** What `npm run learn` says: which exercises are green, why the others are not, and what to do next. */
import { stripVTControlCharacters } from 'node:util'
import { root } from './entries.ts'
import type { Exercise } from './exercises.ts'
import type { Page } from './page.ts'

/** Lines of a failing test's message that are shown. */
const LINES = 12

/**
 * @param pages those asked for
 * @param results of their exercises, in order
 * @param isDetailed with the first failing test of each, and its message
 */
export function report(pages: readonly Page[], results: readonly Exercise[], isDetailed: boolean): string {
  const lines: string[] = []
  for (const { number, title, path } of pages) {
    lines.push('', `${Number(number)}. ${title}  (${path})`)
    for (const exercise of results.filter(({ name }) => name.startsWith(`${number}-`))) {
      lines.push(`  ${exercise.isGreen ? 'green' : 'red  '}  ${exercise.name}`)
      if (isDetailed && !exercise.isGreen) lines.push(...reason(exercise))
    }
  }
  const done = results.filter(({ isGreen }) => isGreen).length
  lines.push('', `${done} of ${results.length} exercises are green.`)
  const next = results.find(({ isGreen }) => !isGreen)
  if (next) {
    const page = Number(next.name.slice(0, 2))
    lines.push(
      `Next: change docs/walkthroughs/exercises/${next.name}.ts, then run npm run learn ${page}.`,
      `A solution, for afterwards: docs/walkthroughs/exercises/solutions/${next.name}.ts`,
    )
  }
  return lines.join('\n')
}

function reason({ tests, problem }: Exercise): string[] {
  const failed = tests.filter(({ passed }) => !passed)
  if (failed.length === 0) return ['         its test could not be loaded', ...shortened(problem)]
  return [
    `         ${failed.length} of ${tests.length} tests fail; the first: ${failed[0].name}`,
    ...shortened(failed[0].message),
  ]
}

/** The message, with the frames that lie in the exercises. */
function shortened(message: string): string[] {
  return stripVTControlCharacters(message)
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('Hint:'))
    .filter((line) => !/^\s+at /.test(line) || line.includes('/exercises/'))
    .slice(0, LINES)
    .map((line) => `           ${line.replace(`${root}/`, '')}`.trimEnd())
}
