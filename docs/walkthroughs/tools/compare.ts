/** Does a page say what its code says? Outputs, pictures, numbers in prose, links. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { walkthroughs } from './entries.ts'
import { type Block, blocksOf, checkFences, type Fault, type Page } from './page.ts'
import { picturesAgree } from './picture-difference.ts'
import type { PageRun } from './run-page.ts'

/** Everything on which page and run disagree. */
export function comparePage(page: Page, run: PageRun): Fault[] {
  return [
    ...checkFences(page),
    ...blocksOf(page).flatMap((block) => compareOutput(page, block, run.outputs.get(block.index) ?? '')),
    ...comparePictures(page, run.pictures),
    ...checkNumbers(page),
    ...checkLinks(page),
  ]
}

/** The first line on which a block's output differs. */
function compareOutput(page: Page, block: Block, printed: string): Fault[] {
  const found = printed === '' ? [] : printed.split('\n')
  const { output } = block
  const expected = output ? page.lines.slice(output.open + 1, output.close) : []
  const first = output ? output.open + 2 : block.close + 2
  for (let i = 0; i < Math.max(found.length, expected.length); i++) {
    if (expected[i] === found[i]) continue
    const show = (line: string | undefined) => (line === undefined ? 'nothing' : `«${line}»`)
    return [{ page: page.path, line: first + i, message: `expected ${show(expected[i])}, found ${show(found[i])}` }]
  }
  return []
}

/** Pictures of the page on disk, by file name. */
export const picturesOnDisk = (page: Page): string[] =>
  readdirSync(join(walkthroughs, 'pictures')).filter((name) => name.startsWith(`${page.number}-`))

function comparePictures(page: Page, made: PageRun['pictures']): Fault[] {
  const faults: Fault[] = []
  const add = (message: string, line = 1) => faults.push({ page: page.path, line, message })
  for (const [name, svg] of made) {
    const file = join(walkthroughs, 'pictures', name)
    if (!existsSync(file)) add(`makes the picture ${name}, which is not in pictures/`)
    else if (!picturesAgree(readFileSync(file, 'utf8'), svg)) add(`the picture ${name} is not the one that is made`)
    if (!page.lines.some((line) => line.includes(`](pictures/${name})`))) {
      add(`does not show its picture: expected ![what is seen](pictures/${name}) in it`)
    }
  }
  for (const name of picturesOnDisk(page)) if (!made.has(name)) add(`pictures/${name} is made by no block`)
  page.lines.forEach((line, i) => {
    for (const [, alt] of line.matchAll(/!\[([^\]]*)\]\(/g)) {
      if (alt.trim().length < 20) add('a picture needs an alternative text that says what is seen', i + 1)
    }
  })
  return faults
}

/** Decimal fractions: 0.25, 1e-6, 2.5e3. Integers are free: they count lines, sections and years. */
const NUMBERS = /\d+\.\d+(?:e[+-]?\d+)?|\d+e-\d+/g
/** Names in which a decimal point is none, and addresses. */
const NAMES = /\]\([^)]*\)|https?:\S+|arXiv:\S+|(?:Section|Figure|Table|Equation|Node|Python|version) \d+(?:\.\d+)*/g

/** Every decimal number in the prose must occur in a block. */
function checkNumbers(page: Page): Fault[] {
  const inside = new Set<number>()
  for (const { open, close } of page.fences) for (let i = open; i <= close; i++) inside.add(i)
  const known = new Set(page.lines.flatMap((line, i) => (inside.has(i) ? (line.match(NUMBERS) ?? []) : [])))
  return page.lines.flatMap((line, i) => {
    if (inside.has(i)) return []
    const unknown = (line.replace(NAMES, '').match(NUMBERS) ?? []).filter((number) => !known.has(number))
    return unknown.map((number) => ({ page: page.path, line: i + 1, message: `${number} is printed by no block` }))
  })
}

/** Links to files of the project must lead somewhere. */
function checkLinks(page: Page): Fault[] {
  return page.lines.flatMap((line, i) =>
    [...line.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].flatMap(([, target]) =>
      /^https?:/.test(target) || target.startsWith('pictures/') || existsSync(join(walkthroughs, target))
        ? []
        : [{ page: page.path, line: i + 1, message: `there is no ${target}` }],
    ),
  )
}
