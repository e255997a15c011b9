/**
 * One case of `operation-cases.ts` on our cpu device, in a process of its own: prints a line of JSON.
 *
 *   node operation-sluice.js '{"case": {…}, "time": 300, "threads": 2, "simd": "wide"}'
 */
import { setUpCpu } from '../cpu.ts'
import { thisMachine } from '../machine.ts'
import { measureCase } from './measure-case.ts'
import type { OperationLine, OperationTask } from './operation-cases.ts'

const largestMemory = () => Math.round(process.resourceUsage().maxRSS / 1024)

const task = JSON.parse(process.argv[2]) as OperationTask & { threads: number; simd: string }
const rssAtStart = largestMemory()
const cpu = setUpCpu(task)
const measured = measureCase(task.case, task.time)
const line: OperationLine = {
  lib: `sluice-${thisMachine().sluice}-${cpu.simd}`,
  ...measured,
  rss_mb: largestMemory(),
  rss_start_mb: rssAtStart,
}
console.log(JSON.stringify(line))
