/** `npm run bench:ops`: every operation of our engine; with `--peers`, the hot ones beside those of the peers. */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { benchCases } from './cases.ts'
import { setUpCpu } from './cpu.ts'
import { showMachine, thisMachine } from './machine.ts'
import { measureOperation, type OperationTime, showOperations } from './operations.ts'
import { json, positiveInteger, positiveIntegerOr } from './options.ts'
import { compareOperations } from './peers/compare-operations.ts'

export async function operationsCommand(args: string[]): Promise<void> {
  if (args.some((arg) => /^--(peers|tables)(=|$)/.test(arg))) return compareOperations(args)
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      threads: { type: 'string' },
      simd: { type: 'string' },
      time: { type: 'string', default: '200' },
      json: { type: 'string' },
    },
  })
  const milliseconds = positiveInteger('time', values.time)
  const cpu = setUpCpu({ threads: positiveIntegerOr('threads', values.threads, undefined), simd: values.simd })
  const machine = { ...thisMachine(), ...cpu }
  console.log(`${showMachine(machine)}; ${cpu.threads} threads, SIMD ${cpu.simd}`)
  const operations = await measureAll(milliseconds, values.only)
  if (values.json !== undefined) await writeFile(values.json, json({ machine, operations }))
}

async function measureAll(milliseconds: number, only: string | undefined): Promise<OperationTime[]> {
  const cases = benchCases().filter(({ name }) => only === undefined || name === only)
  if (cases.length === 0) throw new Error(`there is no public operation '${only}'`)
  const times: OperationTime[] = []
  for (const each of cases) {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${times.length + 1}/${cases.length} ${each.name}`)
    times.push(await measureOperation(each, milliseconds))
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  for (const group of ['operation', 'hot'] as const) {
    const part = times.filter((t) => t.group === group)
    if (part.length > 0) console.log(`\n${showOperations(part)}`)
  }
  return times
}
