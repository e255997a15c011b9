/** The folder of a run: its log, one JSON object a line, and the checkpoints beside it. */
import { SluiceError } from '../errors.ts'
import { parseJson } from '../hub/json.ts'
import { count, everyOf, fieldsOf, finite, orNull } from '../nn/validate.ts'
import { type CheckpointFiles, nodeFiles } from './checkpoint.ts'

/** One line of a run's log. */
export interface LogEntry {
  /** Steps done. */
  step: number
  /** Training loss of the last step, in nats. */
  loss: number
  learningRate: number
  /** Global norm of the gradient before clipping. */
  norm: number
  /** Time spent training so far, over all sessions. */
  seconds: number
  heldOutLoss?: number
  heldOutAccuracy?: number
  /** What the caller found in the model, by name. */
  found?: Record<string, number>
}

export const checkpointFolder = (folder: string): string => `${folder}/checkpoints`
export const logFile = (folder: string): string => `${folder}/log.jsonl`

/** The lines of a log up to `step`; what comes later belongs to a session whose end was lost. */
export async function readLog(folder: string, step = Number.POSITIVE_INFINITY): Promise<LogEntry[]> {
  const { readFile } = await import('node:fs/promises')
  const text = await readFile(logFile(folder), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw new SluiceError('train', `the log ${logFile(folder)} cannot be read: ${error.message}`)
  })
  return logLines(text, step)
}

/** The same of a log's text. */
export function logLines(text: string, step = Number.POSITIVE_INFINITY): LogEntry[] {
  const entries: LogEntry[] = []
  let last = -1
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const entry = entryOf(line)
    // A crash may cut the last line short; it then belongs to a step after the last checkpoint.
    if (!entry || entry.step <= last) break
    last = entry.step
    if (entry.step <= step) entries.push(entry)
  }
  return entries
}

const isEntry = fieldsOf({ step: count, loss: finite, learningRate: finite, norm: finite, seconds: finite })
const isOptional = { heldOutLoss: finite, heldOutAccuracy: finite, found: everyOf(orNull(finite)) }

/** An entry, from a line that anyone may have written; what was found and is not finite, null in JSON, is left out. */
function entryOf(line: string): LogEntry | undefined {
  let value: unknown
  try {
    value = parseJson(line)
  } catch {
    return undefined
  }
  if (isEntry(value) !== null) return undefined
  const { step, loss, learningRate, norm, seconds, ...rest } = value as LogEntry
  const entry: LogEntry = { step, loss, learningRate, norm, seconds }
  for (const [key, check] of Object.entries(isOptional)) {
    const given = (rest as Record<string, unknown>)[key]
    if (given === undefined) continue
    if (check(given) !== null) return undefined
    Object.assign(entry, { [key]: key === 'found' ? withoutNulls(given as Record<string, number | null>) : given })
  }
  return entry
}

const withoutNulls = (found: Readonly<Record<string, number | null>>): Record<string, number> =>
  Object.fromEntries(Object.entries(found).filter((entry): entry is [string, number] => entry[1] !== null))

export const logText = (entries: readonly LogEntry[]): string => entries.map(line).join('')

interface CheckpointFile {
  readonly step: number
  readonly path: string
}

/** The checkpoints in a folder, the newest first; none when there is no such folder. */
async function checkpointsIn(folder: string, files: CheckpointFiles): Promise<CheckpointFile[]> {
  const names = await files.list(folder).catch((): string[] => [])
  return names
    .flatMap((name) => {
      const step = /^step-(\d+)\.safetensors$/.exec(name)?.[1]
      return step === undefined ? [] : [{ step: Number(step), path: `${folder}/${name}` }]
    })
    .sort((a, b) => b.step - a.step)
}

/** The newest checkpoint in a folder, damaged or not. */
export async function newestCheckpoint(
  folder: string,
  files: CheckpointFiles = nodeFiles,
): Promise<string | undefined> {
  return (await checkpointsIn(folder, files))[0]?.path
}

/**
 * Removes checkpoints of later steps: a run that went back to an earlier one has left them behind, and the next resume
 * would take them for the newest.
 */
export async function removeLater(folder: string, step: number, files: CheckpointFiles = nodeFiles): Promise<void> {
  for (const later of await checkpointsIn(folder, files)) if (later.step > step) await files.remove(later.path)
}

/**
 * Makes way for a new run: its checkpoints and those of an earlier run would be taken for one.
 *
 * @throws SluiceError when there are checkpoints and `overwrite` is false
 */
export async function clearFolder(
  folder: string,
  overwrite: boolean,
  files: CheckpointFiles = nodeFiles,
): Promise<void> {
  const found = await checkpointsIn(checkpointFolder(folder), files)
  if (found.length > 0 && !overwrite) {
    throw new SluiceError(
      'train',
      `${folder} already holds the checkpoints of a run; resume it, give this run another name, or overwrite it`,
    )
  }
  for (const { path } of found) await files.remove(path)
}

/** What a call on the file system gives; its failure names the log. */
async function writing<R>(folder: string, call: () => Promise<R>): Promise<R> {
  try {
    return await call()
  } catch (error) {
    throw new SluiceError('train', `the log ${logFile(folder)} cannot be written: ${(error as Error).message}`)
  }
}

/** A run's log: in memory, and in its folder where it has one. */
export class RunLog {
  readonly entries: LogEntry[]
  readonly #folder: string | undefined
  #pending = ''

  /** @param entries what a resumed run still stands by */
  constructor(folder: string | undefined, entries: LogEntry[] = []) {
    this.#folder = folder
    this.entries = entries
  }

  /** Makes the folder and rewrites the file to the entries. */
  async start(): Promise<void> {
    const folder = this.#folder
    if (folder === undefined) return
    const { mkdir, rename, writeFile } = await import('node:fs/promises')
    const temporary = `${logFile(folder)}.partial`
    await writing(folder, async () => {
      await mkdir(folder, { recursive: true })
      // An empty one has nothing to bring to the disk.
      await writeFile(temporary, logText(this.entries), { flush: this.entries.length > 0 })
      await rename(temporary, logFile(folder))
    })
  }

  add(entry: LogEntry): void {
    this.entries.push(entry)
    this.#pending += line(entry)
  }

  /** Writes what was added since the last flush, to the disk: a checkpoint is never ahead of its log. */
  async flush(): Promise<void> {
    const text = this.#pending
    this.#pending = ''
    const folder = this.#folder
    if (folder === undefined || text === '') return
    const { appendFile } = await import('node:fs/promises')
    await writing(folder, () => appendFile(logFile(folder), text, { flush: true }))
  }
}

const line = (entry: LogEntry): string => `${JSON.stringify(entry)}\n`
