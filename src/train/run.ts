/** The folder of a run: its log, one JSON object a line, and the checkpoints beside it. */
import { SluiceError } from '../errors.ts'

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
}

export const checkpointFolder = (folder: string): string => `${folder}/checkpoints`
const logFile = (folder: string): string => `${folder}/log.jsonl`

/** The lines of a log up to `step`; what comes later belongs to a session whose end was lost. */
export async function readLog(folder: string, step = Number.POSITIVE_INFINITY): Promise<LogEntry[]> {
  const { readFile } = await import('node:fs/promises')
  const text = await readFile(logFile(folder), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw new SluiceError('train', `the log ${logFile(folder)} cannot be read: ${error.message}`)
  })
  const entries: LogEntry[] = []
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    let entry: LogEntry
    try {
      entry = JSON.parse(line) as LogEntry
    } catch {
      // A crash may cut the last line short; it then belongs to a step after the last checkpoint.
      break
    }
    if (entry.step <= step) entries.push(entry)
  }
  return entries
}

/**
 * Makes way for a new run: its checkpoints and those of an earlier run would be taken for one.
 *
 * @throws SluiceError when there are checkpoints and `overwrite` is false
 */
export async function clearFolder(folder: string, overwrite: boolean): Promise<void> {
  const { readdir, rm } = await import('node:fs/promises')
  const names = await readdir(checkpointFolder(folder)).catch((): string[] => [])
  if (!names.some((name) => name.endsWith('.safetensors'))) return
  if (!overwrite) {
    throw new SluiceError(
      'train',
      `${folder} already holds the checkpoints of a run; resume it, give this run another name, or overwrite it`,
    )
  }
  await rm(checkpointFolder(folder), { recursive: true })
}

/** Appends to a run's log, after rewriting it to what a resumed run still stands by. */
export class RunLog {
  readonly #folder: string
  #pending = ''

  constructor(folder: string) {
    this.#folder = folder
  }

  async start(entries: readonly LogEntry[]): Promise<void> {
    const { mkdir, rename, writeFile } = await import('node:fs/promises')
    await mkdir(this.#folder, { recursive: true })
    const temporary = `${logFile(this.#folder)}.partial`
    await writeFile(temporary, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
    await rename(temporary, logFile(this.#folder))
  }

  add(entry: LogEntry): void {
    this.#pending += `${JSON.stringify(entry)}\n`
  }

  /** Writes what was added since the last flush. */
  async flush(): Promise<void> {
    if (this.#pending === '') return
    const { appendFile } = await import('node:fs/promises')
    const text = this.#pending
    this.#pending = ''
    await appendFile(logFile(this.#folder), text)
  }
}
