/** Crash safety: training that is killed at any moment goes on from a whole checkpoint, to the bits of a run that was not. */
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { inParallel, lastLine } from './child.ts'
import { killedUnpacking, type UnpackKills } from './crash/archive.ts'
import { type Chain, firstLine, killedRun, type Whole } from './crash/chain.ts'
import { flippedBits, foreignFiles } from './crash/files.ts'
import { isSaving, paceOf, places } from './crash/kill.ts'
import { beginning, logOf, makePlace, remains, type Setting, settings, startTrain, withoutTime } from './crash/runs.ts'
import type { Scale, TrustRow, TrustSuite } from './row.ts'

/** Kills in all, and of one run; kills of sessions that unpack come on top. */
const sizes = {
  short: { kills: 12, ofOne: 6, settings: 2, unpackings: 1 },
  whole: { kills: 200, ofOne: 20, settings: settings.length, unpackings: 12 },
} as const

const seed = 20261130

/** Two processes of one thread: more would wait for each other on two cores, and moments are times. */
const atOnce = Math.min(2, availableParallelism())

async function undisturbed(cwd: string, setting: Setting): Promise<Whole> {
  const place = await makePlace(cwd, setting)
  const { pace, ended } = await paceOf(place.folder, () => startTrain(place, beginning))
  if (ended.code !== 0) throw new Error(`the run that nothing disturbs failed: ${lastLine(ended.errors)}`)
  const log = (await logOf(place.folder)).map(withoutTime)
  return {
    setting,
    pace,
    said: firstLine(ended.output),
    folder: place.folder,
    remains: await remains(place.folder),
    log,
  }
}

async function killedRuns(
  work: string,
  wholes: readonly Whole[],
  { kills, ofOne }: { readonly kills: number; readonly ofOne: number },
  note: (line: string) => void,
): Promise<TrustRow> {
  const chains: Chain[] = []
  const made = () => chains.reduce((sum, chain) => sum + chain.kills.length, 0)
  let runs = 0
  // A run may end before all of its kills; then there is one more.
  while (made() < kills && chains.every(({ losses }) => losses.length === 0)) {
    const missing = kills - made()
    const counts = Array.from({ length: Math.ceil(missing / ofOne) }, (_, i) => Math.min(ofOne, missing - i * ofOne))
    await inParallel(counts, atOnce, async (count) => {
      const run = runs++
      const chain = await killedRun(join(work, `run-${run}`), wholes[run % wholes.length], count, seed + run)
      chains.push(chain)
      for (const loss of chain.losses) note(loss)
      note(`run ${run}: ${chain.kills.length} kills, ${chain.kills.filter(isSaving).length} of them within a save`)
    })
  }
  const fell = chains.flatMap((chain) => chain.kills)
  const counts = places.map((place) => `${fell.filter((one) => one === place).length} ${place}`)
  const again = chains.reduce((sum, { begunAgain }) => sum + begunAgain, 0)
  const numbers = chains.reduce((sum, chain) => sum + chain.numbers, 0)
  const losses = chains.reduce((sum, chain) => sum + chain.losses.length, 0)
  return {
    test: 'training is killed (SIGKILL) and resumed: whole checkpoints, no line of the log lost, at the end the same bits',
    tries: fell.length,
    faults: `${fell.length} kills of ${runs} runs, ${fell.filter(isSaving).length} within a save: ${counts.join(', ')}; ${again} begun again`,
    losses,
    worst: `${losses === 0 ? 0 : 'some'} of ${numbers.toLocaleString('en')} numbers differ`,
  }
}

async function killedUnpackings(
  work: string,
  whole: Whole,
  count: number,
  note: (line: string) => void,
): Promise<TrustRow> {
  const results: UnpackKills[] = []
  await inParallel(
    Array.from({ length: count }, (_, i) => i),
    atOnce,
    async (i) => {
      const result = await killedUnpacking(join(work, `zip-${i}`), whole, seed + i)
      results.push(result)
      for (const loss of result.losses) note(loss)
    },
  )
  const sum = (of: (result: UnpackKills) => number) => results.reduce((total, result) => total + of(result), 0)
  const losses = sum((result) => result.losses.length)
  return {
    test: 'the same while the zip of a run is unpacked',
    tries: sum((result) => result.kills),
    faults: `${sum((result) => result.kills)} kills, ${sum((result) => result.unpacking)} of them half-way, of ${count} zips`,
    losses,
    worst: `${losses === 0 ? 0 : 'some'} of ${sum((result) => result.numbers).toLocaleString('en')} numbers differ`,
  }
}

export const crash: TrustSuite = {
  name: 'crash',
  async run(scale: Scale, note): Promise<TrustRow[]> {
    const size = sizes[scale]
    const work = await mkdtemp(join(tmpdir(), 'sluice-crash-'))
    const wholes: Whole[] = []
    await inParallel(settings.slice(0, size.settings), atOnce, async (setting) => {
      wholes.push(await undisturbed(join(work, `whole-${settings.indexOf(setting)}`), setting))
    })
    const withText = wholes.find(({ setting }) => setting === settings[0])!
    note(`an undisturbed run saves first after ${withText.pace.start.toFixed(0)} ms`)
    const rows = [
      await killedRuns(work, wholes, size, note),
      await killedUnpackings(work, withText, size.unpackings, note),
      await foreignFiles(join(work, 'foreign'), withText, note),
      await flippedBits(scale, note),
    ]
    if (rows.every(({ losses }) => losses === 0)) await rm(work, { recursive: true })
    else note(`what was lost is in ${work}`)
    return rows
  },
}
