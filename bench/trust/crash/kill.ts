/** A session of training that is killed: when it is to happen, and where it did. */
import { existsSync, watch } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { unfinished } from '../../../src/hub/files.ts'
import { decodeSafetensors } from '../../../src/hub/safetensors.ts'
import { checkpointFolder, logFile } from '../../../src/train/run.ts'
import type { Child, Ended } from '../child.ts'
import { identity, logOf } from './runs.ts'

/** When to kill: after the start, or after the nth file of a checkpoint was made, or got its name. */
export interface Moment {
  readonly after: 'start' | 'made' | 'named'
  readonly nth: number
  /** Of the time that `Pace` gives; 0 is at once. */
  readonly share: number
}

/** Milliseconds that an undisturbed run took. */
export interface Pace {
  /** From the start to the first save. */
  readonly start: number
  /** From a file that is made to its name. */
  readonly made: number
  /** From there to the next file. */
  readonly named: number
}

// Uniform: `fc.double` draws mostly from the neighbourhood of 0.
const share = fc.noBias(fc.integer({ min: 0, max: 1000 })).map((k) => k / 1000)
const nth = fc.integer({ min: 1, max: 4 })

/** Half of them fall into saves, which are some tenth of the time. */
const moments: fc.Arbitrary<Moment> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ after: fc.constant('start' as const), nth: fc.constant(1), share }) },
  {
    weight: 5,
    arbitrary: fc.record({ after: fc.constant('made' as const), nth, share: fc.oneof(fc.constant(0), share) }),
  },
  { weight: 3, arbitrary: fc.record({ after: fc.constant('named' as const), nth, share }) },
)

export const drawMoments = (count: number, seed: number): Moment[] => fc.sample(moments, { numRuns: count, seed })

export const showMoment = ({ after, nth, share }: Moment): string =>
  `${after} ${nth}, ${share === 0 ? 'at once' : share.toFixed(3)}`

type FileEvent = (what: 'made' | 'named') => void

/** Calls back for every file of a checkpoint that is made or gets its name in `folder`. */
function watchSaves(folder: string, before: readonly string[], event: FileEvent): { close(): void } {
  const present = new Set(before)
  return watch(folder, (kind, name) => {
    // A name that comes or goes; the contents are other events.
    if (kind !== 'rename' || name === null) return
    if (present.delete(name)) return
    present.add(name)
    event(name.endsWith(unfinished) ? 'made' : 'named')
  })
}

/** Starts a session and kills it at the moment; it may end before. */
export async function killedAt(folder: string, moment: Moment, pace: Pace, start: () => Child): Promise<Ended> {
  const saves = checkpointFolder(folder)
  await mkdir(saves, { recursive: true })
  let child: Child | undefined
  let count = 0
  const kill = () => {
    const wait = moment.share * pace[moment.after]
    if (wait === 0) child?.process.kill('SIGKILL')
    else setTimeout(() => child?.process.kill('SIGKILL'), wait).unref()
  }
  const watcher = watchSaves(saves, await readdir(saves), (what) => {
    if (what === moment.after && ++count === moment.nth) kill()
  })
  child = start()
  if (moment.after === 'start') kill()
  const ended = await child.ended
  watcher.close()
  return ended
}

/** The pace of a session that is not disturbed. */
export async function paceOf(folder: string, start: () => Child): Promise<{ pace: Pace; ended: Ended }> {
  const saves = checkpointFolder(folder)
  await mkdir(saves, { recursive: true })
  const begun = performance.now()
  const times: Record<'made' | 'named', number[]> = { made: [], named: [] }
  const watcher = watchSaves(saves, [], (what) => times[what].push(performance.now() - begun))
  const ended = await start().ended
  watcher.close()
  const { made, named } = times
  // Single saves that waited for the disk must not decide.
  const middle = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]
  const pace = {
    start: made[0],
    made: middle(named.map((time, i) => time - made[i])),
    named: middle(made.slice(1).map((time, i) => time - named[i])),
  }
  return { pace, ended }
}

/** The folder of a run at one moment. */
export interface Seen {
  /** What is known of each file of checkpoints, by name. */
  readonly files: ReadonlyMap<string, string | undefined>
  /** Steps of whole-named checkpoints, the newest first. */
  readonly steps: readonly number[]
  readonly log: string | undefined
}

export async function look(folder: string): Promise<Seen> {
  const saves = checkpointFolder(folder)
  const names = existsSync(saves) ? await readdir(saves) : []
  const files = new Map<string, string | undefined>()
  for (const name of names) files.set(name, await identity(join(saves, name)))
  const steps = names.flatMap((name) => /^step-(\d+)\.safetensors$/.exec(name)?.slice(1).map(Number) ?? [])
  return { files, steps: steps.sort((a, b) => b - a), log: await identity(logFile(folder)) }
}

/** Where a kill fell; all but the first and the last are within a save, in its order. */
export const places = [
  'before the first save',
  'log written, no file yet',
  'file half written',
  'file whole, not yet named',
  'named, older not yet removed',
  'between saves',
] as const

export type KillPlace = (typeof places)[number]

export const isSaving = (place: KillPlace): boolean => place !== places[0] && place !== places.at(-1)

/** Where a session was killed, by what it had changed in its folder. */
export async function placeOf(folder: string, before: Seen, after: Seen): Promise<KillPlace> {
  for (const [name, file] of after.files) {
    if (!name.endsWith(unfinished) || before.files.get(name) === file) continue
    const bytes = await readFile(join(checkpointFolder(folder), name))
    try {
      decodeSafetensors(bytes)
      return 'file whole, not yet named'
    } catch {
      return 'file half written'
    }
  }
  const [newest = 0] = after.steps
  const saved = newest !== (before.steps[0] ?? 0)
  if (saved && after.steps.length > 2) return 'named, older not yet removed'
  // A session rewrites the log to its own beginning, and adds to it only when it saves.
  const last = (await logOf(folder)).at(-1)?.step ?? 0
  if (after.log !== before.log && last > newest) return 'log written, no file yet'
  return saved ? 'between saves' : 'before the first save'
}
