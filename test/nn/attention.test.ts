/** The gated attention layer: every variant of the gate, against loops and finite differences. */
import { describe, expect, it } from 'vitest'
import { noGrad, randn, scope, type Tensor } from '../../src/index.ts'
import {
  type AttentionConfigInput,
  type AttentionObservation,
  type GateConfig,
  GatedAttention,
  KeyValueCache,
} from '../../src/nn/index.ts'
import { attentionOracle, type Values } from './attention-oracle.ts'
import { gradcheckModule, input, largestGap, randomise } from './module-check.ts'

/**
 * Both sides compute in float64 with values of size up to about 10: sums of at most 8 products, a softmax and two
 * projections are some hundred roundings of 1.1e-16.
 */
const ROUNDINGS = 1e-11

const [B, T, C] = [2, 3, 4]
const base = { width: C, heads: 4, keyValueHeads: 2, headWidth: 2 } as const

function layerOf(settings: Partial<AttentionConfigInput>, seed = 1): GatedAttention {
  const layer = new GatedAttention({ ...base, ...settings }, { device: 'reference' })
  randomise(layer, seed)
  return layer
}

async function valuesOf(layer: GatedAttention): Promise<Values> {
  return Object.fromEntries([...(await layer.stateDict())].map(([name, { data }]) => [name, data]))
}

async function gapToOracle(layer: GatedAttention, x: Tensor): Promise<number> {
  const rows = (await x.array()) as number[][][]
  const values = await valuesOf(layer)
  const expected = rows.flatMap((sequence) => attentionOracle(sequence, values, layer.config)).flat()
  using y = noGrad(() => scope(() => layer.forward(x)))
  return largestGap(await y.data(), expected)
}

const gates: GateConfig[] = []
for (const position of ['G1', 'G2', 'G3', 'G4', 'G5'] as const)
  for (const grain of ['elementwise', 'headwise'] as const)
    for (const act of ['sigmoid', 'silu', 'identity', 'nsSigmoid'] as const)
      for (const op of ['mul', 'add'] as const)
        for (const shared of [false, true])
          for (const input of ['x', 'none'] as const) gates.push({ position, grain, act, op, shared, input })

describe('every gate', () => {
  const posts = ['none', 'headRmsNorm', 'silu'] as const
  it.each(posts)('computes what the loops compute, with sdpaPost %s', async (sdpaPost) => {
    using x = input([B, T, C], 2)
    for (const [i, gate] of gates.entries()) {
      const layer = layerOf({ gate, sdpaPost, queryKeyNorm: i % 2 === 0, zeroCentredNorm: i % 4 < 2 }, i)
      const gap = await gapToOracle(layer, x)
      layer.dispose()
      if (!(gap < ROUNDINGS)) expect.fail(`${JSON.stringify(gate)} is off by ${gap}`)
    }
    expect(gates.length).toBe(320)
  })

  it('has the gradient that finite differences measure, for x and every parameter', async () => {
    using x = input([1, T, C], 3)
    for (const [i, gate] of gates.entries()) {
      const layer = layerOf({ gate, queryKeyNorm: false }, i)
      await gradcheckModule(layer, [x], (moved) => layer.forward(moved), { mode: 'direction' })
      layer.dispose()
    }
  })

  it('gives every parameter a gradient that is not 0', async () => {
    using x = input([B, T, C], 4)
    for (const [i, gate] of gates.entries()) {
      const layer = layerOf({ gate, queryKeyNorm: false }, i)
      scope(() => layer.forward(x).square().sum().backward())
      for (const [name, { grad }] of layer.namedParameters()) {
        const largest = grad ? largestGap(await grad.data(), new Float64Array(grad.size)) : 0
        if (!(largest > 0)) expect.fail(`${name} has no gradient with ${JSON.stringify(gate)}`)
      }
      layer.dispose()
    }
  })
})

describe('GatedAttention', () => {
  it.each<[string, Partial<AttentionConfigInput>]>([
    ['no gate', { gate: 'none' }],
    ['the default gate', {}],
    ['a headwise gate', { gate: 'headwise' }],
    ['one key-value head', { keyValueHeads: 1 }],
    ['as many key-value heads as heads', { keyValueHeads: 4 }],
    ['zero-centred norms', { zeroCentredNorm: true, sdpaPost: 'headRmsNorm' }],
    ['rotary positions on part of the head', { headWidth: 4, rope: { base: 100, dims: 2 } }],
    ['no positions', { rope: null }],
    ['biases', { bias: true }],
    ['biases and no gate', { bias: true, gate: 'none' }],
    ['sight of the future', { causal: false }],
  ])('with %s computes what the loops compute, and has its gradient', async (_what, settings) => {
    const layer = layerOf(settings, 5)
    using x = input([B, T, C], 6)
    expect(await gapToOracle(layer, x)).toBeLessThan(ROUNDINGS)
    await gradcheckModule(layer, [x], (moved) => layer.forward(moved))
    layer.dispose()
  })

  it('has biases of all its projections, 0 at the start', async () => {
    const layer = new GatedAttention({ ...base, bias: true })
    const biases = [...layer.namedTensors()].filter(([name]) => name.endsWith('.bias'))
    expect(biases.map(([name, { shape }]) => `${name} ${shape}`)).toEqual([
      'queryProjection.bias 8',
      'keyProjection.bias 4',
      'valueProjection.bias 4',
      'gateProjection.bias 8',
      'outputProjection.bias 4',
    ])
    for (const [, bias] of biases) expect((await bias.data()).every((b) => b === 0)).toBe(true)
    layer.dispose()
  })

  it('starts the gate as the paper does: logits of deviation 0.905 for inputs of mean square 1', async () => {
    const width = 256
    const layer = new GatedAttention({ width, heads: 4 })
    using x = randn([8, 64, width])
    using logits = noGrad(() => scope(() => layer.gateProjection!.forward(x)))
    const deviation = Math.sqrt((await logits.square().mean().item()) as number)
    // 131072 logits from 65536 weights: the estimate's own deviation is below 0.905 / sqrt(2 x 256) = 4 %, as 256 rows
    // at the least are independent.
    expect(deviation).toBeGreaterThan(0.905 * 0.88)
    expect(deviation).toBeLessThan(0.905 * 1.12)
    layer.dispose()
  })

  it('starts a gate without input at a half', async () => {
    const layer = new GatedAttention({ ...base, gate: { input: 'none' } })
    expect(await layer.gateLogits!.array()).toEqual(Array.from({ length: 4 }, () => [0, 0]))
    layer.dispose()
  })

  it('gives step by step what it gives at once', async () => {
    for (const gate of gates.filter(({ act, op }) => act === 'sigmoid' && op === 'mul')) {
      const layer = layerOf({ gate, rope: { dims: 2, base: 10 } }, 7)
      using x = input([B, 5, C], 8)
      using full = noGrad(() => scope(() => layer.forward(x)))
      const cache = new KeyValueCache('reference')
      const parts: [number, number][] = [
        [0, 2],
        [2, 3],
        [3, 5],
      ]
      for (const [start, end] of parts) {
        using part = scope(() => layer.forward(x.slice([null, [start, end]]), { cache }))
        using expected = full.slice([null, [start, end]])
        expect(cache.length).toBe(end)
        expect(largestGap(await part.data(), await expected.data())).toBeLessThan(ROUNDINGS)
      }
      cache.dispose()
      layer.dispose()
    }
  })

  it('shows an observer the weights, the scores and both sides of the gate', async () => {
    const layer = layerOf({ gate: { grain: 'headwise' } }, 9)
    using x = input([B, T, C], 10)
    const seen = scope(() => {
      const list: AttentionObservation[] = []
      layer.forward(x, { observe: (observation) => list.push(observation) })
      return list
    })
    expect(seen.length).toBe(1)
    const { weights, gateScores, attended, gated } = seen[0]
    expect(weights.shape).toEqual([B, 4, T, T])
    expect(gateScores!.shape).toEqual([B, T, 4, 1])
    expect(attended.shape).toEqual([B, T, 4, 2])
    using sums = weights.sum({ axis: -1 })
    expect(largestGap(await sums.data(), new Float64Array(B * 4 * T).fill(1))).toBeLessThan(ROUNDINGS)
    using product = attended.mul(gateScores!)
    expect(largestGap(await gated.data(), await product.data())).toBeLessThan(ROUNDINGS)
    using scores = scope(() => layer.gateProjection!.forward(x).sigmoid())
    expect(largestGap(await gateScores!.data(), await scores.data())).toBeLessThan(ROUNDINGS)
    for (const t of [weights, gateScores!, attended, gated]) {
      expect(t.isTracked).toBe(false)
      t.dispose()
    }
    layer.dispose()
  })

  it('shows shared scores once and the scores of every position', () => {
    using x = input([B, T, C], 11)
    const shapes = (['G1', 'G2', 'G3', 'G4', 'G5'] as const).map((position) => {
      const layer = layerOf({ gate: { position, grain: 'elementwise', input: 'none' } })
      let shape: readonly number[] | undefined
      scope(() => {
        layer.forward(x, { observe: ({ gateScores }) => (shape = gateScores!.shape) })
      })
      layer.dispose()
      return shape
    })
    expect(shapes).toEqual([
      [B, T, 4, 2],
      [B, T, 2, 2],
      [B, T, 2, 2],
      [B, T, 4, 2],
      [B, T, 1, C],
    ])
  })

  it('refuses an input of another width', () => {
    const layer = layerOf({})
    using x = input([B, T, 5], 12)
    expect(() => layer.forward(x)).toThrow(/^GatedAttention: x must be \[B, T, C\] = \[2, 3, 4\], got \[2, 3, 5\]/)
    layer.dispose()
  })
})
