/**
 * `npm run trust`: tries to break what is trusted, and prints one table: test, tries, faults injected, losses, worst figure.
 * Any loss is an error. The whole form, with `--write`, makes `docs/trust.md`; the gate runs the short one.
 */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { showMachine, thisMachine } from './machine.ts'
import { someOf } from './options.ts'
import { formatTable } from './table.ts'
import { packageSuite } from './trust/package.ts'
import { trustHeadings, trustPage } from './trust/page.ts'
import type { TrustRow, TrustSuite } from './trust/row.ts'

const suites: readonly TrustSuite[] = [packageSuite]

const usage = `usage: npm run trust -- [options]

  --short       fewer tries
  --only NAMES  ${suites.map(({ name }) => name).join(', ')}
  --write       makes docs/trust.md of a whole run`

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    only: { type: 'string' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  console.log(usage)
} else {
  const names = suites.map(({ name }) => name)
  const chosen = someOf('only', values.only, names)
  if (values.write && (values.short || values.only)) throw new Error('--write takes a whole run of everything')
  const rows: TrustRow[] = []
  for (const { name, run } of suites.filter((suite) => chosen.includes(suite.name))) {
    const begun = performance.now()
    rows.push(...(await run(values.short ? 'short' : 'whole', (line) => console.error(`${name}: ${line}`))))
    console.error(`${name}: ${((performance.now() - begun) / 1000).toFixed(0)} s`)
  }
  const cells = rows.map(({ test, tries, faults, losses, worst }) => [test, tries, faults, losses, worst])
  console.log(`\n${formatTable(trustHeadings, cells)}`)
  if (values.write) {
    await writeFile('docs/trust.md', trustPage(rows, showMachine(thisMachine())))
    console.error('wrote docs/trust.md')
  }
  if (rows.some(({ losses }) => losses > 0)) process.exitCode = 1
}
