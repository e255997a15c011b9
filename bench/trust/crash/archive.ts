/** A kill while the zip of a run is unpacked: it can be resumed from again, and nothing is taken for whole that is not. */
import { existsSync, watch } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { unfinished } from '../../../src/hub/files.ts'
import { packRun } from '../../../src/train/archive.ts'
import { readCheckpoint } from '../../../src/train/checkpoint.ts'
import { checkpointFolder } from '../../../src/train/run.ts'
import { lastLine } from '../child.ts'
import { type Chain, compareWithWhole, firstLine, type Whole } from './chain.ts'
import { logOf, startTrain, trainedText, trainToItsEnd } from './runs.ts'

/** The zip of a run as it was at its last checkpoint but one. */
async function archiveOf({ folder, setting }: Whole): Promise<Uint8Array> {
  const { steps, checkpointEvery } = setting.config as { steps: number; checkpointEvery: number }
  const step = steps - checkpointEvery
  const name = `step-${String(step).padStart(6, '0')}.safetensors`
  const checkpoint = await readCheckpoint(`${checkpointFolder(folder)}/${name}`)
  return packRun('run', checkpoint, (await logOf(folder)).slice(0, step), trainedText)
}

export interface UnpackKills extends Pick<Chain, 'losses' | 'numbers'> {
  /** Kills that left a folder which was not whole. */
  unpacking: number
  kills: number
}

/**
 * Kills sessions that unpack a zip, each time from the remains of the last kill, until the folder is there or three kills
 * were made; then lets one end.
 */
export async function killedUnpacking(cwd: string, whole: Whole, seed: number): Promise<UnpackKills> {
  await mkdir(cwd, { recursive: true })
  await writeFile(join(cwd, 'run.zip'), await archiveOf(whole))
  const result: UnpackKills = { losses: [], numbers: 0, kills: 0, unpacking: 0 }
  const lose = (what: string) => result.losses.push(`a zip, seed ${seed}: ${what}; see ${cwd}`)
  const place = { cwd, setting: whole.setting }
  const isThere = () => existsSync(join(cwd, 'run'))
  // Unpacking takes some 10 ms, most of it for the disk.
  const waits = fc.sample(fc.oneof(fc.constant(0), fc.noBias(fc.integer({ min: 0, max: 15 }))), { numRuns: 3, seed })
  for (const wait of waits) {
    if (isThere()) break
    let begun = false
    const child = startTrain(place, ['--resume', 'run.zip'])
    const watcher = watch(cwd, (_, name) => {
      if (begun || !name?.startsWith('run') || name === 'run.zip') return
      begun = true
      const kill = () => child.process.kill('SIGKILL')
      if (wait === 0) kill()
      else setTimeout(kill, wait).unref()
    })
    const ended = await child.ended
    watcher.close()
    if (ended.signal !== 'SIGKILL' || ended.hung) {
      lose(ended.hung ? 'the session hung' : `it ended with ${ended.code}: ${lastLine(ended.errors)}`)
      return result
    }
    result.kills++
    if (!isThere() && existsSync(join(cwd, `run${unfinished}`))) result.unpacking++
  }
  if (isThere()) {
    const refused = await trainToItsEnd(place, ['--resume', 'run.zip'])
    const answer =
      /^sluice train: run\.zip would be unpacked into run, which is there already: go on with --resume run[^\n]*\n$/
    if (refused.code !== 1 || !answer.test(refused.errors)) lose(`an unpacked zip is answered with: ${refused.errors}`)
  }
  const last = await trainToItsEnd(place, ['--resume', isThere() ? 'run' : 'run.zip'])
  if (last.code !== 0) lose(`it cannot be resumed: ${lastLine(last.errors)}`)
  else if (firstLine(last.output) !== whole.said) lose(`it says at its end: ${firstLine(last.output)}`)
  if (existsSync(join(cwd, `run${unfinished}`))) lose('the folder that was not finished is still there')
  await compareWithWhole(join(cwd, 'run'), whole, result, lose)
  // Nothing but the text that came with it can have been learned from.
  const text = await readFile(join(cwd, 'run', 'text.txt'), 'utf8').catch(() => '')
  if (text !== trainedText) lose('its text is not the one in the zip')
  return result
}
