/** `npm run walkthroughs [N]`: runs the pages, or page N alone, and writes what they print and draw into them. */
import { comparePage } from './compare.ts'
import { type Page, readPages, showFault } from './page.ts'
import { type PageRun, runPage } from './run-page.ts'
import { typeCheck } from './type-check.ts'
import { writePage } from './write-page.ts'

/** Whether outputs name lines of the page, which move when outputs grow. */
const namesLines = ({ name }: Page, { outputs }: PageRun) =>
  [...outputs.values()].some((text) => text.includes(`${name}.md:`))

const [number] = process.argv.slice(2)
const pages = readPages(number)
if (pages.length === 0) {
  console.error(`there is no page ${number}; docs/walkthroughs/README.md lists them`)
  process.exit(1)
}
const faults = await typeCheck(pages)
for (const page of pages) {
  console.log(page.path)
  try {
    let run = await runPage(page)
    process.stderr.write(run.remarks)
    writePage(page, run)
    let [written] = readPages(page.number)
    if (written.lines.length !== page.lines.length && namesLines(written, run)) {
      run = await runPage(written)
      writePage(written, run)
      ;[written] = readPages(page.number)
    }
    faults.push(...comparePage(written, run).map(showFault))
  } catch (error) {
    faults.push(`${page.path}: ${error instanceof Error ? error.message : error}`)
  }
}
for (const fault of faults) console.error(fault)
process.exitCode = faults.length > 0 ? 1 : 0
