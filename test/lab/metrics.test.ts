/** The paper's measures on weights whose values are known, and on models against what `observe` shows. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import { manualSeed, noGrad, scope, tensor } from '../../src/index.ts'
import {
  activationOf,
  attentionSink,
  gateScores,
  type LayerReading,
  massiveActivation,
  readLayers,
  scoresOf,
  sinkOf,
  uniformShare,
} from '../../src/lab/metrics.ts'
import { type LayerObservation, Transformer, type TransformerConfigInput } from '../../src/nn/index.ts'
import type { TokenBatch } from '../../src/train/text.ts'

/** A layer whose attention is [B][H][T][T]. */
function layerOf(weights: number[][][][], rest: Partial<LayerReading> = {}): LayerReading {
  const flat = weights.flat(3)
  return {
    weights: Float32Array.from(flat),
    heads: weights[0].length,
    gateScores: undefined,
    output: new Float32Array(1),
    ...rest,
  }
}

/** Row i of causal attention [T, T] gives key j the weight `of(i, j)`. */
const causal = (T: number, of: (i: number, j: number) => number) =>
  Array.from({ length: T }, (_, i) => Array.from({ length: T }, (_, j) => (j <= i ? of(i, j) : 0)))

const harmonicShare = (T: number) => Array.from({ length: T }, (_, i) => 1 / (i + 1)).reduce((a, b) => a + b, 0) / T

describe('sinkOf', () => {
  it('is 0 for uniform and 1 for all attention on the first token, at every length', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 1, max: 3 }), (T, B) => {
        const uniform = causal(T, (i) => 1 / (i + 1))
        const first = causal(T, (_, j) => (j === 0 ? 1 : 0))
        const even = sinkOf([layerOf(Array.from({ length: B }, () => [uniform, uniform]))], { B, T })
        expect(even.uniform).toBeCloseTo(harmonicShare(T), 14)
        // Weights are float32, off by at most 2^-24 of themselves, and 1 - uniform is at least 1/4.
        expect(Math.abs(even.corrected)).toBeLessThan(4 * 2 ** -24)
        const all = sinkOf([layerOf(Array.from({ length: B }, () => [first, first]))], { B, T })
        expect([all.mean, all.corrected]).toEqual([1, 1])
      }),
      { numRuns: 200 },
    )
  })

  it('has the numbers of the paper study: 0.0741 for uniform attention over 64 positions', () => {
    const { uniform } = sinkOf([layerOf([[causal(64, (i) => 1 / (i + 1))]])], { B: 1, T: 64 })
    expect(uniform).toBeCloseTo(0.0741, 4)
  })

  it('keeps layers and heads apart and averages over texts', () => {
    const T = 4
    const onFirst = (share: number) => causal(T, (i, j) => (i === 0 ? 1 : j === 0 ? share : (1 - share) / i))
    // Texts by heads: the first query has no choice, the other three give the share.
    const one = layerOf([
      [onFirst(0), onFirst(0.5)],
      [onFirst(1), onFirst(0.25)],
    ])
    const two = layerOf([
      [onFirst(0.125), onFirst(0)],
      [onFirst(0.125), onFirst(0)],
    ])
    const { perLayerHead, mean, uniform, corrected } = sinkOf([one, two], { B: 2, T })
    expect(perLayerHead).toEqual([
      [(1 + 3 * 0.5) / 4, (1 + 3 * 0.375) / 4],
      [(1 + 3 * 0.125) / 4, 1 / 4],
    ])
    expect(mean).toBe((2.5 + 2.125 + 1.375 + 1) / 16)
    expect(uniform).toBeCloseTo(25 / 48, 15)
    expect(corrected).toBeCloseTo((mean - 25 / 48) / (23 / 48), 14)
  })

  it('has nothing to correct over a single position', () => {
    expect(sinkOf([layerOf([[[[1]]]])], { B: 1, T: 1 })).toEqual({
      perLayerHead: [[1]],
      mean: 1,
      uniform: 1,
      corrected: 0,
      withoutFirstFour: Number.NaN,
      withoutFirstFourCorrected: Number.NaN,
    })
  })

  it('can leave out the first four queries, with their uniform share', () => {
    const T = 10
    // Queries 0 to 3 give all to the first token, the six others a quarter.
    const weights = causal(T, (i, j) => (j === 0 ? (i < 4 ? 1 : 0.25) : i < 4 ? 0 : 0.75 / i))
    const one = sinkOf([layerOf([[weights]])], { B: 1, T })
    expect(one.mean).toBe((4 + 6 * 0.25) / T)
    expect(one.withoutFirstFour).toBe(0.25)
    const share = (1 / 5 + 1 / 6 + 1 / 7 + 1 / 8 + 1 / 9 + 1 / 10) / 6
    expect(one.withoutFirstFourCorrected).toBeCloseTo((0.25 - share) / (1 - share), 14)
    expect(uniformShare(64, 4)).toBeCloseTo(0.0443, 4)
    expect(uniformShare(256, 4)).toBeCloseTo(0.016, 4)
    const even = sinkOf([layerOf([[causal(64, (i) => 1 / (i + 1))]])], { B: 1, T: 64 })
    expect(Math.abs(even.withoutFirstFourCorrected)).toBeLessThan(4 * 2 ** -24)
  })

  it('needs attention', () => {
    expect(() => sinkOf([{ ...layerOf([[[[1]]]]), weights: undefined, heads: 0 }], { B: 1, T: 1 })).toThrow(
      'attentionSink: none of the 1 layers has attention; there is nothing to measure',
    )
  })
})

describe('scoresOf', () => {
  const scored = (...scores: number[]) => layerOf([[[[1]]]], { gateScores: Float32Array.from(scores) })

  it('counts scores by layer and weighs all scores alike', () => {
    const layers = [scored(0, 0.05, 0.25, 0.5, 0.999, 1), layerOf([[[[1]]]]), scored(0.75, 0.95)]
    const scores = scoresOf(layers, 4)!
    expect(scores.layers.map(({ counts }) => counts)).toEqual([
      [2, 1, 1, 2],
      [0, 0, 0, 2],
    ])
    // Float32 rounds 0.05, 0.95 and 0.999: relative 2^-24.
    expect(scores.layers[0].mean).toBeCloseTo((0.05 + 0.25 + 0.5 + 0.999 + 1) / 6, 6)
    expect(scores.layers[1].mean).toBeCloseTo(0.85, 6)
    expect(scores.mean).toBeCloseTo((0.05 + 0.25 + 0.5 + 0.999 + 1 + 0.75 + 0.95) / 8, 6)
    expect(scores.shareBelowTenth).toBe(2 / 8)
    expect(scores.shareAboveNineTenths).toBe(3 / 8)
  })

  it('has the median of all scores and the deviation of each layer', () => {
    // Multiples of 1/8 are exact: nothing is rounded.
    const { median, layers } = scoresOf([scored(0.125, 0.875, 0.25), scored(0.5, 0.75)])!
    expect(median).toBe(0.5)
    expect(layers[1].deviation).toBe(0.125)
    expect(layers[0].deviation).toBeCloseTo(Math.sqrt((0.125 ** 2 + 0.875 ** 2 + 0.25 ** 2) / 3 - (1.25 / 3) ** 2), 14)
    expect(scoresOf([scored(1, 0.25), scored(0.5, 0)])!.median).toBe(0.375)
    expect(scoresOf([scored(1, Number.NaN, 0.5)])!.median).toBeNaN()
  })

  it('counts scores outside [0, 1] in the nearest bin', () => {
    const { layers } = scoresOf([scored(-3, -0.01, 1.01, 7)], 2)!
    expect(layers[0].counts).toEqual([2, 2])
  })

  it('counts every score once', () => {
    const scores = fc.array(fc.float({ min: -2, max: 2, noNaN: true }), { minLength: 1, maxLength: 50 })
    fc.assert(
      fc.property(scores, fc.integer({ min: 1, max: 30 }), (given, bins) => {
        const { counts } = scoresOf([scored(...given)], bins)!.layers[0]
        expect(counts).toHaveLength(bins)
        expect(counts.reduce((a, b) => a + b, 0)).toBe(given.length)
      }),
      { numRuns: 200 },
    )
  })

  it('is undefined without a gate, and needs bins', () => {
    expect(scoresOf([layerOf([[[[1]]]])])).toBeUndefined()
    for (const bins of [0, -1, 1.5, Number.NaN]) {
      expect(() => scoresOf([scored(0.5)], bins)).toThrow('gateScores: bins must be a positive integer')
    }
  })
})

describe('activationOf', () => {
  const output = (...values: number[]) => layerOf([[[[1]]]], { output: Float32Array.from(values) })

  it('is the largest absolute value of each layer, and their mean', () => {
    expect(activationOf([output(1, -5, 3), output(0.5, 0.25), output(0)])).toEqual({
      perLayer: [5, 0.5, 0],
      mean: 5.5 / 3,
      perLayerMedian: [3, 0.375, 0],
      massive: false,
    })
  })

  it('is massive above 100 and 1000 medians, both', () => {
    const massive = (...values: number[]) => activationOf([output(1, 2), output(...values)]).massive
    expect(massive(-128, 0.125, 0.0625)).toBe(true)
    expect(massive(-128, 0.25, 0.0625)).toBe(false)
    expect(massive(100, 0.0625, 0.0625)).toBe(false)
  })

  it('does not hide a value that is not finite', () => {
    expect(activationOf([output(1, Number.NaN, 3)]).perLayer).toEqual([Number.NaN])
    expect(activationOf([output(1, Number.NaN, 3)]).perLayerMedian).toEqual([Number.NaN])
    expect(activationOf([output(1, Number.NEGATIVE_INFINITY)]).mean).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('a model', () => {
  const [B, T, V] = [3, 7, 9]
  const batch: TokenBatch = {
    inputs: Int32Array.from({ length: B * T }, (_, i) => (i * 5 + (i >> 2)) % V),
    targets: new Int32Array(B * T),
    B,
    T,
  }
  const modelOf = (settings: Partial<TransformerConfigInput>, device: string) => {
    manualSeed(2)
    const shape = {
      vocabularySize: V,
      width: 16,
      layers: 2,
      heads: 4,
      keyValueHeads: 2,
      initStd: 0.4,
      contextLength: T,
    }
    return new Transformer({ ...shape, ...settings }, { device })
  }

  /** What `observe` shows, as nested lists. */
  async function observed(model: Transformer) {
    const seen: (LayerObservation & { type: 'attention' })[] = []
    scope(() =>
      noGrad(() => {
        model.forward(tensor(batch.inputs, { shape: [B, T], device: model.device }), {
          observe: (layer) => {
            if (layer.type === 'attention') seen.push(layer)
          },
        })
        return seen.map(({ weights, gateScores, hidden }) => [weights, gateScores, hidden])
      }),
    )
    const layers = []
    for (const { weights, gateScores, hidden } of seen) {
      layers.push({
        weights: (await weights.array()) as number[][][][],
        scores: gateScores && [...(await gateScores.data())],
        hidden: [...(await hidden.data())],
      })
      for (const t of [weights, gateScores, hidden]) t?.dispose()
    }
    return layers
  }

  it.each([
    ['elementwise', {}],
    ['headwise', { gate: 'headwise' }],
    ['at the values', { gate: { position: 'G2' } }],
    ['at the output', { gate: { position: 'G5' } }],
    ['silu', { gate: { act: 'silu' } }],
  ] as [string, Partial<TransformerConfigInput>][])('measures what observe shows, gate %s', async (_what, settings) => {
    for (const device of ['cpu', 'reference']) {
      const model = modelOf(settings, device)
      const before = findDevice(device).statistics()
      const layers = await observed(model)
      const sink = await attentionSink(model, batch)
      const scores = (await gateScores(model, batch, 10))!
      const activation = await massiveActivation(model, batch)
      const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length

      // Readings are float32: 2^-24 relative of weights up to 1, of scores and activations up to 100.
      const perLayerHead = layers.map(({ weights }) =>
        Array.from({ length: 4 }, (_, h) => mean(weights.flatMap((text) => text[h].map((row) => row[0])))),
      )
      expect(sink.perLayerHead).toHaveLength(2)
      perLayerHead.forEach((heads, l) => {
        heads.forEach((share, h) => {
          expect(Math.abs(sink.perLayerHead[l][h] - share)).toBeLessThan(1e-7)
        })
      })
      expect(Math.abs(sink.mean - mean(perLayerHead.flat()))).toBeLessThan(1e-7)
      expect(sink.corrected).toBeCloseTo((sink.mean - harmonicShare(T)) / (1 - harmonicShare(T)), 12)

      layers.forEach(({ scores: own, hidden }, l) => {
        expect(scores.layers[l].mean).toBeCloseTo(mean(own!), 5)
        expect(activation.perLayer[l]).toBeCloseTo(Math.max(...hidden.map(Math.abs)), 4)
      })
      const all = layers.flatMap(({ scores: own }) => own!)
      expect(scores.mean).toBeCloseTo(mean(all), 5)
      expect(scores.shareBelowTenth).toBe(mean(all.map((s) => (Math.fround(s) < 0.1 ? 1 : 0))))
      expect(scores.shareAboveNineTenths).toBe(mean(all.map((s) => (Math.fround(s) > 0.9 ? 1 : 0))))
      expect(scores.layers[0].counts.reduce((a, b) => a + b, 0)).toBe(layers[0].scores!.length)
      expect(activation.mean).toBeCloseTo(mean(activation.perLayer), 12)
      expect(findDevice(device).statistics()).toEqual(before)
      model.dispose()
    }
  })

  it('without a gate has no gate scores', async () => {
    const model = modelOf({ gate: 'none' }, 'cpu')
    const before = findDevice('cpu').statistics()
    expect(await gateScores(model, batch)).toBeUndefined()
    expect((await readLayers(model, batch)).map(({ gateScores: scores, heads }) => [scores, heads])).toEqual([
      [undefined, 4],
      [undefined, 4],
    ])
    expect(findDevice('cpu').statistics()).toEqual(before)
    model.dispose()
  })

  it('whose queries are 0 attends uniformly', async () => {
    const model = modelOf({ queryKeyNorm: false }, 'cpu')
    for (const { attention } of model.layers) {
      const { shape } = attention!.queryProjection.weight
      attention!.queryProjection.weight.assign(tensor(new Float32Array(shape[0] * shape[1]), { shape: [...shape] }))
    }
    const { corrected } = await attentionSink(model, batch)
    // As above: float32 weights.
    expect(Math.abs(corrected)).toBeLessThan(8 * 2 ** -24)
    model.dispose()
  })
})
