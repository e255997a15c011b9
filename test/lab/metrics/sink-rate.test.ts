import { describe, expect, it } from 'vitest'
import { sinkRate, sinkRateOf } from '../../../src/lab/metrics.ts'
import { batch, causal, deltaLayer, layerOf, modelOf } from './readings.ts'

describe('sinkRateOf', () => {
  const T = 6
  const uniform = causal(T, (i) => 1 / (i + 1))
  /** All attention of query i on key k where it sees it, on itself before. */
  const on = (k: number) => causal(T, (i, j) => (j === (i >= k ? k : i) ? 1 : 0))

  it('counts the heads whose sink a key is', () => {
    const layers = [layerOf([[on(0), on(2), uniform]]), deltaLayer, layerOf([[on(0), uniform, uniform]])]
    expect(sinkRateOf(layers, { B: 1, T }, { epsilon: 0.41 })).toEqual({
      perKey: [2 / 6, 0, 1 / 6, 0, 0, 0],
      ofFirst: 2 / 6,
      any: 3 / 6,
    })
    // Uniform attention gives key 0 H_6 / 6 = 0.408 and key 1 (H_6 - 1) / 5 = 0.29: over so few positions it is a sink of 0.3.
    expect(sinkRateOf(layers, { B: 1, T })).toMatchObject({ ofFirst: 5 / 6, any: 1 })
  })

  it('averages over the queries that see a key, and over texts', () => {
    // Key 1 gets 1, 0.5, 0.25, 0, 0 from queries 1 to 5: 0.35; half of it when another text gives it nothing.
    const share = [0, 1, 0.5, 0.25, 0, 0]
    const some = causal(T, (i, j) => (j === 1 ? share[i] : j === i ? 1 - share[i] : 0))
    const [least, most] = [{ epsilon: 0.349 }, { epsilon: 0.351 }]
    expect(sinkRateOf([layerOf([[some]])], { B: 1, T }, least).perKey[1]).toBe(1)
    expect(sinkRateOf([layerOf([[some]])], { B: 1, T }, most).perKey[1]).toBe(0)
    const twice = [layerOf([[some], [on(0)]])]
    // Query 1 alone cannot avoid key 1 in `some`; on(0) gives it none.
    expect(sinkRateOf(twice, { B: 2, T }, { epsilon: 0.174 }).perKey[1]).toBe(1)
    expect(sinkRateOf(twice, { B: 2, T }, { epsilon: 0.176 }).perKey[1]).toBe(0)
  })

  it('does not ask keys that fewer than half of the queries see whether there is any', () => {
    // Queries 4 and 5 stay with themselves; all others spread out.
    const late = causal(T, (i, j) => (i >= 4 ? (j === i ? 1 : 0) : 1 / (i + 1)))
    const rate = sinkRateOf([layerOf([[late]])], { B: 1, T }, { epsilon: 0.4 })
    expect(rate.perKey).toEqual([0, 0, 0, 0, 1, 1])
    expect(rate.any).toBe(0)
    // Key 3 is seen by queries 3, 4 and 5: half of six.
    expect(sinkRateOf([layerOf([[on(3)]])], { B: 1, T }, { epsilon: 0.4 })).toMatchObject({ ofFirst: 0, any: 1 })
  })

  it('needs attention and a share', () => {
    expect(() => sinkRateOf([deltaLayer], { B: 1, T })).toThrow('sinkRate: none of the 1 layers has attention')
    for (const epsilon of [-0.1, 1, Number.NaN]) {
      expect(() => sinkRateOf([layerOf([[uniform]])], { B: 1, T }, { epsilon })).toThrow('epsilon must be a share')
    }
  })

  it('is what a model shows', async () => {
    const model = modelOf()
    const rate = await sinkRate(model, batch, { epsilon: 0.2 })
    // Key 7 of 8 is seen by its own query alone.
    expect(rate.perKey).toHaveLength(8)
    expect(rate.perKey.every((share) => [0, 1, 2, 3, 4, 5, 6, 7, 8].includes(share * 8))).toBe(true)
    expect(rate.any).toBeGreaterThanOrEqual(rate.ofFirst)
    expect(rate.ofFirst).toBe(rate.perKey[0])
    model.dispose()
  })
})
