/** The same as test/bench/together.test.ts, of webgpu beside cpu. */
import fc from 'fast-check'
import { beforeAll, it } from 'vitest'
import { together } from '../../bench/trust/soak/together.ts'
import { SEED } from '../check/runs.ts'
import { describeWebgpu } from './adapter.ts'
import { openWebgpu } from './launch.ts'

describeWebgpu('on webgpu', () => {
  beforeAll(async () => {
    await openWebgpu()
  })

  it('programs on webgpu and cpu, in any turns, come to the bits that each comes to alone', async () => {
    // A software adapter is slow; `npm run trust` has many more.
    await fc.assert(together(['webgpu', 'cpu'], undefined), { numRuns: 4, seed: SEED })
  })
})
