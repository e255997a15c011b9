/** `npm run learn [N]`: which exercises, of page N or of all, are green, and what to do next. */
import { exerciseNames, runExercises } from './exercises.ts'
import { type Page, readPages } from './page.ts'
import { report } from './report.ts'

/** In the order in which the page names them. */
const namesOf = ({ number, lines }: Page) => {
  const text = lines.join('\n')
  return exerciseNames(`${number}-`).sort((a, b) => text.indexOf(`/${a}.ts`) - text.indexOf(`/${b}.ts`))
}

const [given] = process.argv.slice(2)
const pages = readPages(given)
if (pages.length === 0) {
  console.error(`there is no page ${given}; docs/walkthroughs/README.md lists them`)
  process.exit(1)
}
const results = await runExercises(pages.flatMap(namesOf), 'start')
console.log(report(pages, results, given !== undefined))
process.exitCode = results.every(({ isGreen }) => isGreen) ? 0 : 1
