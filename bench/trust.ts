/**
 * `npm run trust`: tries to break what is trusted, and prints one table: test, tries, faults injected, losses, worst figure.
 * Any loss is an error. The whole form, with `--write`, makes `docs/trust.md` and `bench/results/trust.json`; the gate runs the short one.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { showMachine, thisMachine } from './machine.ts'
import { someOf } from './options.ts'
import { formatTable } from './table.ts'
import { accuracySuite } from './trust/accuracy.ts'
import { crash } from './trust/crash.ts'
import { environments } from './trust/environments.ts'
import { hostile } from './trust/hostile.ts'
import { packageSuite } from './trust/package.ts'
import { type Tried, trustHeadings, trustPage } from './trust/page.ts'
import type { TrustSuite } from './trust/row.ts'
import { soakSuite } from './trust/soak.ts'

const suites: readonly TrustSuite[] = [accuracySuite, crash, soakSuite, hostile, environments, packageSuite]

const results = 'bench/results/trust.json'

const usage = `usage: npm run trust -- [options]

  --short       fewer tries
  --only NAMES  ${suites.map(({ name }) => name).join(', ')}
  --write       makes docs/trust.md; with --only, what was found of the others stays`

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
  if (values.write && values.short) throw new Error('--write takes the whole form')
  const tried: Tried[] = []
  for (const { name, run } of suites.filter((suite) => chosen.includes(suite.name))) {
    const begun = performance.now()
    const rows = await run(values.short ? 'short' : 'whole', (line) => console.error(`${name}: ${line}`))
    const seconds = Math.round((performance.now() - begun) / 1000)
    tried.push({ name, rows, seconds, machine: showMachine(thisMachine()) })
    console.error(`${name}: ${seconds} s`)
  }
  const rows = tried.flatMap((each) => each.rows)
  const cells = rows.map(({ test, tries, faults, losses, worst }) => [test, tries, faults, losses, worst])
  console.log(`\n${formatTable(trustHeadings, cells)}`)
  if (values.write) {
    const before = values.only ? (JSON.parse(await readFile(results, 'utf8')) as Tried[]) : []
    const all = names.flatMap((name) => [...tried, ...before].find((each) => each.name === name) ?? [])
    await writeFile(results, `${JSON.stringify(all, null, 1)}\n`)
    await writeFile('docs/trust.md', trustPage(all))
    console.error(`wrote docs/trust.md and ${results}`)
  }
  if (rows.some(({ losses }) => losses > 0)) process.exitCode = 1
}
