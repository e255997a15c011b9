/**
 * A page as the tools see it: prose, `ts` blocks, and behind a block what it prints.
 *
 * An output is a `text` or `wgsl` block that follows a `ts` block with nothing but empty lines between. Other blocks are
 * commands (`sh`), which nobody runs.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { walkthroughs } from './entries.ts'

export interface Fence {
  readonly language: string
  /** Places of the opening and the closing fence among the page's lines, from 0. */
  readonly open: number
  readonly close: number
}

export interface Page {
  /** `04-prove-your-gradient` */
  readonly name: string
  /** `04` */
  readonly number: string
  /** As errors name it: `docs/walkthroughs/04-prove-your-gradient.md`. */
  readonly path: string
  readonly title: string
  readonly lines: readonly string[]
  readonly fences: readonly Fence[]
}

export interface Block extends Fence {
  /** Place among the page's `ts` blocks, from 0. */
  readonly index: number
  /** The block that holds what this one prints, if there is one. */
  readonly output: Fence | undefined
}

/** Something wrong with a page, and where. */
export interface Fault {
  readonly page: string
  /** From 1. */
  readonly line: number
  readonly message: string
}

export const showFault = ({ page, line, message }: Fault): string => `${page}:${line}: ${message}`

const OUTPUT = ['text', 'wgsl']
const LANGUAGES = ['ts', 'sh', ...OUTPUT]

/** The pages, in order; one alone when a number is given. */
export function readPages(number?: string): Page[] {
  const names = readdirSync(walkthroughs).filter((name) => /^\d\d-.*\.md$/.test(name))
  return names
    .sort()
    .filter((name) => number === undefined || name.startsWith(`${number.padStart(2, '0')}-`))
    .map((name) => parsePage(name, readFileSync(join(walkthroughs, name), 'utf8')))
}

export function parsePage(file: string, text: string): Page {
  const name = basename(file, '.md')
  const lines = text.split('\n')
  const fences: Fence[] = []
  let open = -1
  lines.forEach((line, i) => {
    if (!line.startsWith('```')) return
    if (open < 0) open = i
    else {
      fences.push({ language: lines[open].slice(3).trim(), open, close: i })
      open = -1
    }
  })
  if (open >= 0) throw new Error(`${file}:${open + 1}: the block is not closed`)
  const title = (lines[0] ?? '').replace(/^# /, '')
  return { name, number: name.slice(0, 2), path: `docs/walkthroughs/${name}.md`, title, lines, fences }
}

/** The `ts` blocks, each with its output. */
export function blocksOf({ lines, fences }: Page): Block[] {
  let index = 0
  return fences.flatMap((fence, i) => {
    if (fence.language !== 'ts') return []
    const next = fences[i + 1]
    const follows =
      next &&
      OUTPUT.includes(next.language) &&
      lines.slice(fence.close + 1, next.open).every((line) => line.trim() === '')
    return [{ ...fence, index: index++, output: follows ? next : undefined }]
  })
}

/**
 * The `ts` blocks as one module whose lines are the page's, so that a message about line 57 is about line 57 of the page.
 * Every block first says that it starts.
 */
export function moduleOf(page: Page): string {
  const code = page.lines.map(() => '')
  for (const { index, open, close } of blocksOf(page)) {
    code[open] = `startBlock(${index});`
    for (let i = open + 1; i < close; i++) code[i] = page.lines[i]
  }
  code[0] = "import { startBlock } from './tools/record.ts'"
  return `${code.join('\n')}\n`
}

/** What can be wrong with a page before it runs: its blocks' languages, and outputs that belong to nothing. */
export function checkFences(page: Page): Fault[] {
  const outputs = new Set(blocksOf(page).map(({ output }) => output))
  const fault = ({ open }: Fence, message: string) => ({ page: page.path, line: open + 1, message })
  return page.fences.flatMap((fence) => {
    if (!LANGUAGES.includes(fence.language)) {
      return [fault(fence, `a block of «${fence.language}»; expected one of ${LANGUAGES.join(', ')}`)]
    }
    if (OUTPUT.includes(fence.language) && !outputs.has(fence)) {
      return [fault(fence, `a block of ${fence.language} is an output, but no ts block stands before it`)]
    }
    return []
  })
}
