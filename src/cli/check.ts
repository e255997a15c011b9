/** `sluice check`: proves the gradients of every operation, here and now. */
import { parseArgs } from 'node:util'
import { device } from '../device/registry.ts'
import { SluiceError } from '../errors.ts'
import { nearest } from '../nearest.ts'
import { operations } from '../ops/record.ts'
import { wholeNumber } from './options.ts'

const usage = `usage: sluice check --all [options]
       sluice check NAME [NAME …] [options]

  --all           every operation
  --device NAME   compare this device with the float64 reference; may be given more than once (default cpu)
  --runs N        random cases an operation and kind (default 200)
  --seed N        of the cases`

export const check = {
  summary: 'prove the gradient of every operation',
  usage,
  async run(given: string[]): Promise<void> {
    const { values, positionals } = parseArgs({
      args: given,
      allowPositionals: true,
      options: {
        all: { type: 'boolean' },
        device: { type: 'string', multiple: true },
        runs: { type: 'string' },
        seed: { type: 'string' },
      },
    })
    const { checkAll, formatTable } = await import('../check/index.ts').catch((error: Error) => {
      if (!error.message.includes('fast-check')) throw error
      throw new SluiceError(
        'sluice check',
        'this command draws its cases with fast-check; install it: npm install fast-check',
      )
    })
    const known = [...operations.keys()]
    const unknown = positionals.find((name) => !operations.has(name))
    if (unknown)
      throw new SluiceError(
        'sluice check',
        `there is no operation '${unknown}'; the nearest is ${nearest(unknown, known)}`,
      )
    if (!values.all && positionals.length === 0)
      throw new SluiceError('sluice check', 'name an operation, or give --all')
    const devices = values.device ?? ['cpu']
    for (const name of devices) await device(name)
    const names = values.all ? known : positionals
    const rows = []
    for await (const row of checkAll({
      devices,
      names,
      numRuns: wholeNumber('runs', values.runs),
      seed: wholeNumber('seed', values.seed),
    })) {
      rows.push(row)
      if (process.stderr.isTTY) process.stderr.write(`\r${row.op} on ${row.device}\x1b[K`)
    }
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
    console.log(formatTable(rows))
    if (rows.some((row) => row.failure)) process.exitCode = 1
  },
}
