/** Commands, and folders that go away. */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/**
 * What a command prints.
 *
 * @throws Error with all that it printed, when it fails or takes longer than five minutes
 */
export async function printed(folder: string, command: string, ...given: string[]): Promise<string> {
  try {
    const options = { cwd: folder, maxBuffer: 2 ** 26, timeout: 300_000 }
    return (await execute(command, given, options)).stdout
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${command} ${given.join(' ')}: ${(stderr + stdout).trim().slice(-600) || error}`)
  }
}

export async function inFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-package-'))
  try {
    return await body(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
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
