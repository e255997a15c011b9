/** A run that is killed and resumed over and over, held against one that never was. */
import { readCheckpoint } from '../../../src/train/checkpoint.ts'
import { checkpointFolder } from '../../../src/train/run.ts'
import { type Ended, lastLine } from '../child.ts'
import { drawMoments, type KillPlace, killedAt, look, type Moment, type Pace, placeOf, showMoment } from './kill.ts'
import {
  beginning,
  differences,
  logOf,
  makePlace,
  numbersIn,
  type Place,
  remains,
  type Setting,
  startTrain,
  trainToItsEnd,
  withoutTime,
} from './runs.ts'

/** A run that nothing disturbed. */
export interface Whole {
  readonly setting: Setting
  readonly pace: Pace
  /** The first line that it printed. */
  readonly said: string
  /** The folder that it left. */
  readonly folder: string
  readonly remains: ReadonlyMap<string, string>
  /** Lines of its log, without times. */
  readonly log: readonly string[]
}

export const firstLine = (text: string): string => text.split('\n', 1)[0]

/** What happened to a chain of sessions. */
export interface Chain {
  readonly kills: KillPlace[]
  /** How often `--resume` had to say that there was nothing to go on from yet. */
  begunAgain: number
  /** What was lost, in words; empty when nothing was. */
  readonly losses: string[]
  /** Numbers that were compared at its end. */
  numbers: number
}

/**
 * Kills a run up to `count` times and lets it end. A run that ends before all of its kills gives the number it had.
 *
 * @param seed of the moments of its kills
 */
export async function killedRun(cwd: string, whole: Whole, count: number, seed: number): Promise<Chain> {
  const place = await makePlace(cwd, whole.setting)
  const { folder } = place
  const chain: Chain = { kills: [], begunAgain: 0, losses: [], numbers: 0 }
  const lose = (what: string, moment?: Moment) => {
    const when = moment ? `kill ${chain.kills.length} (${showMoment(moment)}): ` : ''
    chain.losses.push(`${whole.setting.name}, seed ${seed}, ${when}${what}; see ${cwd}`)
  }
  const expectFine = ({ code, hung, errors }: Ended, moment?: Moment) => {
    if (hung) lose('the session hung', moment)
    else if (code !== 0) lose(`the session ended with ${code}: ${lastLine(errors)}`, moment)
  }
  let done = false
  for (const moment of drawMoments(count, seed)) {
    const before = await look(folder)
    const given = before.steps.length > 0 ? ['--resume', 'runs/run'] : beginning
    const ended = await killedAt(folder, moment, whole.pace, () => startTrain(place, given))
    if (ended.signal !== 'SIGKILL' || ended.hung) {
      expectFine(ended, moment)
      done = true
      break
    }
    const after = await look(folder)
    chain.kills.push(await placeOf(folder, before, after))
    for (const what of await damage(place, whole, before.steps[0] ?? 0)) lose(what, moment)
    if (after.steps.length === 0) {
      const answer = await trainToItsEnd(place, ['--resume', 'runs/run'])
      if (answer.code !== 1 || !saysNothingSaved.test(answer.errors)) {
        lose(`--resume says of a run without a checkpoint (exit code ${answer.code}): ${answer.errors}`, moment)
      }
      chain.begunAgain++
    }
  }
  if (!done) {
    const { steps } = await look(folder)
    const last = await trainToItsEnd(place, steps.length > 0 ? ['--resume', 'runs/run'] : beginning)
    expectFine(last)
    if (firstLine(last.output) !== whole.said) lose(`it says at its end: ${firstLine(last.output)}`)
  }
  await compareWithWhole(folder, whole, chain, lose)
  return chain
}

/** The one sentence that a run which was killed before its first checkpoint is answered with. */
const saysNothingSaved = /^train: runs\/run holds no checkpoint: [^\n]*begun again, not resumed[^\n]*\n$/

export async function compareWithWhole(
  folder: string,
  whole: Whole,
  chain: Pick<Chain, 'numbers'>,
  lose: (what: string) => void,
): Promise<void> {
  try {
    const different = differences(whole.remains, await remains(folder))
    if (different.length > 0) lose(`differs from the run that was not killed in ${different.slice(0, 5).join(', ')}`)
    chain.numbers += await numbersIn(folder)
  } catch (error) {
    lose(`what it left cannot be read: ${(error as Error).message}`)
  }
}

/** What is wrong with the folder of a run that was killed: every checkpoint must be whole, and no line of its log lost. */
async function damage({ folder }: Place, whole: Whole, savedBefore: number): Promise<string[]> {
  const { steps } = await look(folder)
  const found: string[] = []
  for (const step of steps) {
    const path = `${checkpointFolder(folder)}/step-${String(step).padStart(6, '0')}.safetensors`
    await readCheckpoint(path).catch((error: Error) => found.push(error.message))
  }
  const [newest = 0] = steps
  if (newest < savedBefore) found.push(`step ${savedBefore} was saved, but the newest checkpoint is of step ${newest}`)
  const log = (await logOf(folder)).map(withoutTime)
  const first = log.findIndex((line, i) => line !== whole.log[i])
  if (first >= 0) found.push(`line ${first + 1} of the log is ${log[first]}`)
  if (log.length < newest) found.push(`the log has ${log.length} lines, but ${newest} steps were saved`)
  return found
}
