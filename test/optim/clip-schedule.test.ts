/** Gradient clipping, and schedules at their corner points. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import { tensor } from '../../src/index.ts'
import { clipGradNorm, constantSchedule, cosineSchedule, linearSchedule } from '../../src/optim/index.ts'
import { distance, parameterOf, problem, setGradient } from './oracle.ts'

describe('clipGradNorm', () => {
  it('scales all gradients together to the norm', async () => {
    const maxNorms = fc.double({ min: 1e-2, max: 10, noNaN: true })
    await fc.assert(
      fc.asyncProperty(problem, problem, maxNorms, async (one, two, maxNorm) => {
        const parameters = [parameterOf(one), parameterOf(two)]
        const gradients = [one.gradients[0], two.gradients[0]]
        parameters.forEach((p, i) => {
          setGradient(p, gradients[i])
        })
        using norm = clipGradNorm(parameters, maxNorm)
        const expected = Math.sqrt(gradients.flat().reduce((sum, g) => sum + g * g, 0))
        // Sums of at most 32 squares in float64: 32 roundings of 1.1e-16 each, on both sides.
        expect(distance([await norm.item()], [expected])).toBeLessThan(1e-14)
        const scale = Math.min(1, maxNorm / (expected + 1e-6))
        for (const [i, p] of parameters.entries()) {
          const actual = await p.grad!.data()
          const scaled = gradients[i].map((g) => g * scale)
          expect(distance(actual, scaled)).toBeLessThan(1e-14)
          p.dispose()
        }
      }),
      { numRuns: 200 },
    )
  })

  it('leaves small gradients exactly as they are, and passes over parameters without one', async () => {
    const [a, b] = [tensor([0.3, 0.4], { requiresGrad: true }), tensor([1], { requiresGrad: true })]
    setGradient(a, [0.25, 0.5])
    using norm = clipGradNorm([a, b], 1)
    expect(await norm.item()).toBeCloseTo(Math.hypot(0.25, 0.5), 6)
    expect([...(await a.grad!.data())]).toEqual([0.25, 0.5])
    expect(b.grad).toBeNull()
    a.dispose()
    b.dispose()
  })

  it('only measures with Infinity, gives 0 without gradients, and keeps the buffer count', async () => {
    const device = findDevice('cpu')
    const a = tensor([3, 4], { requiresGrad: true })
    using none = clipGradNorm([a], 1)
    expect(await none.item()).toBe(0)
    setGradient(a, [3, 4])
    using norm = clipGradNorm([a], Infinity)
    expect(await norm.item()).toBe(5)
    expect([...(await a.grad!.data())]).toEqual([3, 4])
    const before = device.statistics()
    clipGradNorm([a], 1).dispose()
    expect(device.statistics()).toEqual(before)
    expect(() => clipGradNorm([a], 0)).toThrow(/^clipGradNorm: maxNorm must be above 0, got 0/)
    a.dispose()
  })
})

describe('schedules', () => {
  const settings = { peak: 1, warmup: 4, total: 12, floor: 0.25 }

  it('warm up in equal steps, from above 0 to the peak', () => {
    for (const rate of [cosineSchedule(settings), linearSchedule(settings), constantSchedule(settings)]) {
      expect([0, 1, 2, 3, 4].map(rate)).toEqual([0.2, 0.4, 0.6, 0.8, 1])
    }
  })

  it('meet the middle, the floor, and stay there', () => {
    const [cosine, linear, constant] = [cosineSchedule(settings), linearSchedule(settings), constantSchedule(settings)]
    expect(cosine(8)).toBeCloseTo(0.625, 12)
    expect(cosine(6)).toBeCloseTo(0.25 + 0.75 * 0.5 * (1 + Math.SQRT1_2), 12)
    expect(linear(6)).toBeCloseTo(0.8125, 12)
    for (const rate of [cosine, linear]) expect([12, 13, 1000].map(rate)).toEqual([0.25, 0.25, 0.25])
    expect([5, 12, 1000].map(constant)).toEqual([1, 1, 1])
  })

  it('start at the peak without a warm-up, and fall to 0 unless a floor is given', () => {
    const rate = cosineSchedule({ peak: 2, total: 10 })
    expect(rate(0)).toBe(2)
    expect(rate(10)).toBe(0)
  })

  it('never rise after the warm-up', () => {
    const whole = fc.record({ warmup: fc.nat(20), extra: fc.integer({ min: 1, max: 50 }) })
    fc.assert(
      fc.property(whole, fc.boolean(), ({ warmup, extra }, cosine) => {
        const options = { peak: 1, warmup, total: warmup + extra, floor: 0.1 }
        const rate = cosine ? cosineSchedule(options) : linearSchedule(options)
        for (let s = warmup; s < options.total + 2; s++) expect(rate(s + 1)).toBeLessThanOrEqual(rate(s))
      }),
      { numRuns: 200 },
    )
  })

  it('refuse settings that make no sense', () => {
    expect(() => cosineSchedule({ peak: -1, total: 1 })).toThrow(/^cosineSchedule: peak must be a finite number from 0/)
    expect(() => linearSchedule({ peak: 1, total: 2.5 })).toThrow(/total must be an integer from 0 up, got 2.5/)
    expect(() => cosineSchedule({ peak: 1, warmup: 5, total: 4 })).toThrow(/warmup 5 is longer than the total of 4/)
    expect(() => constantSchedule({ peak: Number.NaN })).toThrow(/^constantSchedule: peak must be a finite number/)
  })
})
