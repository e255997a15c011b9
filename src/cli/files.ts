/** Small files of the command line: JSON in, whole texts out. */
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SluiceError } from '../errors.ts'
import { readUpTo, reason, writeText } from '../hub/files.ts'
import { parseJson } from '../hub/json.ts'

/** Bytes of a result that a command has kept, and of settings that somebody wrote. */
const [longestResult, longestObject] = [2 ** 26, 2 ** 20]

/** Writes a text that is whole or not there, in a folder that is made if missing. */
export async function keepText(command: string, path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeText(command, path, text)
}

/** The JSON in a file; undefined when there is no such file. @throws SluiceError when it cannot be read */
export async function keptJson(command: string, path: string): Promise<unknown> {
  try {
    return parseJson(await readUpTo(path, longestResult))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new SluiceError(command, `${path} cannot be read (${reason(error)}); remove it to have it made again`)
  }
}

/** The JSON object that a user's file holds; `what` names it in errors. */
export async function readObject(command: string, what: string, path: string): Promise<Record<string, unknown>> {
  const bytes = await readUpTo(path, longestObject).catch((error: unknown) => {
    throw new SluiceError(command, `${what} ${path} cannot be read: ${reason(error)}`)
  })
  try {
    const value = parseJson(bytes)
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>
  } catch (error) {
    throw new SluiceError(command, `${what} ${path} is not JSON: ${(error as Error).message}`)
  }
  throw new SluiceError(command, `${what} ${path} must be a JSON object`)
}
