/** `npm run bench:ops -- --peers FOLDER`: the hot operations of our engine beside the peers', in interleaved rounds. */
import { readFile } from 'node:fs/promises'
import { thisMachine } from '../machine.ts'
import { type Engine, enginesOf } from './engines.ts'
import { findInstalled, showInstalled } from './installed.ts'
import { chosenCases, type OperationLine } from './operation-cases.ts'
import { disagreements, operationTables } from './operation-tables.ts'
import type { Results } from './records.ts'
import { operationSettings } from './settings.ts'
import { markdownOf, Report, takeTurns } from './turns.ts'

const TITLE = 'Operations on a cpu, beside other engines'

/** Measures, shows and writes; the exit code is 1 when the engines found different values. */
export async function compareOperations(args: string[]): Promise<void> {
  const settings = operationSettings(args)
  if (settings.tables !== undefined) {
    const results = JSON.parse(await readFile(settings.tables, 'utf8')) as Results<OperationLine>
    console.log(markdownOf(TITLE, results, operationTables(results)))
    return
  }
  const cases = chosenCases(settings.only)
  const installed = await findInstalled(settings)
  const machine = { ...thisMachine(), node: `v${installed.node.version}`, v8: installed.node.v8 }
  let results: Results<OperationLine> = {
    machine,
    command: ['npm run bench:ops --', ...args].join(' '),
    installed: showInstalled(installed),
    records: [],
    problems: [],
  }
  const report = new Report<OperationLine>(TITLE, 'cpu-operations', settings, machine.date, operationTables)
  const work = cases.map((given) => ({
    what: given.row,
    command: (engine: Engine) => engine.operation({ case: given, time: settings.time }),
  }))
  await takeTurns<OperationLine>(enginesOf(installed, settings), work, settings, async (records, problems) => {
    results = { ...results, records, problems }
    await report.write(results)
  })
  report.show(results)
  const different = disagreements(results.records)
  for (const each of different) console.error(each)
  if (different.length > 0 || !results.records.some(({ family }) => family === 'Sluice')) process.exitCode = 1
}
