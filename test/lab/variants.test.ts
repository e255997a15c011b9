/** The paper's variants: what each changes in a baseline, its numbers, and models of equal parameters. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { noGrad, scope, type Tensor } from '../../src/index.ts'
import { type ModelSettings, matchParameters, variantNamed, variants } from '../../src/lab/variants.ts'
import { parameterCount, type TransformerConfigInput, transformerConfig } from '../../src/nn/index.ts'
import { RUNS, SEED } from '../check/runs.ts'
import { largestGap, randomise } from '../nn/module-check.ts'
import { modelOf, tokensOf, V } from './variant-models.ts'

describe('variants', () => {
  const base: ModelSettings = { width: 12, layers: 4, heads: 4, keyValueHeads: 2, headWidth: 3, feedForwardWidth: 20 }
  const full = (name: string, more: ModelSettings = {}) =>
    transformerConfig({ ...variantNamed(name).configure({ ...base, ...more }), vocabularySize: V })

  it('are named once each, and change the baseline in what they are named after alone', () => {
    expect(new Set(variants.map(({ name }) => name)).size).toBe(variants.length)
    const gate = { position: 'G1', grain: 'elementwise', shared: false, op: 'mul', act: 'sigmoid', input: 'x' }
    const expected: Record<string, object> = {
      baseline: {},
      'more-kv-heads': { keyValueHeads: 4 },
      'more-query-heads': { heads: 6 },
      'more-experts': { feedForwardWidth: 30 },
      'g1-elementwise': { gate },
      'g2-elementwise': { gate: { ...gate, position: 'G2' } },
      'g3-elementwise': { gate: { ...gate, position: 'G3' } },
      'g4-elementwise': { gate: { ...gate, position: 'G4' } },
      g5: { gate: { ...gate, position: 'G5' } },
      'g1-headwise': { gate: { ...gate, grain: 'headwise' } },
      'g2-headwise': { gate: { ...gate, position: 'G2', grain: 'headwise' } },
      'g1-shared': { gate: { ...gate, shared: true } },
      'g2-shared': { gate: { ...gate, position: 'G2', shared: true } },
      'g1-additive-silu': { gate: { ...gate, op: 'add', act: 'silu' } },
      'g1-silu': { gate: { ...gate, act: 'silu' } },
      'sdpa-norm': { sdpaPost: 'headRmsNorm' },
      'sdpa-silu': { sdpaPost: 'silu' },
      'g1-additive-identity': { gate: { ...gate, op: 'add', act: 'identity' } },
      'g1-input-independent': { gate: { ...gate, input: 'none' } },
      'g1-ns-sigmoid': { gate: { ...gate, act: 'nsSigmoid' } },
      'switch-kv-8-8': { switchHead: { maps: 'keyValue', count: 8, active: 8 } },
      'switch-kv-4-4': { switchHead: { maps: 'keyValue', count: 4, active: 4 } },
      'switch-v-4-4': { switchHead: { maps: 'value', count: 4, active: 4 } },
      'switch-v-8-2': { switchHead: { maps: 'value', count: 8, active: 2 } },
      sandwich: { norm: 'sandwich' },
      'clip-300': { clip: 300 },
      'clip-100': { clip: 100 },
      'gated-delta-hybrid': { gate, layerTypes: ['delta', 'delta', 'delta', 'attention'] },
    }
    expect(variants.map(({ name }) => name).sort()).toEqual(Object.keys(expected).sort())
    const plain = transformerConfig({ ...base, gate: 'none', vocabularySize: V })
    for (const [name, change] of Object.entries(expected)) {
      const { delta: _, ...config } = full(name)
      const { delta: __, ...rest } = plain
      expect(config, name).toEqual({ ...rest, ...change })
    }
  })

  it('take away whatever gate the baseline came with', () => {
    expect(full('baseline', { gate: 'headwise' }).gate).toBe('none')
    expect(full('sandwich', { gate: undefined }).gate).toBe('none')
    expect(full('g1-elementwise', { gate: { act: 'silu' } })).toEqual(full('g1-elementwise'))
  })

  it('widen by the baseline: heads, their width kept, and experts', () => {
    // A head width that follows from width and heads must not follow the new number of heads.
    expect(full('more-query-heads', { headWidth: undefined })).toMatchObject({ heads: 6, headWidth: 3 })
    expect(full('more-query-heads', { heads: 4, keyValueHeads: undefined })).toMatchObject({
      heads: 8,
      keyValueHeads: 4,
    })
    const hybrid = full('more-query-heads', { fullAttentionInterval: 2 })
    expect(hybrid.delta).toEqual(full('baseline', { fullAttentionInterval: 2 }).delta)
    const experts = { count: 6, active: 3, width: 4, sharedWidth: 2 }
    expect(full('more-experts', { experts }).experts).toMatchObject({ ...experts, count: 8, active: 5 })
    expect(() => full('more-kv-heads', { keyValueHeads: 4 })).toThrow(
      /^more-kv-heads: twice 4 key-value heads do not divide 4 heads; give the baseline fewer/,
    )
  })

  it('place attention in every fourth layer, in every second of few, in spite of a list', () => {
    const types = (more: ModelSettings) =>
      full('gated-delta-hybrid', more)
        .layerTypes.map((type) => type[0])
        .join('')
    expect(types({ layers: 8 })).toBe('dddaddda')
    expect(types({ layers: 3 })).toBe('dad')
    expect(types({ layers: undefined, layerTypes: ['attention', 'attention'] })).toBe('da')
    expect(() => types({ layers: 1 })).toThrow(/a hybrid needs at least 2 layers, got 1/)
  })

  it('compute each something else', async () => {
    using x = tokensOf({ B: 2, T: 4, seed: 3 })
    const names = new Map<string, string>()
    for (const { name, configure } of variants) {
      const model = modelOf(configure(base), 1)
      // The same numbers wherever shapes are the same, and large enough to be clipped at 300.
      randomise(model, 1, 30)
      using y = noGrad(() => scope(() => model.forward(x)))
      const logits = [...(await y.data())].join()
      expect(names.get(logits), name).toBe(undefined)
      names.set(logits, name)
      model.dispose()
    }
  })

  it('clip where they say', async () => {
    for (const c of [100, 300]) {
      const model = modelOf(variantNamed(`clip-${c}`).configure({ ...base, layers: 1, position: 'none' }), 1)
      randomise(model, 1, 30)
      using x = tokensOf({ B: 2, T: 3, seed: 3 })
      const { hidden } = scope(() => {
        let seen: Tensor | undefined
        model.forward(x, { observe: (layer) => (seen = layer.hidden) })
        return { hidden: seen! }
      })
      using start = noGrad(() => model.tokenEmbedding.forward(x))
      const moved = largestGap(await hidden.data(), await start.data())
      // Both branches at most c each; with weights this large some reach it together.
      expect(moved).toBeGreaterThan(1.5 * c)
      expect(moved).toBeLessThanOrEqual(2 * c + 1e-9)
      hidden.dispose()
      model.dispose()
    }
  })

  it('have the numbers of their first run beside its baseline', () => {
    expect(variantNamed('g1-elementwise').paper).toEqual({
      row: 5,
      baselineRow: 1,
      perplexity: 5.761,
      lossDifference: Math.log(5.761 / 6.026),
      addedParameters: 201,
      gateScore: 0.116,
      massiveActivation: 94,
      firstToken: 0.048,
    })
    expect(variantNamed('sandwich').paper).toMatchObject({ row: 31, baselineRow: 30, perplexity: 7.407 })
    expect(variantNamed('baseline').paper).toMatchObject({
      row: 1,
      baselineRow: 1,
      lossDifference: 0,
      firstToken: 0.467,
    })
    for (const name of ['clip-300', 'clip-100', 'gated-delta-hybrid']) {
      expect(variantNamed(name)).toMatchObject({ rows: [], paper: null })
    }
  })

  it('are told apart from what does not exist', () => {
    expect(() => variantNamed('g1-elementwize')).toThrow(
      /^variant: there is no variant 'g1-elementwize'; the nearest is g1-elementwise, all are baseline, more-kv-heads/,
    )
  })
})

describe('matchParameters', () => {
  const bases: fc.Arbitrary<ModelSettings> = fc
    .record({
      width: fc.integer({ min: 4, max: 12 }),
      layers: fc.integer({ min: 2, max: 5 }),
      keyValueHeads: fc.integer({ min: 1, max: 2 }),
      headWidth: fc.integer({ min: 1, max: 4 }),
      feedForwardWidth: fc.integer({ min: 60, max: 200 }),
      feedForward: fc.constantFrom('swiglu' as const, 'gelu' as const),
      experts: fc.option(fc.constantFrom({ count: 4, active: 2 }, { count: 4, active: 2, width: 70, sharedWidth: 3 })),
      tied: fc.boolean(),
    })
    .map((base) => ({ ...base, heads: 2 * base.keyValueHeads }))

  it('brings every variant as near to the baseline as a width can', () => {
    fc.assert(
      fc.property(bases, fc.constantFrom(...variants), (base, variant) => {
        const count = (of: ModelSettings) => parameterCount({ ...of, vocabularySize: V })
        const target = count({ ...base, gate: 'none' })
        const settings = variant.configure(base)
        // Eight maps a head may be more than the whole feed-forward: that is refused, and tested below.
        fc.pre(count(settings) < 1.5 * target)
        const matched = matchParameters(base, settings, V)
        const gap = (more: number) => Math.abs(count(widened(matched, more)) - target)
        expect(gap(0)).toBeLessThanOrEqual(gap(1))
        expect(gap(0)).toBeLessThanOrEqual(gap(-1))
        const { feedForwardWidth: _, experts: __, ...rest } = transformerConfig({ ...matched, vocabularySize: V })
        expect(transformerConfig({ ...settings, vocabularySize: V })).toMatchObject(rest)
      }),
      { numRuns: 2 * RUNS, seed: SEED },
    )
  })

  /** One more or less of the width that was matched. */
  function widened(settings: ModelSettings, more: number): ModelSettings {
    const { experts, feedForwardWidth } = settings
    if (experts?.width === undefined) return { ...settings, feedForwardWidth: feedForwardWidth! + more }
    return { ...settings, experts: { ...experts, width: experts.width + more } }
  }

  it('leaves the baseline as it is, and does not depend on the vocabulary', () => {
    fc.assert(
      fc.property(bases, (base) => {
        const plain = variantNamed('baseline').configure(base)
        expect(matchParameters(base, plain)).toEqual(plain)
        const gate = variantNamed('g1-elementwise').configure(base)
        expect(matchParameters(base, gate, 50000)).toEqual(matchParameters(base, gate))
      }),
      { numRuns: RUNS, seed: SEED },
    )
  })

  it('shrinks the paper’s dense model as its authors did, but for their rounding up to a multiple of 128', () => {
    const base: TransformerConfigInput = {
      ...{ vocabularySize: 152064, width: 2048, layers: 28, heads: 16, keyValueHeads: 8, headWidth: 128 },
      feedForwardWidth: 6144,
    }
    const { vocabularySize, ...settings } = base
    const matched = matchParameters(settings, variantNamed('g1-elementwise').configure(settings), vocabularySize)
    // The gate's 2048 x 2048 rows a layer, out of three matrices of 2048: 6144 - 2048 / 3.
    expect(matched.feedForwardWidth).toBe(5461)
    expect(Math.ceil(matched.feedForwardWidth! / 128) * 128).toBe(5504)
  })

  it('refuses a variant that no width makes small enough', () => {
    const base: ModelSettings = { width: 8, layers: 1, heads: 4, feedForwardWidth: 4 }
    expect(() => matchParameters(base, variantNamed('switch-kv-8-8').configure(base))).toThrow(
      /^matchParameters: the variant has \d+ parameters with a feed-forward of width 1, the baseline \d+; give/,
    )
  })
})
