/**
 * Hostile files: whatever reads one must read it or refuse it with a SluiceError, in bounded time and memory, without
 * touching prototypes, making code, or leaving its folder. Each target is tried in a process of its own, which may be lost.
 */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Bomb, bombs } from './hostile/bombs.ts'
import { currentFile, type LossRecord, type ReadReport, type TryReport } from './hostile/report.ts'
import { limits } from './hostile/target.ts'
import { targets } from './hostile/targets.ts'
import type { TrustRow, TrustSuite } from './row.ts'

const child = fileURLToPath(new URL('./hostile/child.js', import.meta.url))

/** Milliseconds of trying a target, and bytes of the large files. */
const scales = {
  short: { milliseconds: 900, bombBytes: 2 ** 18, every: 4 },
  whole: { milliseconds: 20_000, bombBytes: 24 * 2 ** 20, every: 1 },
} as const

/** Milliseconds after which a process that still reads the same input hangs, however busy the machine. */
const patience = 60_000

const seed = 20261130

interface Ended {
  readonly output: string
  /** Why there is no output. */
  readonly fault: string | undefined
}

/** Runs the child; ends it when the input that it reads has not changed for too long. */
async function runChild(given: readonly string[], folder: string): Promise<Ended> {
  const started = spawn(process.execPath, ['--max-old-space-size=1024', child, ...given], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [output, errors, hangs] = ['', '', false]
  started.stdout.on('data', (part) => {
    output += part
  })
  started.stderr.on('data', (part) => {
    errors = `${errors}${part}`.slice(-2000)
  })
  let [last, since] = ['', Date.now()]
  const watch = setInterval(async () => {
    const now = await readFile(join(folder, currentFile)).catch(() => Buffer.alloc(0))
    const input = now.subarray(0, 8).toString('hex')
    if (input !== last) [last, since] = [input, Date.now()]
    if (Date.now() - since < patience) return
    hangs = true
    started.kill('SIGKILL')
  }, 1000)
  const code = await new Promise<number | null>((done) => started.on('close', done))
  clearInterval(watch)
  const shown = errors.split('\n').find((line) => /error|fatal/i.test(line)) ?? errors.slice(-200)
  const fault = hangs
    ? `it read for more than ${patience / 1000} s`
    : code === 0
      ? undefined
      : `the process ended: ${shown}`
  return { output, fault }
}

async function inFolder<R>(body: (folder: string) => Promise<R>): Promise<R> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-hostile-'))
  try {
    return await body(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Where inputs that were lost are kept, to be read again: `node dist-bench/bench/trust/hostile/child.js read TARGET FOLDER FILE`. */
const lostFolder = join(tmpdir(), 'sluice-hostile-lost')

async function keepLost(target: string, { what, input }: LossRecord, note: (line: string) => void): Promise<void> {
  await mkdir(lostFolder, { recursive: true })
  const bytes = Buffer.from(input, 'base64')
  const path = join(lostFolder, `${target.replaceAll(/[^\w.]+/g, '-')}-${bytes.length}-${Date.now()}`)
  await writeFile(path, bytes)
  note(`LOST (seed ${seed}), ${target}: ${what}; the input is ${path}`)
}

async function tryOne(target: string, milliseconds: number, note: (line: string) => void): Promise<TrustRow> {
  return inFolder(async (folder) => {
    const { output, fault } = await runChild(['try', target, folder, String(seed), String(milliseconds)], folder)
    if (fault !== undefined) {
      const current = await readFile(join(folder, currentFile)).catch(() => Buffer.alloc(8))
      const input = current.subarray(8, 8 + current.readUInt32LE(4)).toString('base64')
      await keepLost(target, { what: fault, input }, note)
      return { test: `hostile: ${target}`, tries: current.readUInt32LE(0), faults: 'not all', losses: 1, worst: fault }
    }
    const { findings, losses, kept, blocks } = JSON.parse(output) as TryReport
    for (const loss of losses) await keepLost(target, loss, note)
    const tries = Object.values(findings.tries).reduce((a, b) => a + b, 0)
    const kinds = Object.entries(findings.tries).map(([kind, count]) => `${count.toLocaleString('en')} ${kind}`)
    return {
      test: `hostile: ${target}`,
      tries,
      faults: `${kinds.join(', ')}; ${findings.refused.toLocaleString('en')} refused; ${kept} kept for ${blocks} blocks`,
      losses: losses.length,
      worst: `${findings.slowest.toFixed(0)} ms, ${(findings.largest / 2 ** 20).toFixed(1)} MiB`,
    }
  })
}

/** Reads large files, each in a process of its own. */
async function detonate(chosen: readonly Bomb[], size: number, note: (line: string) => void): Promise<TrustRow> {
  let [losses, refused, slowest] = [0, 0, 0]
  let worst = { multiple: 0, name: '' }
  for (const { name, target, make } of chosen) {
    await inFolder(async (folder) => {
      const file = join(folder, 'bomb')
      const bytes = make(size)
      await writeFile(file, bytes)
      const { output, fault } = await runChild(['read', target, folder, file], folder)
      const report: Partial<ReadReport> = fault === undefined ? (JSON.parse(output) as ReadReport) : { fault }
      const { isRead, milliseconds = 0, peak = 0 } = report
      let wrong = report.fault
      if (milliseconds > limits.milliseconds(bytes.length)) wrong ??= `it took ${milliseconds.toFixed(0)} ms`
      if (peak > limits.memory(bytes.length) + resting) wrong ??= `it took ${(peak / 2 ** 20).toFixed(0)} MiB`
      if (wrong !== undefined) {
        losses++
        note(`LOST, ${target}, ${name}, ${bytes.length} bytes: ${wrong}`)
      }
      if (isRead === false) refused++
      slowest = Math.max(slowest, milliseconds)
      const multiple = Math.max(0, peak - resting) / bytes.length
      if (bytes.length >= 2 ** 20 && multiple > worst.multiple) worst = { multiple, name: `${target}, ${name}` }
    })
  }
  const multiple = worst.name === '' ? '' : `, ${worst.multiple.toFixed(1)} times the file (${worst.name})`
  return {
    test: 'hostile: large and swollen files',
    tries: chosen.length,
    faults: `${chosen.length} files of up to ${(size / 2 ** 20).toFixed(1)} MiB, or that claim to be; ${refused} refused`,
    losses,
    worst: `${(slowest / 1000).toFixed(1)} s${multiple}`,
  }
}

/** What a process may take besides, as the system counts it: code that is compiled, and a heap that is not yet collected. */
const resting = 2 ** 26

export const hostile: TrustSuite = {
  name: 'hostile',
  async run(scale, note) {
    const { milliseconds, bombBytes, every } = scales[scale]
    const rows = new Map<string, TrustRow>()
    const waiting = Object.keys(targets)
    // Two at a time, for the machines that this runs on have two processors.
    const worker = async (): Promise<void> => {
      for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
        rows.set(target, await tryOne(target, milliseconds, note))
        note(`${target}: ${rows.get(target)!.tries} tries`)
      }
    }
    await Promise.all([worker(), worker()])
    const chosen = bombs.filter((_, i) => i % every === 0)
    return [...Object.keys(targets).map((name) => rows.get(name)!), await detonate(chosen, bombBytes, note)]
  },
}
