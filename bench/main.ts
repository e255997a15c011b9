/** The command line of the benches: `step`, `ops`, or both. */
import { mkdir, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { benchCases } from './cases.ts'
import { type HashModelName, hashModelSizes } from './hash-model.ts'
import { showMachine, thisMachine } from './machine.ts'
import { measureOperation, type OperationTime, showOperations } from './operations.ts'
import { lossAgreement, measureStep, type StepTime, showSteps } from './step.ts'

const usage = `usage: npm run bench        [-- --time MS] [--save]
       npm run bench:step   [-- --config tiny|small|medium] [--steps N] [--json]
       npm run bench:ops    [-- --only NAME] [--time MS] [--json FILE]

  --config NAME  one model (tiny and small unless given)
  --steps N      training steps (60 tiny, 25 small, 5 medium unless given)
  --only NAME    one operation
  --time MS      for each operation and pass (200 unless given, about a minute in all; 60 for npm run bench)
  --json         print each step's result as a line of JSON
  --json FILE    write the operations' times to a file
  --save         write both results to bench/results/<date>-cpu.json`

function positiveInteger(option: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new Error(`--${option} must be a positive integer, got '${text}'`)
  }
  return value
}

function namedConfig(name: string): HashModelName {
  if (Object.hasOwn(hashModelSizes, name)) return name as HashModelName
  throw new Error(`there is no config '${name}'; there are ${Object.keys(hashModelSizes).join(', ')}`)
}

/** Measures and prints; sets the exit code when losses do not agree. */
async function benchSteps(
  names: readonly HashModelName[],
  steps: number | undefined,
  json: boolean,
): Promise<StepTime[]> {
  const times: StepTime[] = []
  for (const name of names) {
    const time = await measureStep(name, steps)
    times.push(time)
    const { agrees, message } = lossAgreement(time)
    if (!agrees) process.exitCode = 1
    if (json) console.log(JSON.stringify(time))
    console.error(message)
  }
  if (!json) console.log(`\n${showSteps(times)}\n`)
  return times
}

async function benchOperations(time: number, only: string | undefined): Promise<OperationTime[]> {
  const cases = benchCases().filter(({ name }) => only === undefined || name === only)
  if (cases.length === 0) throw new Error(`there is no public operation '${only}'`)
  const times: OperationTime[] = []
  for (const each of cases) {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${times.length + 1}/${cases.length} ${each.name}`)
    times.push(await measureOperation(each, time))
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  for (const group of ['operation', 'hot'] as const) {
    const part = times.filter((t) => t.group === group)
    if (part.length > 0) console.log(`\n${showOperations(part)}`)
  }
  return times
}

/** Indented; numbers to 6 digits, more than any of these measurements has. */
const json = (value: unknown): string => {
  const shorter = (_: string, x: unknown) => (typeof x === 'number' ? Number(x.toPrecision(6)) : x)
  return `${JSON.stringify(value, shorter, 2)}\n`
}

async function stepCommand(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { config: { type: 'string' }, steps: { type: 'string' }, json: { type: 'boolean', default: false } },
  })
  const names: HashModelName[] = values.config === undefined ? ['tiny', 'small'] : [namedConfig(values.config)]
  const steps = values.steps === undefined ? undefined : positiveInteger('steps', values.steps)
  if (!values.json) console.log(showMachine(thisMachine()))
  await benchSteps(names, steps, values.json)
}

async function operationsCommand(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { only: { type: 'string' }, time: { type: 'string', default: '200' }, json: { type: 'string' } },
  })
  const machine = thisMachine()
  console.log(showMachine(machine))
  const operations = await benchOperations(positiveInteger('time', values.time), values.only)
  if (values.json !== undefined) await writeFile(values.json, json({ machine, operations }))
}

async function bothCommand(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { time: { type: 'string', default: '60' }, save: { type: 'boolean', default: false } },
  })
  const machine = thisMachine()
  console.log(showMachine(machine))
  const milliseconds = positiveInteger('time', values.time)
  // Steps first, so that their memory is theirs.
  const steps = await benchSteps(['tiny', 'small'], undefined, false)
  const operations = await benchOperations(milliseconds, undefined)
  if (!values.save) return
  const file = `bench/results/${machine.date.slice(0, 10)}-cpu.json`
  await mkdir('bench/results', { recursive: true })
  await writeFile(file, json({ machine, steps, operations }))
  console.log(`\nwrote ${file}`)
}

const commands: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  step: stepCommand,
  ops: operationsCommand,
  both: bothCommand,
}

const [name = 'both', ...rest] = process.argv.slice(2)
const command = commands[name]
try {
  if (!command || rest.includes('--help')) console.log(usage)
  else await command(rest)
} catch (error) {
  console.error(error instanceof Error ? `bench: ${error.message} (--help lists the options)` : error)
  process.exitCode = 1
}
