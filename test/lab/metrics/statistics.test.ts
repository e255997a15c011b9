/** Intervals, fits and stable rates against published tables, hand-made cases and the coverage that they promise. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Generator } from '../../../src/index.ts'
import { fitPowerLaw, largestStableRate, meanInterval, pairedDifference } from '../../../src/lab/metrics/statistics.ts'
import { studentQuantile } from '../../../src/lab/metrics/student.ts'

describe('studentQuantile', () => {
  it.each([
    // Two-sided 95 %: NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2, and R's qt(0.975, ν).
    [1, 0.95, 12.7062],
    [2, 0.95, 4.30265],
    [3, 0.95, 3.18245],
    [4, 0.95, 2.77645],
    [5, 0.95, 2.57058],
    [9, 0.95, 2.26216],
    [10, 0.95, 2.22814],
    [30, 0.95, 2.04227],
    [100, 0.95, 1.98397],
    [1, 0.9, 6.31375],
    [8, 0.99, 3.35539],
  ])('is that of the tables: %i degrees of freedom, %f', (freedom, probability, known) => {
    // The tables are rounded to six digits.
    expect(Math.abs(studentQuantile(freedom, probability) / known - 1)).toBeLessThan(5e-6)
  })

  it('is exact where there is a formula: tan(π p / 2) for 1, p sqrt(2 / (1 - p²)) for 2', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 0.99, noNaN: true }), (p) => {
        // The angle is found to 2^-52 or so; the tangent near p = 0.99 multiplies its error by at most 64.
        expect(studentQuantile(1, p) / Math.tan((Math.PI * p) / 2)).toBeCloseTo(1, 12)
        expect(studentQuantile(2, p) / (p * Math.sqrt(2 / (1 - p * p)))).toBeCloseTo(1, 12)
      }),
      { numRuns: 200 },
    )
  })

  it('goes to the normal quantile 1.959964', () => {
    // t = z (1 + (z² + 1) / (4 ν) + ...): 1.2e-4 relative at ν = 10,000.
    expect(studentQuantile(10_000)).toBeCloseTo(1.959964 * (1 + 4.8415 / 40_000), 6)
  })

  it('needs whole degrees of freedom and a probability', () => {
    for (const freedom of [0, -1, 1.5, Number.NaN]) {
      expect(() => studentQuantile(freedom)).toThrow('freedom must be an integer from 1 up')
    }
    for (const p of [0, 1, -0.5, Number.NaN]) {
      expect(() => studentQuantile(3, p)).toThrow('probability must lie between 0 and 1')
    }
  })
})

describe('meanInterval', () => {
  it('is m ± t s / sqrt(n)', () => {
    const { mean, low, high } = meanInterval([1, 2, 3])
    expect(mean).toBe(2)
    // s = 1, t = 4.30265 for 2.
    expect(high - 2).toBeCloseTo(4.30265 / Math.sqrt(3), 5)
    expect(2 - low).toBeCloseTo(4.30265 / Math.sqrt(3), 5)
  })

  it('has no interval for one value, and no mean for none', () => {
    expect(meanInterval([7])).toEqual({ mean: 7, low: Number.NaN, high: Number.NaN })
    expect(meanInterval([])).toEqual({ mean: Number.NaN, low: Number.NaN, high: Number.NaN })
  })

  it('holds the true mean 95 times of 100', () => {
    const random = new Generator(1)
    const runs = 4000
    for (const n of [2, 3, 5]) {
      const held = Array.from({ length: runs }, () => {
        const { low, high } = meanInterval(Array.from(random.normal(n), (z) => 3 + 2 * z))
        return low <= 3 && 3 <= high
      }).filter(Boolean).length
      // Binomial: a standard deviation of sqrt(0.95 · 0.05 / 4000) = 0.0034; four of them.
      expect(Math.abs(held / runs - 0.95)).toBeLessThan(0.014)
    }
  })

  it('moves and stretches with its values', () => {
    const values = fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: 2, maxLength: 8 })
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 8 }), fc.integer({ min: -9, max: 9 }), (given, scale, shift) => {
        const one = meanInterval(given)
        const other = meanInterval(given.map((v) => scale * v + shift))
        expect(other.mean).toBeCloseTo(scale * one.mean + shift, 10)
        // t is at most 12.8: rounding of values up to 100 by 1e-14.
        expect(other.low).toBeCloseTo(scale * one.low + shift, 9)
        expect(other.high).toBeCloseTo(scale * one.high + shift, 9)
      }),
      { numRuns: 200 },
    )
  })
})

describe('pairedDifference', () => {
  it('takes seeds in pairs and leaves out those without a partner', () => {
    const of = new Map([
      [3, 2.5],
      [1, 2],
      [2, 4],
      [9, 100],
    ])
    const from = new Map([
      [1, 2.25],
      [2, 5],
      [3, 3],
      [8, -100],
    ])
    const { mean, low, high, pairs } = pairedDifference(of, from)
    expect(pairs).toBe(3)
    expect(mean).toBeCloseTo((-0.25 - 1 - 0.5) / 3, 14)
    const alone = meanInterval([-0.5, -0.25, -1])
    expect([low, high]).toEqual([alone.low, alone.high])
  })

  it('has no scatter where two differ by the same at every seed', () => {
    const seeds = [1, 2, 3, 4]
    const from = new Map(seeds.map((seed) => [seed, seed ** 2]))
    const of = new Map(seeds.map((seed) => [seed, seed ** 2 - 0.5]))
    expect(pairedDifference(of, from)).toEqual({ mean: -0.5, low: -0.5, high: -0.5, pairs: 4 })
  })

  it('says so when there is no pair, or one', () => {
    expect(pairedDifference(new Map([[1, 2]]), new Map([[2, 2]]))).toMatchObject({ mean: Number.NaN, pairs: 0 })
    expect(pairedDifference(new Map([[1, 2]]), new Map([[1, 1]]))).toEqual({
      mean: 1,
      low: Number.NaN,
      high: Number.NaN,
      pairs: 1,
    })
  })
})

describe('fitPowerLaw', () => {
  it('finds the law that the points lie on', () => {
    const exponents = fc.double({ min: -1, max: 1, noNaN: true })
    fc.assert(
      fc.property(exponents, fc.double({ min: 0.1, max: 10, noNaN: true }), (exponent, scale) => {
        const law = (x: number) => scale * x ** -exponent
        const fit = fitPowerLaw([1, 10, 100, 3000].map((x) => ({ x, loss: law(x) })))
        expect(fit.exponent).toBeCloseTo(exponent, 10)
        expect(fit.low).toBeCloseTo(exponent, 7)
        expect(fit.high).toBeCloseTo(exponent, 7)
        expect(fit.at(50) / law(50)).toBeCloseTo(1, 10)
      }),
      { numRuns: 200 },
    )
  })

  it('has the interval of a straight line by least squares', () => {
    // ln x 0, 1, 2, 3 and ln L 0, -1, -1, -2: slope -0.6, residuals 0.1, -0.3, 0.3, -0.1, sum of squares 0.2, spread 5,
    // standard error sqrt(0.2 / 2 / 5) = 0.141421, t for 2 is 4.30265.
    const points = [0, -1, -1, -2].map((y, i) => ({ x: Math.exp(i), loss: Math.exp(y) }))
    const { exponent, low, high } = fitPowerLaw(points)
    expect(exponent).toBeCloseTo(0.6, 12)
    expect(high - exponent).toBeCloseTo(4.30265 * Math.sqrt(0.02), 5)
    expect(exponent - low).toBeCloseTo(4.30265 * Math.sqrt(0.02), 5)
  })

  it('has no interval for two points, and refuses what is no line', () => {
    const two = fitPowerLaw([
      { x: 1, loss: 4 },
      { x: 4, loss: 2 },
    ])
    expect(two.exponent).toBeCloseTo(0.5, 14)
    expect(two.at(16)).toBeCloseTo(1, 14)
    expect([two.low, two.high]).toEqual([Number.NaN, Number.NaN])
    expect(() => fitPowerLaw([{ x: 2, loss: 1 }])).toThrow('a line needs two different x, got 2')
    expect(() =>
      fitPowerLaw([
        { x: 2, loss: 1 },
        { x: 2, loss: 3 },
      ]),
    ).toThrow('a line needs two different x, got 2, 2')
    for (const loss of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => fitPowerLaw([{ x: 1, loss }])).toThrow('fitPowerLaw: x and loss must be above 0 and finite')
    }
  })
})

describe('largestStableRate', () => {
  const sweep = (losses: Record<number, (number | null)[]>) =>
    Object.entries(losses).flatMap(([rate, runs]) => runs.map((loss) => ({ learningRate: Number(rate), loss })))

  it('is the last rate before one that diverges', () => {
    expect(largestStableRate(sweep({ 4: [null], 1: [2.1], 2: [2], 8: [2] }))).toEqual({
      rate: 2,
      best: { learningRate: 2, loss: 2 },
    })
  })

  it('counts a loss 0.2 above the best as diverged, as the paper does: 9.195 against 7.421', () => {
    const [low, high] = [Math.log(7.421), Math.log(9.195)]
    expect(largestStableRate(sweep({ 0.004: [low], 0.008: [high] })).rate).toBe(0.004)
    expect(largestStableRate(sweep({ 0.004: [low], 0.008: [high] }), 0.22).rate).toBe(0.008)
  })

  it('does not hold the high loss of a low rate against it', () => {
    expect(largestStableRate(sweep({ 1: [5], 2: [2], 4: [2.1] }))).toEqual({
      rate: 4,
      best: { learningRate: 2, loss: 2 },
    })
  })

  it('needs every seed of a rate to train', () => {
    expect(largestStableRate(sweep({ 1: [2, 2.1], 2: [1.9, null], 4: [2, 2] }))).toEqual({
      rate: 1,
      best: { learningRate: 1, loss: 2.05 },
    })
    expect(largestStableRate(sweep({ 1: [null, 2], 2: [2, 2] }))).toEqual({ rate: null, best: null })
    expect(largestStableRate(sweep({ 1: [2, 2], 2: [2, 2.3] })).rate).toBe(1)
    // Not even the best rate is stable when its seeds lie that far apart.
    expect(largestStableRate(sweep({ 1: [2, 2.6] })).rate).toBeNull()
  })

  it('has no rate where all diverge', () => {
    expect(largestStableRate(sweep({ 1: [null], 2: [Number.NaN] }))).toEqual({ rate: null, best: null })
    expect(() => largestStableRate([])).toThrow('largestStableRate: there are no runs')
  })
})
