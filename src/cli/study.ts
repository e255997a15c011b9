/** `sluice study`: the paper's variants trained and measured over seeds, rates and sizes, and the report. */
import { readdir, rm } from 'node:fs/promises'
import { availableParallelism, cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { device } from '../device/registry.ts'
import { SluiceError } from '../errors.ts'
import { createdNow } from '../lab/report.ts'
import { checkSameStudy, gatherRuns, studyData } from '../lab/study/gather.ts'
import { runStudyJob } from '../lab/study/job.ts'
import { studyPreset, studyPresets } from '../lab/study/presets.ts'
import { studyRun, studySettings } from '../lab/study/read.ts'
import { jobName, type StudySettings, shardOf, studyJobs } from '../lab/study/settings.ts'
import type { StudyJob, StudyRun } from '../lab/study-report/data.ts'
import { studyTables } from '../lab/study-report/tables.ts'
import { variants } from '../lab/variants.ts'
import { noSuch } from '../nearest.ts'
import { keepText, keptJson, readObject } from './files.ts'
import { interruptSignal, wholeNumber } from './options.ts'
import { type ProcessJob, runProcesses } from './processes.ts'

const usage = `usage: sluice study [--preset NAME] [options]
       sluice study merge FOLDER... [--folder DIR]
       sluice study list

  --preset NAME    ${Object.keys(studyPresets).join(', ')} (smoke)
  --settings FILE  JSON: what differs from the preset (docs/study.md)
  --data FILE      a UTF-8 text to learn from, instead of the preset's generated language
  --variants LIST  of the main group (sluice study list names them)
  --seeds LIST     whole numbers with commas between them
  --steps N        training steps of the main group
  --folder DIR     where runs, tables and report go (runs/study-PRESET); runs that are there are not run again
  --jobs N         processes at a time (as many as there are processors)
  --shard I/N      every N-th run, from the I-th on: the others run elsewhere, and merge joins their folders
  --device NAME    of every run: cpu (default), webgpu, reference

A study that is stopped goes on with the same command.`

const command = 'sluice study'

const runFolder = (folder: string, name: string): string => join(folder, 'runs', name)
const resultFile = (folder: string, name: string): string => join(runFolder(folder, name), 'result.json')
const settingsFile = (folder: string): string => join(folder, 'settings.json')

/** What --shard says: this part of so many. */
function shardGiven(text: string | undefined): [index: number, count: number] {
  if (text === undefined) return [1, 1]
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(text)?.map(Number) ?? [0, 0, 0]
  if (index < 1 || index > count) {
    throw new SluiceError(command, `--shard must be I/N with I from 1 to N, got '${text}'`)
  }
  return [index, count]
}

type Given = Readonly<Record<string, string | undefined>>

/** The settings that the command line asks for. */
async function asked(given: Given): Promise<StudySettings> {
  let settings = studyPreset(given.preset ?? 'smoke')
  if (given.settings !== undefined) {
    const changes = await readObject(command, 'the settings', given.settings)
    const unknown = Object.keys(changes).find((key) => !Object.hasOwn(settings, key))
    if (unknown !== undefined) throw new SluiceError(command, noSuch('setting', unknown, Object.keys(settings)))
    settings = studySettings({ ...settings, ...changes })
  }
  const steps = wholeNumber('steps', given.steps)
  const main = {
    ...settings.main,
    ...(given.variants !== undefined && { variants: given.variants.split(',') }),
    ...(steps !== undefined && { steps }),
  }
  const seeds = given.seeds?.split(',').map((seed) => wholeNumber('seeds', seed)!) ?? settings.seeds
  const data = given.data === undefined ? settings.data : { text: given.data }
  settings = { ...settings, main, seeds, data }
  if (data.text === undefined && data.task === undefined) {
    throw new SluiceError(command, `the preset ${settings.preset} learns a text: give --data FILE`)
  }
  return studySettings(settings)
}

/** The settings of the study in a folder. */
async function settingsIn(folder: string): Promise<StudySettings | undefined> {
  const kept = await keptJson(command, settingsFile(folder))
  return kept === undefined ? undefined : studySettings(kept)
}

/** Keeps the settings with the runs; a folder that holds another study is refused. */
async function settle(folder: string, settings: StudySettings): Promise<void> {
  const before = await settingsIn(folder)
  // Through JSON, as the kept ones went: a key without a value is not there.
  const text = `${JSON.stringify(settings, null, 2)}\n`
  if (before) checkSameStudy(before, JSON.parse(text) as StudySettings, folder)
  else await keepText(command, settingsFile(folder), text)
}

/** The runs in a folder that have ended. */
async function finishedRuns(folder: string): Promise<StudyRun[]> {
  const names = await readdir(join(folder, 'runs')).catch((): string[] => [])
  const runs: StudyRun[] = []
  for (const name of names) {
    const path = resultFile(folder, name)
    const kept = await keptJson(command, path)
    if (kept !== undefined) runs.push(studyRun(kept, path))
  }
  return runs
}

/** Runs one job in this process and keeps its result; its checkpoints are then of no use. */
async function runOne(folder: string, name: string, deviceName: string | undefined): Promise<void> {
  const settings = await settingsIn(folder)
  const job = settings && studyJobs(settings).find((one) => jobName(one) === name)
  if (!job) throw new SluiceError(command, `${folder} has no run ${name}`)
  const chosen = await device(deviceName ?? 'cpu')
  const interrupt = interruptSignal()
  const run = await runStudyJob(settings, job, {
    folder: runFolder(folder, name),
    device: chosen.name,
    signal: interrupt.signal,
  })
  interrupt.release()
  await keepText(command, resultFile(folder, name), `${JSON.stringify(run)}\n`)
  await rm(join(runFolder(folder, name), 'checkpoints'), { recursive: true, force: true })
  console.log(JSON.stringify({ loss: run.loss, seconds: run.seconds, diverged: run.diverged }))
}

const isFull = (reason: string): boolean => /ENOSPC|EDQUOT|no space left/i.test(reason)

/** Runs what is not there yet. @throws SluiceError when it was stopped, or a run failed */
async function runAll(folder: string, jobs: readonly StudyJob[], given: Given): Promise<void> {
  const there = new Set((await finishedRuns(folder)).map(({ name }) => name))
  const missing = jobs.map(jobName).filter((name) => !there.has(name))
  let count = jobs.length - missing.length
  if (count > 0) console.log(`${count} of ${jobs.length} runs are there`)
  const stop = new AbortController()
  const interrupt = interruptSignal()
  interrupt.signal.addEventListener('abort', () => stop.abort(), { once: true })
  const failures: string[] = []
  let full = ''
  const onDevice = given.device === undefined ? [] : ['--device', given.device]
  const processes = missing.map(
    (name): ProcessJob => ({
      arguments: ['study', '--one', name, '--folder', folder, ...onDevice],
      done(output) {
        const { loss, seconds, diverged } = JSON.parse(output) as Pick<StudyRun, 'loss' | 'seconds' | 'diverged'>
        const what = diverged ? `diverged at step ${diverged.step}` : loss!.toFixed(4)
        console.log(`${++count}/${jobs.length} ${name}: ${what} (${seconds.toFixed(0)} s)`)
      },
      failed(reason) {
        failures.push(`${name}: ${reason}`)
        console.error(failures.at(-1))
        if (!isFull(reason)) return
        full = reason
        stop.abort()
      },
    }),
  )
  await runProcesses(processes, wholeNumber('jobs', given.jobs) || availableParallelism(), stop.signal)
  interrupt.release()
  if (full) {
    const kept = 'what had ended is kept; make room, and the same command goes on from here'
    throw new SluiceError(command, `the disk is full (${full}); ${kept}`)
  }
  if (stop.signal.aborted) throw new SluiceError(command, 'stopped; the same command goes on from here')
  if (failures.length > 0) {
    throw new SluiceError(
      command,
      `${failures.length} of ${jobs.length} runs failed; the same command tries them again`,
    )
  }
}

/** Writes data, tables and report. */
async function writeStudy(folder: string, settings: StudySettings, runs: readonly StudyRun[]): Promise<void> {
  if (runs.length === 0) {
    console.log(`no run has ended in ${folder}: there is nothing to report yet`)
    return
  }
  const machine = `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} processors, Node ${process.version}`
  const data = studyData(settings, runs, { machine, createdAt: createdNow() })
  await keepText(command, join(folder, 'study.json'), `${JSON.stringify(data)}\n`)
  for (const [name, table] of Object.entries(studyTables(data))) {
    await keepText(command, join(folder, 'tables', `${name}.csv`), table)
  }
  const { renderStudy } = await import('../lab/study-report/report.ts')
  const report = join(folder, 'report.html')
  await keepText(command, report, renderStudy(data))
  console.log(`report: ${report}`)
}

/** Joins the runs of several folders. */
async function merge(folders: readonly string[], into: string): Promise<void> {
  if (folders.length === 0) throw new SluiceError(command, 'merge needs the folders of the shards')
  let settings: StudySettings | undefined
  const runs: StudyRun[] = []
  for (const folder of folders) {
    const here = await settingsIn(folder)
    if (!here) throw new SluiceError(command, `${folder} holds no study: there is no ${settingsFile(folder)}`)
    if (settings) checkSameStudy(settings, here, folder)
    settings = here
    runs.push(...(await finishedRuns(folder)))
  }
  const wanted = studyJobs(settings!).length
  const kept = gatherRuns(settings!, runs)
  console.log(`${kept.length} of ${wanted} runs`)
  await settle(into, settings!)
  for (const run of kept) await keepText(command, resultFile(into, run.name), `${JSON.stringify(run)}\n`)
  await writeStudy(into, settings!, kept)
}

const shown = (x: number | null | undefined, digits: number): string => (x == null ? '' : x.toFixed(digits))

/** The variants, each with its rows and what the paper prints of the first. */
function list(): void {
  const head = ['variant', 'rows', 'ppl', 'Δ loss', 'gate', 'M-Act', 'F-Attn', '']
  const lines = variants.map(({ name, title, rows, paper }) => [
    name,
    rows.join(', '),
    shown(paper?.perplexity, 3),
    shown(paper?.lossDifference, 4),
    shown(paper?.gateScore, 3),
    shown(paper?.massiveActivation, 0),
    shown(paper?.firstToken, 3),
    title,
  ])
  const widths = head.map((_, i) => Math.max(...[head, ...lines].map((cells) => cells[i]!.length)))
  for (const cells of [head, ...lines]) {
    console.log(
      cells
        .map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(i < 7 ? widths[i]! : 0)))
        .join('  ')
        .trimEnd(),
    )
  }
}

export const studyCommand = {
  summary: "measure the paper's variants over seeds, and write the report",
  usage,
  async run(given: string[]): Promise<void> {
    const text = { type: 'string' } as const
    const options = { preset: text, settings: text, data: text, variants: text, seeds: text, steps: text }
    const { values, positionals } = parseArgs({
      args: given,
      allowPositionals: true,
      options: { ...options, folder: text, jobs: text, shard: text, device: text, one: text },
    })
    const [verb, ...folders] = positionals
    if (verb === 'list') return list()
    const folder = values.folder ?? join('runs', `study-${values.preset ?? 'smoke'}`)
    if (verb === 'merge') return merge(folders, values.folder ?? join('runs', 'study-merged'))
    if (verb !== undefined) throw new SluiceError(command, noSuch('action', verb, ['merge', 'list']))
    if (values.one !== undefined) return runOne(folder, values.one, values.device)
    const [index, count] = shardGiven(values.shard)
    const settings = await asked(values)
    await settle(folder, settings)
    await runAll(folder, shardOf(studyJobs(settings), index, count), values)
    if (count > 1) console.log(`shard ${index} of ${count} has ended; sluice study merge joins the folders`)
    await writeStudy(folder, settings, await finishedRuns(folder))
  },
}
