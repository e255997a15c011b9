import { it } from 'vitest'
import { checkAll, formatTable } from '../../src/check/index.ts'
it('all', async () => {
  const rows = []
  let t = performance.now()
  const times: Record<string, number> = {}
  for await (const row of checkAll({ numRuns: Number(process.env.N ?? 20), seed: Number(process.env.SEED ?? 1) })) {
    rows.push(row)
    const now = performance.now()
    times[`${row.op} ${row.kind}`] = now - t
    times[`total ${row.kind}`] = (times[`total ${row.kind}`] ?? 0) + now - t
    t = now
  }
  console.log(formatTable(rows))
  console.log(Object.entries(times).sort((a, b) => b[1] - a[1]).slice(0, 40).map(([k, v]) => `${k}: ${v.toFixed(0)} ms`).join('\n'))
}, 600000)
