import fc from 'fast-check'
import { gatedDeltaRule, ones, tensor, zeros } from 'sluice'
import { expect, it } from 'vitest'
import { halfLife, left, logDecay } from './09-half-life.ts'

const g = fc.integer({ min: -24, max: -1 }).map((n) => n / 8)

it('knows that e^(-log 2) is a half', () => {
  expect(halfLife(-Math.LN2)).toBeCloseTo(1, 12)
  expect(logDecay(1)).toBeCloseTo(-Math.LN2, 12)
  expect(left([-Math.LN2, -Math.LN2])).toBeCloseTo(0.25, 12)
})

it('never forgets at g = 0', () => {
  expect(halfLife(0)).toBe(Number.POSITIVE_INFINITY)
  expect(logDecay(Number.POSITIVE_INFINITY) + 0).toBe(0)
})

it('goes there and back', () => {
  fc.assert(
    fc.property(g, (given) => {
      expect(logDecay(halfLife(given))).toBeCloseTo(given, 12)
    }),
  )
})

it('is what the memory does: with beta 0 it only fades', async () => {
  const device = 'reference'
  await fc.assert(
    fc.asyncProperty(fc.array(g, { minLength: 1, maxLength: 8 }), async (gs) => {
      const T = gs.length
      const one = ones([1, T, 1, 1], { device })
      const { state } = gatedDeltaRule(
        one,
        one,
        one,
        tensor(gs, { shape: [1, T, 1], device }),
        zeros([1, T, 1], { device }),
        {
          state: ones([1, 1, 1, 1], { device }),
        },
      )
      expect(left(gs)).toBeCloseTo((await state.data())[0], 12)
    }),
  )
})
