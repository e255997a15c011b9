/** What a running page tells the tools: which block has begun, and the pictures it made. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Stands in the output before the index of a block that begins; no page prints it. */
export const BLOCK_MARK = '\u0001'

/** Called at the start of every block; the tools write the call. */
export function startBlock(index: number): void {
  process.stdout.write(`${BLOCK_MARK}${index}\n`)
}

/**
 * Makes a picture of the page: `pictures/PAGE-name.svg`, to be shown behind the block as `![what is seen](pictures/…)`.
 *
 * @param name letters, digits and dashes
 *
 * @example
 * show('loss', lineChart({ x: 'step', y: 'loss', series: [{ values: losses }] }))
 */
export function show(name: string, svg: string): void {
  const { WALKTHROUGH_PICTURES: folder, WALKTHROUGH_PAGE: page } = process.env
  if (!/^[a-z0-9-]+$/.test(name)) throw new Error(`show: a picture's name is letters, digits and dashes, not «${name}»`)
  if (folder) writeFileSync(join(folder, `${page}-${name}.svg`), svg)
}
