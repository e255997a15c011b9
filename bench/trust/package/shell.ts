/** Commands that must not fail, and sizes. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { start } from '../child.ts'

/** Milliseconds; an installation on a busy machine takes one minute. */
const patience = 300_000

/**
 * What a command prints.
 *
 * @throws Error with the end of what it printed, when it fails or takes longer than five minutes
 */
export async function printed(folder: string, ...command: readonly string[]): Promise<string> {
  const { code, output, errors, hung } = await start(command, { cwd: folder, patience }).ended
  if (code === 0) return output
  const said = (errors + output).trim().slice(-600)
  throw new Error(`${command.join(' ')}: ${hung ? 'it did not end: ' : ''}${said}`)
}

/** Bytes in all files of a folder. */
export async function bytesIn(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const sizes = await Promise.all(files.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e8 ? 2 : 0)} MB`
export const kilobytes = (bytes: number): string => `${(bytes / 1e3).toFixed(1)} KB`

/** 0, or 1 when the body throws, which is noted. */
export async function loss(what: string, note: (line: string) => void, body: () => Promise<void>): Promise<0 | 1> {
  try {
    await body()
    return 0
  } catch (error) {
    note(`LOST ${what}: ${error instanceof Error ? error.message : error}`)
    return 1
  }
}
