/**
 * The process in which a target is tried: what it is given may end it.
 *
 *     node child.js try TARGET FOLDER SEED MILLISECONDS    prints what was found, as JSON
 *     node child.js read TARGET FOLDER FILE                reads one file, and prints what it took
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { SluiceError } from '../../../src/errors.ts'
import { fuzz } from './fuzz.ts'
import { guardCode, guardFiles, offences } from './guards.ts'
import { currentFile, type LossRecord, type ReadReport, type TryReport } from './report.ts'
import type { Target } from './target.ts'
import { targets } from './targets.ts'
import { Loss, processorTime, Trial } from './trial.ts'

async function readied(name: string, folder: string): Promise<Target> {
  const inside = join(folder, 'inside')
  await mkdir(inside)
  const target = await (await targets[name]!())(inside)
  // Compiles the program's own kernels, and loads what is loaded late, before either is an offence.
  for (const input of target.valid) await target.read(input)
  guardCode()
  guardFiles(inside)
  return target
}

async function tryTarget(name: string, folder: string, seed: number, milliseconds: number): Promise<TryReport> {
  const current = openSync(join(folder, currentFile), 'w')
  const target = await readied(name, folder)
  const header = Buffer.alloc(8)
  const trial = new Trial(target, (input) => {
    header.writeUInt32LE(header.readUInt32LE(0) + 1, 0)
    header.writeUInt32LE(input.length, 4)
    writeSync(current, header, 0, 8, 0)
    writeSync(current, input, 0, input.length, 8)
  })
  const losses: Loss[] = []
  const note = (error: unknown): void => {
    if (!(error instanceof Loss)) throw error
    losses.push(error)
  }
  const property = fc.asyncProperty(target.made, (input) => trial.attempt('made', input))
  const checked = await fc.check(property, {
    seed,
    numRuns: 1_000_000,
    interruptAfterTimeLimit: milliseconds / 2,
    markInterruptAsFailure: false,
  })
  // Interrupted before its first input it has failed too, with nothing.
  if (checked.failed && checked.errorInstance) note(checked.errorInstance)
  const { losses: fuzzed, kept, blocks } = await fuzz(target, trial, seed, milliseconds / 2)
  closeSync(current)
  const record = ({ message, input }: Loss): LossRecord => ({
    what: message,
    input: Buffer.from(input).toString('base64'),
  })
  return { findings: trial.findings, losses: [...losses, ...fuzzed].map(record), kept, blocks }
}

const peakBytes = (): number => process.resourceUsage().maxRSS * 1024

async function readOnce(name: string, folder: string, file: string): Promise<ReadReport> {
  const opened = openSync(file, 'r')
  const target = await readied(name, folder)
  const before = peakBytes()
  const begun = processorTime()
  let fault: string | undefined
  let isRead = false
  try {
    await target.read(readFileSync(opened))
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
    ? await tryTarget(name!, folder!, Number(last), Number(milliseconds))
    : await readOnce(name!, folder!, last!)
process.stdout.write(JSON.stringify(report), () => process.exit(0))
