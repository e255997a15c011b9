import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tensor } from '../../../src/index.ts'
import {
  batchLoss,
  inContext,
  inContextOf,
  prefixMatching,
  prefixMatchingOf,
  repeatedTokens,
} from '../../../src/lab/metrics.ts'
import { batch, causal, deltaLayer, layerOf, modelOf, T, V } from './readings.ts'

describe('inContextOf', () => {
  it('takes a twentieth of the positions, around a tenth and at the end', () => {
    const counted = (n: number) => inContextOf(Array.from({ length: n }, (_, i) => i + 1))
    // One position each, counted from 1: 2 of 20, 1 of 8.
    expect(counted(20)).toMatchObject({ early: 2, late: 20, score: 18 })
    expect(counted(8)).toMatchObject({ early: 1, late: 8, score: 7 })
    // Five of 100: 8 to 12 and 96 to 100. Three of 64: 6 to 8 around 7, and 62 to 64.
    expect(counted(100)).toMatchObject({ early: 10, late: 98 })
    expect(counted(64)).toMatchObject({ early: 7, late: 63 })
    expect(counted(1)).toEqual({ perPosition: [1], early: 1, late: 1, score: 0 })
  })
})

describe('inContext', () => {
  it.each(['reference', 'cpu'])('has the loss of each position on %s', async (device) => {
    const model = modelOf({}, device)
    const { perPosition, early, late } = await inContext(model, batch)
    expect(perPosition).toHaveLength(T)
    for (let t = 0; t < T; t++) {
      const targets = batch.targets.map((target, i) => (i % T === t ? target : -1))
      const alone = await batchLoss(model, { ...batch, targets }, { ignoreIndex: -1 })
      // The cpu device's float32: losses up to 20, each off by a few 2^-24 of itself.
      expect(Math.abs(perPosition[t] - alone)).toBeLessThan(device === 'cpu' ? 2e-5 : 1e-11)
    }
    expect([early, late]).toEqual([perPosition[0], perPosition[T - 1]])
    model.dispose()
  })

  it('weighs the rows of several batches alike', async () => {
    const model = modelOf()
    const part = (from: number, to: number) => ({
      inputs: batch.inputs.slice(from * T, to * T),
      targets: batch.targets.slice(from * T, to * T),
      B: to - from,
      T,
    })
    const whole = await inContext(model, batch)
    const parts = await inContext(model, [part(0, 1), part(1, 3)])
    // Float64, summed in another order.
    parts.perPosition.forEach((loss, t) => {
      expect(Math.abs(loss - whole.perPosition[t])).toBeLessThan(1e-11)
    })
    await expect(inContext(model, [])).rejects.toThrow('inContext: batches must be of one T, got 0')
    const short = { inputs: Int32Array.of(1), targets: Int32Array.of(2), B: 1, T: 1 }
    await expect(inContext(model, [batch, short])).rejects.toThrow('got 2 of T 8, 1')
    model.dispose()
  })

  it('needs a target everywhere', async () => {
    const model = modelOf()
    const targets = batch.targets.with(3, -100)
    await expect(inContext(model, { ...batch, targets })).rejects.toThrow('inContext: target -100 is outside [0, 11)')
    model.dispose()
  })
})

describe('prefixMatchingOf', () => {
  const [length, repeats] = [3, 3]
  const size = { B: 2, T: length * repeats }
  const both = (map: number[][]) => [map]
  /** All attention of query i on key `of(i)`. */
  const on = (of: (i: number) => number) => causal(size.T, (i, j) => (j === of(i) ? 1 : 0))

  it('is 1 for an induction head, 0 for a head that looks back one token, or to the same token', () => {
    const induction = on((i) => (i < length ? i : i - length + 1))
    const previous = on((i) => Math.max(0, i - 1))
    const same = on((i) => (i < length ? i : i - length))
    const heads = [induction, previous, same]
    const seen = prefixMatchingOf(
      [layerOf([heads, heads]), deltaLayer, layerOf([both(same), both(same)].flat().map((m) => [m]))],
      size,
      length,
    )
    expect(seen.perLayerHead).toEqual([[1, 0, 0], [], [0]])
    expect(seen.mean).toBe(1 / 4)
    expect(seen.maximum).toBe(1)
  })

  it('is 1 / (i + 1) on average for uniform attention', () => {
    const even = causal(size.T, (i) => 1 / (i + 1))
    const { mean, uniform } = prefixMatchingOf([layerOf([[even], [even]])], size, length)
    expect(uniform).toBeCloseTo((1 / 4 + 1 / 5 + 1 / 6 + 1 / 7 + 1 / 8 + 1 / 9) / 6, 14)
    // Float32 weights.
    expect(Math.abs(mean - uniform)).toBeLessThan(2 ** -24)
  })

  it('needs attention', () => {
    expect(() => prefixMatchingOf([deltaLayer], size, length)).toThrow('prefixMatching: none of the 1 layers')
  })
})

describe('repeatedTokens', () => {
  it('repeats different tokens, each sequence its own, the same for the same seed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 12 }),
        fc.integer({ min: 2, max: 4 }),
        fc.integer({ min: 0, max: 1000 }),
        (length, repeats, seed) => {
          const options = { vocabularySize: 12, length, repeats, sequences: 3, seed }
          const made = repeatedTokens(options)
          expect([made.B, made.T]).toEqual([3, length * repeats])
          expect(repeatedTokens(options)).toEqual(made)
          for (let b = 0; b < 3; b++) {
            const row = made.inputs.subarray(b * made.T, (b + 1) * made.T)
            expect(new Set(row).size).toBe(length)
            expect(row.every((token, i) => token >= 0 && token < 12 && token === row[i % length])).toBe(true)
            const next = made.targets.subarray(b * made.T, (b + 1) * made.T)
            expect(next.every((token, i) => token === row[(i + 1) % length])).toBe(true)
          }
        },
      ),
      { numRuns: 200 },
    )
    const [one, other] = [1, 2].map((seed) =>
      repeatedTokens({ vocabularySize: 12, length: 12, repeats: 2, sequences: 2, seed }).inputs.join(),
    )
    expect(one).not.toBe(other)
  })
})

describe('prefixMatching', () => {
  it('of a model whose queries are 0 is that of uniform attention', async () => {
    const model = modelOf({ queryKeyNorm: false })
    for (const { attention } of model.layers) {
      const { weight } = attention!.queryProjection
      weight.assign(tensor(new Float64Array(weight.size), { shape: [...weight.shape], device: 'reference' }))
    }
    const { perLayerHead, mean, maximum, uniform } = await prefixMatching(model, { length: 5, repeats: 3 })
    expect(perLayerHead.map((heads) => heads.length)).toEqual([4, 4])
    expect(mean).toBeCloseTo(uniform, 7)
    expect(maximum).toBeCloseTo(uniform, 7)
    model.dispose()
  })

  it('takes what fits into the context and the vocabulary unless told', async () => {
    const model = modelOf({ contextLength: 24 })
    // Length 6 of 11 tokens, four times.
    expect((await prefixMatching(model)).uniform).toBeCloseTo(
      Array.from({ length: 18 }, (_, i) => 1 / (i + 7)).reduce((a, b) => a + b) / 18,
      14,
    )
    model.dispose()
  })

  it('refuses sequences that cannot be made', async () => {
    const model = modelOf()
    await expect(prefixMatching(model, { length: V + 1 })).rejects.toThrow('length must be from 2 to the 11 different')
    await expect(prefixMatching(model, { length: 1 })).rejects.toThrow('got 1')
    await expect(prefixMatching(model, { repeats: 1 })).rejects.toThrow('repeats must be an integer from 2 up')
    await expect(prefixMatching(model, { vocabularySize: 12 })).rejects.toThrow("from 1 to the model's 11")
    await expect(prefixMatching(model, { sequences: 0 })).rejects.toThrow('sequences must be an integer from 1 up')
    model.dispose()
  })
})
