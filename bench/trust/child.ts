/** Programs in processes of their own, as their users start them, and folders that go away. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Ended {
  /** null when a signal ended it, or it could not be started: `errors` then says why. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
  readonly errors: string
  /** It was killed because it had not ended in time. */
  readonly hung: boolean
}

export interface Child {
  readonly process: ChildProcess
  readonly ended: Promise<Ended>
}

export interface ChildOptions {
  readonly cwd?: string
  /** Beside those of this process; undefined leaves one out. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Whether it leads a process group, where there are such, so that what it leaves behind can be found. */
  readonly leadsGroup?: boolean
  /** Who runs it; this user unless given. */
  readonly user?: { readonly uid: number; readonly gid: number }
  /** Milliseconds after which it counts as hung, and is killed. */
  readonly patience: number
}

/** Starts a command. */
export function start([command, ...given]: readonly string[], options: ChildOptions): Child {
  const { cwd, environment, leadsGroup = false, user, patience } = options
  const child = spawn(command, given, {
    cwd,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: leadsGroup && process.platform !== 'win32',
    ...user,
  })
  const end = () => child.kill('SIGKILL')
  process.once('exit', end)
  let hung = false
  const timer = setTimeout(() => {
    hung = true
    end()
  }, patience)
  const ended = new Promise<Ended>((resolve) => {
    let [output, errors] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
    child.on('error', (error) => (errors += `${error}\n`))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      process.off('exit', end)
      resolve({ code, signal, output, errors, hung })
    })
  })
  return { process: child, ended }
}

/** `node ...given`. */
export const startNode = (given: readonly string[], options: ChildOptions): Child =>
  start([process.execPath, ...given], options)

/** Whether a process that led its group and has ended left others of it behind; false where there are no groups. */
export function leftOthers({ process: { pid } }: Child): boolean {
  if (process.platform === 'win32' || pid === undefined) return false
  try {
    process.kill(-pid, 0)
    return true
  } catch {
    return false
  }
}

/** What a program says last on its error stream. */
export const lastLine = (text: string): string => text.trimEnd().split('\n').at(-1) ?? ''

/** Does the work of every item, `count` at a time; gives the results in the order of the items. */
export async function inParallel<T, R>(
  items: readonly T[],
  count: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const i = next++
      results[i] = await work(items[i])
    }
  }
  await Promise.all(Array.from({ length: count }, worker))
  return results
}

/** Gives the work a folder of its own, which goes away with all that is in it. */
export async function inFolder<R>(purpose: string, work: (folder: string) => Promise<R>): Promise<R> {
  const folder = await mkdtemp(join(tmpdir(), `sluice-${purpose}-`))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
