/** Runs a command to its end, and kills what hangs. */
import { spawn } from 'node:child_process'

export interface Ended {
  readonly status: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly folder: string
  readonly variables?: Readonly<Record<string, string>>
  /** As a user who may write nowhere, where this is the one who may write everywhere. */
  readonly isNobody?: boolean
}

/** A machine that is busy runs the longest of them in a minute. */
const mostSeconds = 240

/** `nobody`, on every Linux. */
const nobody = 65534

/** Variables that would change what is tried. */
const ours = ['SLUICE_THREADS', 'SLUICE_SIMD', 'SLUICE_PROFILE', 'NODE_OPTIONS']

export function runToEnd(
  [name, ...given]: readonly string[],
  { folder, variables, isNobody }: RunOptions,
): Promise<Ended> {
  const outside = Object.fromEntries(Object.entries(process.env).filter(([key]) => !ours.includes(key)))
  const user = isNobody && process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {}
  return new Promise((resolve) => {
    const child = spawn(name, given, {
      cwd: folder,
      env: { ...outside, NO_COLOR: '1', ...variables },
      timeout: 1000 * mostSeconds,
      killSignal: 'SIGKILL',
      stdio: ['ignore', 'pipe', 'pipe'],
      ...user,
    })
    const texts = { stdout: '', stderr: '' }
    for (const from of ['stdout', 'stderr'] as const) {
      child[from].setEncoding('utf8').on('data', (text: string) => {
        texts[from] += text
      })
    }
    child.on('error', (error) => resolve({ ...texts, status: null, signal: error.message }))
    child.on('close', (status, signal) => resolve({ ...texts, status, signal }))
  })
}
