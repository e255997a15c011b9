/** Arms, and quantities over their seeds. */
import { describe, expect, it } from 'vitest'
import { armsOf, bySeed, differenceOf, lossOf, spreadOf } from '../../../src/lab/study-report/arms.ts'
import { placesOf, rateOf, stableRate } from '../../../src/lab/study-report/sweep.ts'
import { made, seeds } from './small-study.ts'

const losses = (variant: string, values: number[]) => seeds(values, (loss) => ({ loss, job: { variant } }))

describe('arms', () => {
  it('are the baseline and then as they come, by rising seed', () => {
    const runs = [...losses('g5', [1, 2]).reverse(), ...losses('clip-300', [3]), ...losses('baseline', [4])]
    expect(armsOf(runs).map(({ variant, runs }) => [variant, runs.map(({ job }) => job.seed)])).toEqual([
      ['baseline', [1]],
      ['g5', [1, 2]],
      ['clip-300', [1]],
    ])
  })

  it('leave out what has no finite value', () => {
    const runs = [...losses('g5', [1, Number.NaN, 3, Number.POSITIVE_INFINITY]), made({ loss: null, job: { seed: 5 } })]
    expect([...bySeed(runs, lossOf)]).toEqual([
      [1, 1],
      [3, 3],
    ])
    expect(spreadOf(runs, lossOf)).toMatchObject({ mean: 2, values: [1, 3] })
    expect(spreadOf(runs, () => undefined)).toBeUndefined()
  })

  it('differ seed by seed', () => {
    const [ours, theirs] = [losses('g5', [1, 2, 4]), losses('baseline', [1.5, 3]).reverse()]
    const difference = differenceOf(ours, theirs, lossOf)!
    expect(difference.mean).toBeCloseTo(-0.75, 12)
    expect(difference.values).toEqual([-0.5, -1])
    expect(differenceOf(ours, [made({ job: { seed: 9 } })], lossOf)).toBeUndefined()
  })
})

describe('a sweep', () => {
  const at = (learningRate: number, values: (number | null)[]) =>
    values.map((loss, index) => made({ loss, job: { learningRate, seed: index + 1 } }))

  it('has the runs of each rate by rising rate, and how many diverged', () => {
    const places = placesOf([...at(0.004, [null, 3]), ...at(0.001, [2, 2.5])], rateOf)
    expect(places.map(({ x, loss, diverged }) => [x, loss?.mean, diverged])).toEqual([
      [0.001, 2.25, 0],
      [0.004, 3, 1],
    ])
  })

  it('has a largest stable rate, which no seed leaves', () => {
    expect(stableRate([...at(0.001, [2, 2]), ...at(0.002, [2, 2.1]), ...at(0.004, [2, null])])?.rate).toBe(0.002)
    expect(stableRate(at(0.004, [null, null]))?.rate).toBeNull()
    expect(stableRate([])).toBeUndefined()
  })
})
