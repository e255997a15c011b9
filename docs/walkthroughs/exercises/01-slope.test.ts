import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gradientOf, slopeOf } from './01-slope.ts'

const number = fc.integer({ min: -40, max: 40 }).map((n) => n / 8)

describe('slopeOf', () => {
  it('finds 2x for x²', () => {
    fc.assert(
      fc.property(number, (x) => {
        expect(slopeOf((t) => t * t, x)).toBeCloseTo(2 * x, 5)
      }),
    )
  })

  it('nudges in both directions: of a cube at 0, half the step gives a quarter of the error', () => {
    const cube = (t: number) => t * t * t
    expect(slopeOf(cube, 0, 0.1)).toBeCloseTo(0.01, 10)
    expect(slopeOf(cube, 0, 0.05)).toBeCloseTo(0.0025, 10)
  })
})

describe('gradientOf', () => {
  it('nudges one input at a time', () => {
    fc.assert(
      fc.property(number, number, number, (a, b, c) => {
        const [da, db, dc] = gradientOf((x, y, z) => x * y + z, [a, b, c])
        expect([da, db, dc].map((d) => d.toFixed(4))).toEqual([b, a, 1].map((d) => (d + 0).toFixed(4)))
      }),
    )
  })

  it('leaves the inputs as they are', () => {
    const inputs = [1, 2]
    gradientOf((x, y) => x * y, inputs)
    expect(inputs).toEqual([1, 2])
  })
})
