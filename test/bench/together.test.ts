/** Models, captures and devices in one process do not disturb each other, whatever the order of their readings. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { together } from '../../bench/trust/soak/together.ts'
import { RUNS, SEED } from '../check/runs.ts'

it('programs on two devices, in any turns, come to the bits that each comes to alone', async () => {
  const counts = { runs: 0, programs: 0, turns: 0 }
  await fc.assert(together(['cpu', 'reference'], counts), { numRuns: RUNS, seed: SEED })
  // Else nothing was interleaved.
  expect(counts.turns).toBeGreaterThan(10 * counts.programs)
  // 15 s of one processor, which other tests share.
}, 300_000)
