/** Independent jobs as processes of their own, several at a time: as many as there are processors. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What `sluice` is started with, in another process. */
export interface ProcessJob {
  /** Arguments of the command line, the command's name first. */
  readonly arguments: readonly string[]
  /** Called with what it printed, when it ended well. */
  done(output: string): void | Promise<void>
  /** Called with the last line it wrote to the error stream, when it did not. */
  failed(reason: string): void | Promise<void>
}

/** How often a job is started whose process was killed by something outside: it goes on from what it had kept. */
const starts = 3

const main = fileURLToPath(new URL('./main.js', import.meta.url))

/**
 * Runs the jobs, `count` at a time, each on one thread of the cpu device.
 *
 * @param signal ends the processes that run, and starts no more; their jobs are neither done nor failed
 */
export async function runProcesses(jobs: readonly ProcessJob[], count: number, signal: AbortSignal): Promise<void> {
  const waiting = [...jobs]
  const worker = async () => {
    while (!signal.aborted) {
      const job = waiting.shift()
      if (!job) return
      const { output, errors, code, killedBy } = await runPatiently(job.arguments, signal)
      if (signal.aborted) return
      if (code === 0) await job.done(output)
      else
        await job.failed(errors.trim().split('\n').at(-1) || (killedBy ? `ended by ${killedBy}` : `exit code ${code}`))
    }
  }
  await Promise.all(Array.from({ length: Math.min(count, jobs.length) }, worker))
}

interface Ended {
  readonly output: string
  readonly errors: string
  /** null when it was ended by a signal. */
  readonly code: number | null
  readonly killedBy: NodeJS.Signals | null
}

async function runPatiently(given: readonly string[], signal: AbortSignal): Promise<Ended> {
  for (let start = 1; ; start++) {
    const ended = await runOne(given, signal)
    if (ended.killedBy === null || start === starts || signal.aborted) return ended
  }
}

function runOne(given: readonly string[], signal: AbortSignal): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, SLUICE_THREADS: '1' }
    const child = spawn(process.execPath, [...process.execArgv, main, ...given], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [output, errors] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    // Only its end is ever shown.
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-10_000)))
    const end = () => child.kill('SIGTERM')
    signal.addEventListener('abort', end, { once: true })
    child.on('error', reject)
    child.on('close', (code, killedBy) => {
      signal.removeEventListener('abort', end)
      resolve({ output, errors, code, killedBy })
    })
  })
}
