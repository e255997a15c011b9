import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { excesses, spikes } from '../../../src/lab/metrics.ts'

describe('spikes', () => {
  it('counts the points above the median of those before', () => {
    // Flat at 2 with three jumps; a median over 4 points does not see one or two of them.
    const losses = [2, 2, 2, 2, 2.25, 2, 2, 2.75, 2, 2, 2, 2.125]
    expect(spikes(losses, { window: 4 })).toEqual({
      points: 8,
      count: { '0.1': 3, '0.2': 2, '0.5': 1 },
      rate: { '0.1': 3 / 8, '0.2': 2 / 8, '0.5': 1 / 8 },
      maximum: 0.75,
    })
    expect(spikes(losses, { window: 4, warmup: 8, thresholds: [0.1] })).toEqual({
      points: 4,
      count: { '0.1': 1 },
      rate: { '0.1': 1 / 4 },
      maximum: 0.125,
    })
  })

  it('takes the mean of the middle two of an even window', () => {
    expect(excesses([1, 2, 4, 8, 10], { window: 4 })).toEqual([{ index: 4, excess: 7 }])
    expect(excesses([1, 2, 4, 8, 10], { window: 3 })).toEqual([
      { index: 3, excess: 6 },
      { index: 4, excess: 6 },
    ])
  })

  it('has a window of 50, and thresholds as the study of the paper curves has them', () => {
    const losses = [...new Array<number>(60).fill(3), 3.15]
    expect(spikes(losses)).toEqual({
      points: 11,
      count: { '0.1': 1, '0.2': 0, '0.5': 0 },
      rate: { '0.1': 1 / 11, '0.2': 0, '0.5': 0 },
      maximum: 3.15 - 3,
    })
  })

  it('finds none in a loss that falls, and every one that is put in', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 5, max: 9 }),
        fc.uniqueArray(fc.integer({ min: 10, max: 99 }), { maxLength: 2 }),
        (window, places) => {
          const falling = Array.from({ length: 100 }, (_, t) => 4 - t / 100)
          const calm = spikes(falling, { window })
          expect(calm.count).toEqual({ '0.1': 0, '0.2': 0, '0.5': 0 })
          expect(calm.maximum).toBeLessThan(0)
          // The slope over a window is below 0.1, and two points cannot move a median over five or more by more than that.
          const spiked = falling.map((loss, t) => (places.includes(t) ? loss + 0.35 : loss))
          expect(spikes(spiked, { window }).count).toMatchObject({ '0.2': places.length, '0.5': 0 })
        },
      ),
      { numRuns: 200 },
    )
  })

  it('stops where the run diverged', () => {
    const losses = [2, 2, 2, 2.5, Number.NaN, 9, 9, 9]
    expect(spikes(losses, { window: 2, thresholds: [0.1] })).toEqual({
      points: 2,
      count: { '0.1': 1 },
      rate: { '0.1': 0.5 },
      maximum: 0.5,
    })
  })

  it('says nothing of a curve that is too short, and refuses what is no count', () => {
    expect(spikes([2, 2, 2])).toEqual({
      points: 0,
      count: { '0.1': 0, '0.2': 0, '0.5': 0 },
      rate: { '0.1': Number.NaN, '0.2': Number.NaN, '0.5': Number.NaN },
      maximum: Number.NaN,
    })
    expect(() => spikes([1], { warmup: -1 })).toThrow('spikes: warmup must be an integer from 0 up, got -1')
    expect(() => spikes([1], { window: 0 })).toThrow('spikes: window must be an integer from 1 up, got 0')
  })
})
