/**
 * The process in which a target is tried: what it is given may end it.
 *
 *     node child.js try 'TARGET;...' FOLDER SEED MILLISECONDS    prints what was found of each, as JSON
 *     node child.js read TARGET FOLDER FILE                      reads one file, and prints what it took
 */
import { openSync, readFileSync, writeSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { SluiceError } from '../../../src/errors.ts'
import { fuzz } from './fuzz.ts'
import { guardCode, guardFiles, offences } from './guards.ts'
import { currentFile, currentHeader, type LossRecord, type ReadReport, type TryReport } from './report.ts'
import type { Target } from './target.ts'
import { targets } from './targets.ts'
import { Loss, processorTime, Trial } from './trial.ts'

/** Targets, each in a folder of its own; from here on all that they must not do is noted. */
async function readied(names: readonly string[], folder: string): Promise<Target[]> {
  const all: Target[] = []
  for (const [i, name] of names.entries()) {
    const inside = join(folder, 'inside', String(i))
    await mkdir(inside, { recursive: true })
    const target = await (await targets[name]!())(inside)
    // Compiles the program's own kernels, and loads what is loaded late, before either is an offence.
    for (const input of target.valid) await target.read(input)
    all.push(target)
  }
  guardCode()
  guardFiles(join(folder, 'inside'))
  return all
}

const record = ({ message, input }: Loss): LossRecord => ({
  what: message,
  input: Buffer.from(input).toString('base64'),
})

async function tryTarget(trial: Trial, target: Target, seed: number, milliseconds: number): Promise<TryReport> {
  const losses: Loss[] = []
  const property = fc.asyncProperty(target.made, (input) => trial.attempt('made', input))
  // By the processor's time, so that as much is tried on a busy machine as on a quiet one.
  const end = processorTime() + milliseconds / 2
  for (let round = 0; processorTime() < end && losses.length === 0; round++) {
    const { failed, errorInstance } = await fc.check(property, { seed: seed + round, numRuns: 20 })
    if (failed && !(errorInstance instanceof Loss)) throw errorInstance
    if (failed) losses.push(errorInstance as Loss)
  }
  const { losses: fuzzed, kept, blocks } = await fuzz(target, trial, seed, milliseconds / 2)
  return { findings: trial.findings, losses: [...losses, ...fuzzed].map(record), kept, blocks }
}

async function tryAll(names: readonly string[], folder: string, seed: number, milliseconds: number) {
  const current = openSync(join(folder, currentFile), 'w')
  const all = await readied(names, folder)
  const header = Buffer.alloc(currentHeader)
  const reports: TryReport[] = []
  for (const [i, target] of all.entries()) {
    const trial = new Trial(target, (input) => {
      header.writeUInt32LE(header.readUInt32LE(0) + 1, 0)
      header.writeUInt32LE(input.length, 4)
      header.writeUInt32LE(i, 8)
      writeSync(current, header, 0, header.length, 0)
      writeSync(current, input, 0, input.length, header.length)
    })
    reports.push(await tryTarget(trial, target, seed, milliseconds))
  }
  return reports
}

const peakBytes = (): number => process.resourceUsage().maxRSS * 1024

async function readOnce(name: string, folder: string, file: string): Promise<ReadReport> {
  const opened = openSync(file, 'r')
  const [target] = await readied([name], folder)
  const before = peakBytes()
  const begun = processorTime()
  let fault: string | undefined
  let isRead = false
  try {
    await target!.read(readFileSync(opened))
    isRead = true
  } catch (error) {
    if (!(error instanceof SluiceError)) fault = String((error as Error).stack ?? error).slice(0, 500)
  }
  const milliseconds = processorTime() - begun
  return { isRead, fault: fault ?? offences[0], milliseconds, peak: peakBytes() - before }
}

const [, , what, name, folder, last, milliseconds] = process.argv as string[]
const report =
  what === 'try'
    ? await tryAll(name!.split(';'), folder!, Number(last), Number(milliseconds))
    : await readOnce(name!, folder!, last!)
process.stdout.write(JSON.stringify(report), () => process.exit(0))
