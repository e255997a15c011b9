/** Runs of `sluice train` that are small, save often, and differ in what they keep; and what is on the disk of one. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { unfinished } from '../../../src/hub/files.ts'
import { readCheckpoint } from '../../../src/train/checkpoint.ts'
import { checkpointFolder, type LogEntry, logFile, newestCheckpoint } from '../../../src/train/run.ts'
import { type Child, type Ended, startNode } from '../child.ts'

/** As large as 80 steps of 10 ms allow with some 20 kills on the way. */
const base = { steps: 80, checkpointEvery: 2, evaluateEvery: 20, evaluationBatches: 2, batchSize: 2, contextLength: 16 }

/** Checkpoints of about 1 MB, which take several writes. */
const model = { width: 64, layers: 2, heads: 2, feedForwardWidth: 128 }

const text = { text: 'text.txt' }

export interface Setting {
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  readonly threads: number
}

export const settings: readonly Setting[] = [
  {
    name: 'attention and the delta rule, AdamW',
    config: { ...base, data: text, model: { ...model, layerTypes: ['delta', 'attention'], dropout: 0.1 } },
    threads: 1,
  },
  {
    name: 'experts, Muon',
    config: {
      ...base,
      data: text,
      model: { ...model, experts: { count: 4, active: 2, width: 32 }, dropout: 0.1 },
      optimizer: { name: 'muon', learningRate: 0.01 },
    },
    threads: 1,
  },
  {
    name: 'a task, SGD',
    config: {
      ...base,
      data: { task: 'copy', taskOptions: { vocabularySize: 5, sequenceLength: 8, copyLength: 2 } },
      model: { ...model, width: 128, dropout: 0.2 },
      optimizer: { name: 'sgd', learningRate: 0.05 },
    },
    threads: 1,
  },
  {
    name: 'multi-token prediction, two threads',
    config: { ...base, data: text, model: { ...model, multiTokenPrediction: { weight: 0.3 }, layers: 1 } },
    threads: 2,
  },
]

export const trainedText = 'the quick brown fox jumps over the lazy dog.\n'.repeat(60)

/** Where a run of the setting is trained: `cwd` holds text and configuration, `folder` is the run's own. */
export interface Place {
  readonly setting: Setting
  readonly cwd: string
  readonly folder: string
}

export async function makePlace(cwd: string, setting: Setting): Promise<Place> {
  await mkdir(cwd, { recursive: true })
  await writeFile(join(cwd, 'text.txt'), trainedText)
  await writeFile(join(cwd, 'config.json'), JSON.stringify({ ...setting.config, name: 'run' }))
  return { setting, cwd, folder: join(cwd, 'runs', 'run') }
}

export const beginning: readonly string[] = ['--config', 'config.json']

/** Far more than any session takes: one that is not done by then hangs. */
const patience = 180_000

/** `sluice train ...given` on the cpu device, as it was built. */
export function startTrain({ cwd, setting }: Pick<Place, 'cwd' | 'setting'>, given: readonly string[]): Child {
  const main = resolve('dist/src/cli/main.js')
  if (!existsSync(main)) throw new Error(`${main} is not there; build it with: npm run build`)
  const environment = { SLUICE_THREADS: String(setting.threads) }
  return startNode([main, 'train', ...given, '--device', 'cpu'], { cwd, environment, patience })
}

export const trainToItsEnd = (place: Pick<Place, 'cwd' | 'setting'>, given: readonly string[]): Promise<Ended> =>
  startTrain(place, given).ended

/** The lines of a log as they are on the disk; a last one that was cut short is left out. */
export async function logOf(folder: string): Promise<LogEntry[]> {
  const lines = (await readFile(logFile(folder), 'utf8').catch(() => '')).split('\n').filter((line) => line !== '')
  return lines.flatMap((line, i) => {
    try {
      return [JSON.parse(line) as LogEntry]
    } catch (error) {
      if (i === lines.length - 1) return []
      throw error
    }
  })
}

/** A line of a log but its time. */
export const withoutTime = ({ seconds, ...entry }: LogEntry): string => JSON.stringify(entry)

/**
 * Everything that a finished run leaves but its times, by name: the log line by line, the newest checkpoint tensor by tensor
 * (as the SHA-256 of its bytes), generators, configuration; and the names of unfinished files.
 */
export async function remains(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const [i, entry] of (await logOf(folder)).entries()) found.set(`log line ${i + 1}`, withoutTime(entry))
  const path = await newestCheckpoint(checkpointFolder(folder))
  if (path === undefined) return found
  const { step, tensors, config, generator } = await readCheckpoint(path)
  const { seconds, ...settled } = config as { seconds: number }
  found.set('step', String(step))
  found.set('configuration', JSON.stringify(settled))
  found.set('generator', JSON.stringify(generator))
  for (const [name, { dtype, shape, data }] of tensors) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    found.set(name, `${dtype} [${shape}] ${createHash('sha256').update(bytes).digest('hex')}`)
  }
  const names = await readdir(folder, { recursive: true })
  found.set('unfinished files', names.filter((name) => name.endsWith(unfinished)).join(' '))
  return found
}

/** The names under which two runs differ. */
export function differences(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].filter((name) => a.get(name) !== b.get(name))
}

/** How many numbers the newest checkpoint of a run holds. */
export async function numbersIn(folder: string): Promise<number> {
  const { tensors } = await readCheckpoint(checkpointFolder(folder))
  return [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0)
}

/** A file as it was found: another one of the same name is another. */
export async function identity(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined)
  return found && `${found.ino} ${found.size} ${found.mtimeMs}`
}
