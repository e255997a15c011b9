/** Every operation on gpu.js's WebAssembly against the reference: forward and gradients, within its record's tolerance. */
import { describe, expect, test } from 'vitest'
import { parity } from '../../src/check/index.ts'
import { operations } from '../../src/index.ts'

/** Samples of each operation. gpu.js compiles a kernel anew for every size, which is what the time goes to. */
const RUNS = 200

describe('parity of reference and gpujs', () => {
  test.each([...operations.keys()])('%s', async (name) => {
    const found = await parity(name, 'reference', 'gpujs', { numRuns: RUNS })
    expect(found).toMatchObject({ op: name, devices: ['reference', 'gpujs'], cases: RUNS })
    expect(found.worst).toBeLessThanOrEqual(1)
  })
})
