/** Ticks of axes. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { linearTicks, logarithmicTicks } from '../../../src/lab/study-report/charts.ts'

describe('ticks', () => {
  const width = fc.double({ min: 1e-4, max: 1e6, noNaN: true })
  const about = fc.integer({ min: 3, max: 8 })

  it('lie within the range, evenly, and are about as many as asked', () => {
    fc.assert(
      fc.property(fc.double({ min: -1e6, max: 1e6, noNaN: true }), width, about, (low, range, count) => {
        // A range far smaller than its place has no ticks of twelve figures.
        fc.pre(range > Math.abs(low) * 1e-6)
        const ticks = linearTicks(low, low + range, count)
        const rounding = 1e-9 * (Math.abs(low) + range)
        expect(ticks.length).toBeLessThanOrEqual(count + 1)
        // A step is less than 2.5 times the one asked for.
        expect(ticks.length).toBeGreaterThanOrEqual(Math.floor(count / 2.5))
        for (const tick of ticks) {
          expect(tick).toBeGreaterThanOrEqual(low - rounding - range * 1e-6)
          expect(tick).toBeLessThanOrEqual(low + range + rounding + range * 1e-6)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('of a logarithmic axis lie within the range and are never none', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -8, max: 8, noNaN: true }),
        fc.double({ min: 0.3, max: 12 }),
        about,
        (at, decades, count) => {
          const [low, high] = [10 ** at, 10 ** (at + decades)]
          const ticks = logarithmicTicks(low, high, count)
          expect(ticks.length).toBeGreaterThan(0)
          expect(ticks.length).toBeLessThanOrEqual(count + 3)
          for (const tick of ticks) {
            expect(tick).toBeGreaterThanOrEqual(low * 0.99)
            expect(tick).toBeLessThanOrEqual(high * 1.01)
          }
        },
      ),
      { numRuns: 200 },
    )
  })

  it('are by hand', () => {
    expect(linearTicks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1])
    expect(linearTicks(-0.03, 0.01, 4)).toEqual([-0.03, -0.02, -0.01, 0, 0.01])
    expect(logarithmicTicks(8, 1200, 6)).toEqual([10, 20, 50, 100, 200, 500, 1000])
    expect(logarithmicTicks(1, 1e6, 3)).toEqual([1, 100, 1e4, 1e6])
  })
})
