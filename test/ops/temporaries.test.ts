/** What an operation makes on its way is gone when it returns, inside a scope or not; only its results are left. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { arb } from '../../src/check/index.ts'
import { findDevice } from '../../src/device/registry.ts'
import { checkLeaks, gatedAttention, operations, randn, sum, tensor } from '../../src/index.ts'
import { tensorsAmong } from '../../src/ops/record.ts'
import { RUNS, SEED } from '../check/runs.ts'

const held = () => findDevice('reference').statistics().buffers

describe('without gradients, every operation leaves its results alone', () => {
  test.each([...operations.keys()])('%s', (name) => {
    const record = operations.get(name)!
    fc.assert(
      fc.property(arb.arguments(record), (given) => {
        const before = held()
        const results = tensorsAmong([record.call(...(given as never[]))])
        for (const t of results) t.dispose()
        expect(held()).toBe(before)
      }),
      { numRuns: RUNS, seed: SEED },
    )
  })
})

test('a number stands for a tensor that goes with the operation', () => {
  const x = tensor([1, 2], { device: 'reference' })
  const before = held()
  x.mul(2).dispose()
  expect(held()).toBe(before)
  x.dispose()
})

test('checkLeaks names results, not what the graph keeps', () => {
  const q = randn([1, 3, 2, 4], { device: 'reference', requiresGrad: true })
  const kept: unknown[] = []
  const leaks = checkLeaks(() => {
    kept.push(sum(gatedAttention(q, q, q, q, { causal: true })))
  })
  expect(kept).toHaveLength(1)
  // The attended values, which sum was given, and the sum itself.
  expect(leaks.map(({ shape }) => shape)).toEqual([[1, 3, 2, 4], []])
  for (const leak of leaks) expect(leak.place).toMatch(/^temporaries\.test\.ts:\d+$/)
})
