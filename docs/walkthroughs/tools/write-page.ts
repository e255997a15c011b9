/** Writes what a page's run gave into the page: outputs behind their blocks, pictures beside it. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { picturesOnDisk } from './compare.ts'
import { walkthroughs } from './entries.ts'
import { blocksOf, type Page } from './page.ts'
import { picturesAgree } from './picture-difference.ts'
import type { PageRun } from './run-page.ts'

/** The page's text with the run's outputs in place of its own. */
export function withOutputs(page: Page, outputs: PageRun['outputs']): string {
  const lines = [...page.lines]
  // From the end, so that the places of earlier blocks stay what they are.
  for (const { index, close, output } of blocksOf(page).reverse()) {
    const printed = outputs.get(index) ?? ''
    const last = output ? output.close : close
    const text = printed === '' ? [] : ['', output ? lines[output.open] : '```text', ...printed.split('\n'), '```']
    lines.splice(close + 1, last - close, ...text)
  }
  return lines.join('\n')
}

export function writePage(page: Page, run: PageRun): void {
  writeFileSync(join(walkthroughs, `${page.name}.md`), withOutputs(page, run.outputs))
  const folder = join(walkthroughs, 'pictures')
  for (const name of picturesOnDisk(page)) if (!run.pictures.has(name)) rmSync(join(folder, name))
  for (const [name, svg] of run.pictures) {
    const file = join(folder, name)
    // A picture that looks the same stays, so that another machine does not rewrite them all.
    if (!picturesOnDisk(page).includes(name) || !picturesAgree(readFileSync(file, 'utf8'), svg))
      writeFileSync(file, svg)
  }
}
