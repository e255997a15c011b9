/** `together` in a process of its own: `node together-command.js cpu,webgpu RUNS SEED` prints what was tried, as JSON. */
import fc from 'fast-check'
import { device } from '../../../src/index.ts'
import { type TogetherCounts, together } from './together.ts'

const [names, runs, seed] = process.argv.slice(2)
const [a, b] = names.split(',')
for (const name of [a, b]) await device(name)
const counts: TogetherCounts = { runs: 0, programs: 0, turns: 0 }
const details = await fc.check(together([a, b], counts), { numRuns: Number(runs), seed: Number(seed) })
console.log(JSON.stringify({ ...counts, lost: details.failed ? fc.defaultReportMessage(details) : null }))
