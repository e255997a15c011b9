/** Every operation on gpu.js's WebAssembly against the reference: forward and gradients, within its record's tolerance. */
import { describe, expect, test } from 'vitest'
import { parity } from '../../src/check/index.ts'
import { operations } from '../../src/index.ts'

/** 200 samples of every operation with kernels of its own, and 100 of compositions, whose parts are among those. */
const runs = (composite: boolean): number => (composite ? 100 : 200)

describe('parity of reference and gpujs', () => {
  test.each([...operations.values()].map((record) => [record.name, record] as const))('%s', async (name, record) => {
    const cases = runs(record.composite)
    const found = await parity(record, 'reference', 'gpujs', { numRuns: cases })
    expect(found).toMatchObject({ op: name, devices: ['reference', 'gpujs'], cases })
    expect(found.worst).toBeLessThanOrEqual(1)
  })
})
