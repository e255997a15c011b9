/** Every operation on gpu.js's WebAssembly against the reference: forward and gradients, within its record's tolerance. */
import { describe, expect, test } from 'vitest'
import { parity } from '../../src/check/index.ts'
import { operations } from '../../src/index.ts'

/** Samples of each operation. gpu.js compiles a kernel anew for every size, which is what the time goes to. */
const RUNS = 200
/** Of a composition, whose kernels are those of other records: what is new in it are its sizes. */
const COMPOSITE_RUNS = 50

describe('parity of reference and gpujs', () => {
  test.each([...operations.values()].map(({ name, composite }) => [name, composite ? COMPOSITE_RUNS : RUNS] as const))(
    '%s',
    async (name, numRuns) => {
      const found = await parity(name, 'reference', 'gpujs', { numRuns })
      expect(found).toMatchObject({ op: name, devices: ['reference', 'gpujs'], cases: numRuns })
      expect(found.worst).toBeLessThanOrEqual(1)
    },
  )
})
