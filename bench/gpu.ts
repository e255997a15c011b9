/**
 * `npm run bench:gpu`: everything that is measured on a real GPU, in one command that fits a short loan of one.
 *
 * Each task runs in a process of its own, and with `--torch` PyTorch runs the same task right after it, so that both
 * engines meet the same machine at the same time. Results are written after every task: a run that is cut keeps what it
 * had.
 */
import { execFile, spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { compare } from './gpu/compare.ts'
import { type Turn, tasksOf } from './gpu/plan.ts'
import { type GpuRecord, ofSection, showRecords } from './gpu/records.ts'
import { type GpuSettings, parseSettings, usage } from './gpu/settings.ts'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** Programs and their arguments, for the two engines. */
function commandOf({ engine, task }: Turn, { torch, torchDevice }: GpuSettings): readonly [string, readonly string[]] {
  const given = JSON.stringify(task)
  if (engine === 'sluice') return [process.execPath, [here('./gpu/task.js'), given]]
  // Not compiled, so not beside this file: both a checkout and the archive have it there, in their root.
  return [torch!, [here('../../bench/gpu/torch_gpu.py'), given, torchDevice]]
}

/** Runs one turn. What it prints as JSON are records; the rest, and its end, is told when it fails. */
function runTurn(turn: Turn, settings: GpuSettings, limit: number, take: (record: GpuRecord) => void): Promise<void> {
  const { engine, label, round } = turn
  const [program, given] = commandOf(turn, settings)
  return new Promise((done) => {
    const child = spawn(program, given, { stdio: ['ignore', 'pipe', 'pipe'] })
    const timer = Number.isFinite(limit) ? setTimeout(() => child.kill('SIGKILL'), limit) : undefined
    let line = ''
    let said = ''
    let isStarted = true
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (line + text).split('\n')
      line = lines.pop()!
      for (const each of lines) {
        if (each.startsWith('{')) take(JSON.parse(each) as GpuRecord)
        else said += `${each}\n`
      }
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    child.on('error', (error) => {
      isStarted = false
      said += error.message
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      if (code !== 0) {
        const end = !isStarted ? 'did not start' : signal ? `was stopped (${signal})` : `ended with ${String(code)}`
        const why = `${end}: ${said.trim().split('\n').slice(-12).join(' / ')}`
        take({ engine, round, section: 'problem', row: label, why })
      }
      done()
    })
  })
}

/** The driver as the system's own tool names it, where there is one. */
async function graphicsDriver(): Promise<string | undefined> {
  const query = ['--query-gpu=name,driver_version,clocks.max.sm,power.limit', '--format=csv,noheader']
  return promisify(execFile)('nvidia-smi', query).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  )
}

async function bench(settings: GpuSettings): Promise<void> {
  const started = performance.now()
  const records: GpuRecord[] = []
  const command = ['npm run bench:gpu --', ...process.argv.slice(2)].join(' ')
  const driver = await graphicsDriver()
  await mkdir(settings.out, { recursive: true })
  const contents = () => `${JSON.stringify({ date: new Date().toISOString(), command, driver, records }, null, 1)}\n`
  const save = async () => {
    await writeFile(join(settings.out, 'results.json'), contents())
    await writeFile(join(settings.out, 'compare.md'), compare(records))
  }
  console.log(`${command}${driver ? `\n${driver}` : ''}`)
  /** How long turns of this label took, to leave out those that the time left has no room for. */
  const took = new Map<string, number>()
  for (const turn of tasksOf(settings)) {
    const now = performance.now() - started
    const left = settings.minutes * 60_000 - now
    const name = `${turn.engine}, ${turn.label}`
    if (left < Math.max(5000, took.get(name) ?? 0)) {
      records.push({ ...turn, section: 'problem', row: turn.label, why: `no time left in round ${turn.round}` })
      continue
    }
    process.stdout.write(`${(now / 1000).toFixed(0).padStart(5)} s  round ${turn.round}  ${name}\n`)
    await runTurn(turn, settings, left, (record) => {
      records.push(record)
      if (record.section === 'problem') console.log(`         ${record.row}: ${record.why}`)
      if (record.section === 'machine') console.log(`         ${JSON.stringify(record.details)}`)
    })
    took.set(name, performance.now() - started - now)
    await save()
  }
  await save()
  console.log(`\n${showRecords(records)}`)
  console.log(`\nwrote ${join(settings.out, 'results.json')} and compare.md`)
  if (settings.save) {
    const adapter = ofSection(records, 'machine').find(({ engine }) => engine === 'sluice')?.row ?? 'unknown'
    const name = adapter
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '')
    const file = `bench/results/${new Date().toISOString().slice(0, 10)}-webgpu-${name}.json`
    await mkdir('bench/results', { recursive: true })
    await writeFile(file, contents())
    console.log(`wrote ${file}`)
  }
  if (records.some((r) => r.section === 'parity' && r.failure !== null)) process.exitCode = 1
  if (!records.some((r) => r.engine === 'sluice' && r.section !== 'problem')) process.exitCode = 1
}

try {
  const settings = parseSettings(process.argv.slice(2))
  if (settings.help) console.log(usage)
  else if (settings.compare) {
    const { records } = JSON.parse(await readFile(settings.compare, 'utf8')) as { records: GpuRecord[] }
    console.log(compare(records))
  } else await bench(settings)
} catch (error) {
  console.error(error instanceof Error ? `bench:gpu: ${error.message} (--help lists the options)` : error)
  process.exitCode = 1
}
