/**
 * Hostile files: whatever reads one must read it or refuse it with a SluiceError, in bounded time and memory, without
 * touching prototypes, making code, or leaving its folder. Each target is tried in a process of its own, which may be lost.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inFolder, inParallel, startNode } from './child.ts'
import { type Bomb, bombs } from './hostile/bombs.ts'
import { currentFile, currentHeader, type LossRecord, type ReadReport, type TryReport } from './hostile/report.ts'
import { limits } from './hostile/target.ts'
import { targets } from './hostile/targets.ts'
import type { TrustRow, TrustSuite } from './row.ts'

const child = fileURLToPath(new URL('./hostile/child.js', import.meta.url))

/** Milliseconds of the processor for trying a target, and bytes of the large files. */
const scales = {
  short: { milliseconds: 700, bombBytes: 2 ** 18, every: 8 },
  whole: { milliseconds: 20_000, bombBytes: 24 * 2 ** 20, every: 1 },
} as const

/** Seconds after which a process that still reads the same input hangs: of the processor, and on the clock of a busy machine. */
const patience = { processor: 60, clock: 1200 } as const

/** Milliseconds that a target takes with all its inputs, at most. */
const longest = 7_200_000

const seed = 20261130

/** Targets that share a process in the short form, as starting one costs more than trying it. */
const together = [
  ['safetensors', 'safetensors, index of shards', 'config.json', 'tokenizer.json', "lab's address", 'log of a run'],
  ['training configuration', 'checkpoint', 'archive of a run', 'downloaded run'],
  ["study's settings", "study's results", 'merge of a study'],
] as const

type Note = (line: string) => void

interface Ended {
  readonly output: string
  /** Why there is no output. */
  readonly fault: string | undefined
}

/** Runs the child; ends it when the input that it reads has not changed for too long. */
async function runChild(given: readonly string[], folder: string): Promise<Ended> {
  const started = startNode(['--max-old-space-size=1024', child, ...given], { patience: longest })
  let hangs = false
  let [last, since] = [0, { processor: 0, clock: Date.now() / 1000 }]
  const watch = setInterval(async () => {
    const [{ tries }, processor] = [await currentOf(folder), await processorSeconds(started.process.pid!)]
    const now = { processor, clock: Date.now() / 1000 }
    if (tries !== last) [last, since] = [tries, now]
    const isPatient = now.processor - since.processor < patience.processor && now.clock - since.clock < patience.clock
    if (isPatient) return
    hangs = true
    started.process.kill('SIGKILL')
  }, 1000)
  const { code, output, errors, hung } = await started.ended
  clearInterval(watch)
  if (code === 0) return { output, fault: undefined }
  const shown = errors.split('\n').find((line) => /error|fatal/i.test(line)) ?? errors.slice(-200)
  const fault = hangs || hung ? `it read for more than ${patience.processor} s` : `the process ended: ${shown}`
  return { output, fault }
}

/** Of a process that runs, where the system tells; else 0. */
async function processorSeconds(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // After the name in parentheses, which may hold anything: user and system time, in hundredths.
  const [user = 0, system = 0] = status.slice(status.lastIndexOf(')')).split(' ').slice(12, 14).map(Number)
  return (user + system) / 100
}

/** Where inputs that were lost are kept, to be read again: `node dist-bench/bench/trust/hostile/child.js read TARGET FOLDER FILE`. */
const lostFolder = join(tmpdir(), 'sluice-hostile-lost')

async function keepLost(target: string, { what, input }: LossRecord, note: Note): Promise<void> {
  await mkdir(lostFolder, { recursive: true })
  const bytes = Buffer.from(input, 'base64')
  const path = join(lostFolder, `${target.replaceAll(/[^\w.]+/g, '-')}-${bytes.length}-${Date.now()}`)
  await writeFile(path, bytes)
  note(`LOST (seed ${seed}), ${target}: ${what}; the input is ${path}`)
}

/** Tries several targets in one process. One that ends it takes with it what the others found. */
async function tryTogether(names: readonly string[], milliseconds: number, note: Note): Promise<TrustRow[]> {
  return inFolder('hostile', async (folder) => {
    const given = ['try', names.join(';'), folder, String(seed), String(milliseconds)]
    const { output, fault } = await runChild(given, folder)
    if (fault === undefined) {
      const reports = JSON.parse(output) as TryReport[]
      return Promise.all(reports.map((report, i) => rowOf(names[i]!, report, note)))
    }
    const { tries, input, place } = await currentOf(folder)
    await keepLost(names[place]!, { what: fault, input: input.toString('base64') }, note)
    return [{ test: `hostile: ${names.join(', ')}`, tries, faults: 'not all', losses: 1, worst: fault }]
  })
}

/** The input that a process was reading. */
async function currentOf(folder: string): Promise<{ tries: number; input: Buffer; place: number }> {
  const kept = await readFile(join(folder, currentFile)).catch(() => Buffer.alloc(0))
  const whole = kept.length < currentHeader ? Buffer.alloc(currentHeader) : kept
  const length = whole.readUInt32LE(4)
  const input = whole.subarray(currentHeader, currentHeader + length)
  return { tries: whole.readUInt32LE(0), input, place: whole.readUInt32LE(8) }
}

async function rowOf(target: string, report: TryReport, note: Note): Promise<TrustRow> {
  const { findings, losses, kept, blocks } = report
  for (const loss of losses) await keepLost(target, loss, note)
  const kinds = Object.entries(findings.tries).map(([kind, count]) => `${count.toLocaleString('en')} ${kind}`)
  return {
    test: `hostile: ${target}`,
    tries: Object.values(findings.tries).reduce((a, b) => a + b, 0),
    faults: `${kinds.join(', ')}; ${findings.refused.toLocaleString('en')} refused; ${kept} kept for ${blocks} blocks`,
    losses: losses.length,
    worst: `${findings.slowest.toFixed(0)} ms, ${(findings.largest / 2 ** 20).toFixed(1)} MiB`,
  }
}

/** Reads large files, each in a process of its own. */
async function detonate(chosen: readonly Bomb[], size: number, note: Note): Promise<TrustRow> {
  let [losses, refused, slowest] = [0, 0, 0]
  let worst = { multiple: 0, name: '' }
  for (const { name, target, make } of chosen) {
    await inFolder('hostile', async (folder) => {
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
    const groups: readonly (readonly string[])[] =
      scale === 'short' ? together : Object.keys(targets).map((name) => [name])
    // Two at a time, for the machines that this runs on have two processors.
    const rows = await inParallel(groups, 2, async (names) => {
      const found = await tryTogether(names, milliseconds, note)
      note(`${names.join(', ')} tried`)
      return found
    })
    const chosen = bombs.filter((_, i) => i % every === 0)
    return [...rows.flat(), await detonate(chosen, bombBytes, note)]
  },
}
