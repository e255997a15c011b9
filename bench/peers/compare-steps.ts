/** `npm run bench`: the training step of our engine beside the peers', in interleaved rounds. */
import { readFile } from 'node:fs/promises'
import { thisMachine } from '../machine.ts'
import { type Engine, enginesOf } from './engines.ts'
import { findInstalled, showInstalled } from './installed.ts'
import type { Results } from './records.ts'
import { stepSettings } from './settings.ts'
import { stepTables } from './step-tables.ts'
import { agreement, type StepLine } from './steps.ts'
import { markdownOf, Report, takeTurns } from './turns.ts'

const TITLE = 'Training step on a cpu, beside other engines'

/** Measures, shows and writes; the exit code is 1 when losses of ours do not agree with the published ones. */
export async function compareSteps(args: string[]): Promise<void> {
  const settings = stepSettings(args)
  if (settings.tables !== undefined) {
    const results = JSON.parse(await readFile(settings.tables, 'utf8')) as Results<StepLine>
    console.log(markdownOf(TITLE, results, stepTables(results)))
    return
  }
  const installed = await findInstalled(settings)
  const machine = { ...thisMachine(), node: `v${installed.node.version}`, v8: installed.node.v8 }
  let results: Results<StepLine> = {
    machine,
    command: ['npm run bench --', ...args].join(' '),
    installed: showInstalled(installed),
    records: [],
    problems: [],
  }
  const report = new Report<StepLine>(TITLE, 'cpu-step', settings, machine.date, stepTables)
  const work = settings.configs.map((what) => ({
    what,
    command: (engine: Engine) => engine.step(what, settings.steps),
  }))
  await takeTurns<StepLine>(enginesOf(installed, settings), work, settings, async (records, problems) => {
    results = { ...results, records, problems }
    await report.write(results)
  })
  report.show(results)
  const ours = results.records.filter(({ family }) => family === 'Sluice')
  if (ours.length === 0 || ours.some(({ what, line }) => !agreement(what, line).agrees)) process.exitCode = 1
}
