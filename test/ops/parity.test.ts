/** Every operation gives the same on cpu (float32, tuned) as on the reference device (float64, plain): forward and gradient. */
import { describe, expect, it } from 'vitest'
import { parity } from '../../src/check/index.ts'
import { operations } from '../../src/index.ts'
import { RUNS, SEED } from '../check/runs.ts'

describe('parity of reference and cpu', () => {
  it.each([...operations.values()].map((record) => [record.name, record] as const))('%s', async (_name, record) => {
    const seen = await parity(record, 'reference', 'cpu', { numRuns: RUNS, seed: SEED })
    expect(seen.cases).toBe(RUNS)
    expect(seen.worst).toBeLessThanOrEqual(1)
  })

  it('has a tolerance with a reason for every operation', () => {
    for (const { name, tolerance } of operations.values()) {
      expect(tolerance.why.length, name).toBeGreaterThan(10)
      // float32 cannot be better than this, and worse than 1e-3 would prove nothing.
      expect(tolerance.absolute, name).toBeGreaterThanOrEqual(2 ** -24)
      expect(tolerance.absolute, name).toBeLessThan(1e-3)
      expect(tolerance.relative, name).toBeLessThan(1e-3)
    }
  })
})
