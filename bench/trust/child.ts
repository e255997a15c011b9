/** A program in a process of its own, as its users start it. */
import { type ChildProcess, spawn } from 'node:child_process'

export interface Ended {
  /** null when a signal ended it. */
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
  /** Beside those of this process. */
  readonly environment?: Readonly<Record<string, string>>
  /** Milliseconds after which it counts as hung, and is killed. */
  readonly patience: number
}

/** `node ...given`. Where there are process groups it leads one, so that what it leaves behind can be found. */
export function startNode(given: readonly string[], { cwd, environment, patience }: ChildOptions): Child {
  const child = spawn(process.execPath, given, {
    cwd,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
  })
  const end = () => child.kill('SIGKILL')
  process.once('exit', end)
  let hung = false
  const timer = setTimeout(() => {
    hung = true
    end()
  }, patience)
  const ended = new Promise<Ended>((resolve, reject) => {
    let [output, errors] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      process.off('exit', end)
      resolve({ code, signal, output, errors, hung })
    })
  })
  return { process: child, ended }
}

/** Whether a process that has ended left others of its group behind; false where there are no groups. */
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
