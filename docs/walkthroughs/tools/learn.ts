/** `npm run learn [N]`: which exercises, of page N or of all, are green, and what to do next. */
import { stripVTControlCharacters } from 'node:util'
import { type Exercise, exerciseNames, runExercises } from './exercises.ts'
import { type Page, readPages } from './page.ts'

/** Lines of a failing test's message that are shown. */
const LINES = 12

function tell({ name, tests, problem, isGreen }: Exercise): string {
  if (isGreen) return `  green  ${name}`
  const wrong = tests.filter(({ passed }) => !passed)
  if (wrong.length === 0) return [`  red    ${name}: its test could not be loaded`, indent(problem)].join('\n')
  const [first] = wrong
  return [
    `  red    ${name}: ${wrong.length} of ${tests.length} tests`,
    `         ${first.name}`,
    indent(first.message),
  ].join('\n')
}

/** The message, with the frames that lie in the exercises. */
function indent(message: string): string {
  const lines = stripVTControlCharacters(message)
    .split('\n')
    .filter((line) => line.trim() !== '' && (!/^\s+at /.test(line) || line.includes('/exercises/')))
  return lines
    .slice(0, LINES)
    .map((line) => `           ${line}`.trimEnd())
    .join('\n')
}

const [given] = process.argv.slice(2)
const pages = readPages(given)
if (pages.length === 0) {
  console.error(`there is no page ${given}; docs/walkthroughs/README.md lists them`)
  process.exit(1)
}
/** In the order in which the page names them. */
const namesOf = ({ number, lines }: Page) => {
  const text = lines.join('\n')
  return exerciseNames(`${number}-`).sort((a, b) => text.indexOf(`/${a}.ts`) - text.indexOf(`/${b}.ts`))
}

const results = await runExercises(pages.flatMap(namesOf), 'start')
for (const { number, title, path } of pages) {
  const own = results.filter(({ name }) => name.startsWith(`${number}-`))
  console.log(`\n${Number(number)}. ${title}  (${path})`)
  for (const exercise of own) console.log(given || exercise.isGreen ? tell(exercise) : `  red    ${exercise.name}`)
}
const next = results.find(({ isGreen }) => !isGreen)
const done = results.filter(({ isGreen }) => isGreen).length
console.log(`\n${done} of ${results.length} exercises are green.`)
if (next) {
  const page = Number(next.name.slice(0, 2))
  console.log(`Next: change docs/walkthroughs/exercises/${next.name}.ts, then run npm run learn ${page}.`)
  console.log(`A solution, for afterwards: docs/walkthroughs/exercises/solutions/${next.name}.ts`)
}
process.exitCode = next ? 1 : 0
