/** Forward passes whose gate scores or rotary base are replaced, against layers that have them so. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { add, full, manualSeed, mul, noGrad, randn, scope, type Tensor, tensor } from '../../src/index.ts'
import {
  type AttentionConfigInput,
  type AttentionForwardOptions,
  type GateConfig,
  GatedAttention,
  Transformer,
} from '../../src/nn/index.ts'

const device = 'reference'
const sizes = { width: 8, heads: 4, keyValueHeads: 2, initStd: 0.4 }

const layerOf = (settings: Partial<AttentionConfigInput>, seed: number): GatedAttention => {
  manualSeed(seed)
  return new GatedAttention({ ...sizes, ...settings }, { device })
}

/** A layer of other settings with the values of `layer`, as far as it has them. */
async function like(layer: GatedAttention, settings: Partial<AttentionConfigInput>): Promise<GatedAttention> {
  const other = layerOf(settings, 1)
  const given = await layer.stateDict()
  const own = await other.stateDict()
  other.loadStateDict(new Map([...own].map(([name, value]) => [name, given.get(name) ?? value])))
  return other
}

const inputOf = (seed: number): Tensor => {
  manualSeed(seed)
  return randn([2, 3, 8], { device })
}

async function run(layer: GatedAttention, seed: number, options: AttentionForwardOptions = {}): Promise<number[]> {
  const y = scope(() => noGrad(() => layer.forward(inputOf(seed), options)))
  const values = [...(await y.data())]
  y.dispose()
  return values
}

/** Float64: products of at most 8 terms of values up to 10, in another order. */
function expectSame(a: readonly number[], b: readonly number[]): void {
  expect(a).toHaveLength(b.length)
  const worst = a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0)
  expect(worst).toBeLessThan(1e-11)
}

const gates = fc.record<GateConfig>({
  position: fc.constantFrom('G1', 'G2', 'G3', 'G4', 'G5'),
  grain: fc.constantFrom('elementwise', 'headwise'),
  shared: fc.boolean(),
  op: fc.constantFrom('mul', 'add'),
  act: fc.constantFrom('sigmoid', 'silu', 'identity', 'nsSigmoid'),
  input: fc.constantFrom('x', 'none'),
})
const posts = fc.constantFrom<AttentionConfigInput['sdpaPost']>('none', 'headRmsNorm', 'silu')
const seeds = fc.integer({ min: 1, max: 1e6 })

/** Scores that do not change, whatever they were. */
const held = (value: number) => () => full([1, 1, 1, 1], value, { device })

describe('gateScores', () => {
  it('given back as they came change nothing, in every gate', async () => {
    await fc.assert(
      fc.asyncProperty(gates, posts, seeds, async (gate, sdpaPost, seed) => {
        const layer = layerOf({ gate, sdpaPost }, seed)
        let calls = 0
        const same = (scores: Tensor) => {
          calls++
          return scores
        }
        expectSame(await run(layer, seed, { gateScores: same }), await run(layer, seed))
        expect(calls).toBe(1)
        layer.dispose()
      }),
      { numRuns: 200 },
    )
  })

  it('that leave everything as it is, 1 times or 0 added, give the layer without a gate', async () => {
    await fc.assert(
      fc.asyncProperty(gates, posts, seeds, async (gate, sdpaPost, seed) => {
        const layer = layerOf({ gate, sdpaPost }, seed)
        const bare = await like(layer, { gate: 'none', sdpaPost })
        const neutral = held(gate.op === 'mul' ? 1 : 0)
        expectSame(await run(layer, seed, { gateScores: neutral }), await run(bare, seed))
        layer.dispose()
        bare.dispose()
      }),
      { numRuns: 200 },
    )
  })

  it('of c multiply the output by c where the gate is on values or outputs', async () => {
    const positions = fc.constantFrom('G1' as const, 'G2' as const, 'G5' as const)
    await fc.assert(
      fc.asyncProperty(gates, positions, fc.integer({ min: -4, max: 4 }), seeds, async (any, position, c, seed) => {
        const gate = { ...any, position, op: 'mul' } as const
        const layer = layerOf({ gate }, seed)
        const bare = await like(layer, { gate: 'none' })
        const y = await run(bare, seed)
        expectSame(
          await run(layer, seed, { gateScores: held(c) }),
          y.map((value) => c * value),
        )
        layer.dispose()
        bare.dispose()
      }),
      { numRuns: 200 },
    )
  })

  it('get the scores that an observer sees, and what is observed is what they give', async () => {
    await fc.assert(
      fc.asyncProperty(gates, seeds, async (gate, seed) => {
        const layer = layerOf({ gate }, seed)
        const seen: Tensor[] = []
        scope(() =>
          noGrad(() => {
            layer.forward(inputOf(seed), { observe: ({ gateScores }) => void seen.push(gateScores!) })
            layer.forward(inputOf(seed), {
              gateScores: (scores) => {
                seen.push(scores)
                return add(mul(scores, 2), 1)
              },
              observe: ({ gateScores }) => void seen.push(gateScores!),
            })
            return seen
          }),
        )
        const [plain, given, replaced] = await Promise.all(seen.map(async (t) => [...(await t.data())]))
        expect(given).toEqual(plain)
        expectSame(
          replaced,
          plain.map((score) => 2 * score + 1),
        )
        for (const t of new Set(seen)) t.dispose()
        layer.dispose()
      }),
      { numRuns: 200 },
    )
  })

  it('of another shape are refused', () => {
    const layer = layerOf({ gate: 'headwise' }, 1)
    const bad = (shape: number[]) => () =>
      scope(() => void layer.forward(inputOf(1), { gateScores: () => full(shape, 1, { device }) }))
    expect(bad([2, 3, 4, 2])).toThrow('GatedAttention: gateScores must give [2, 3, 4, 1], or what broadcasts to it')
    expect(bad([2, 3, 4])).toThrow('got [2, 3, 4]')
    expect(bad([1, 1, 4, 1])).not.toThrow()
    layer.dispose()
  })

  it('are asked for with the index of the layer, and not in delta layers', async () => {
    manualSeed(3)
    const layerTypes = ['attention', 'delta', 'attention'] as const
    const model = new Transformer({ vocabularySize: 7, width: 16, heads: 2, layerTypes, initStd: 0.3 }, { device })
    const asked: number[] = []
    scope(() =>
      noGrad(() => {
        const tokens = tensor([[1, 2, 3]], { dtype: 'int32', device })
        const gateScores = (scores: Tensor, layer: number) => {
          asked.push(layer)
          return scores
        }
        model.forward(tokens, { gateScores })
      }),
    )
    expect(asked).toEqual([0, 2])
    model.dispose()
  })
})

describe('ropeBase', () => {
  it('is the base of the positions for that call', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 1e6 }), seeds, async (base, seed) => {
        const layer = layerOf({ headWidth: 4, rope: { base: 10_000, dims: 4 } }, seed)
        const other = await like(layer, { headWidth: 4, rope: { base, dims: 4 } })
        const turned = await run(layer, seed, { ropeBase: base })
        expectSame(turned, await run(other, seed))
        // The slow pair turns by 1 / sqrt(base) a position: seen in float64 unless the bases are the same.
        if (base !== 10_000) expect(turned).not.toEqual(await run(layer, seed))
        layer.dispose()
        other.dispose()
      }),
      { numRuns: 200 },
    )
  })

  it('changes nothing without rotary positions', async () => {
    const layer = layerOf({ rope: null }, 4)
    expect(await run(layer, 4, { ropeBase: 7 })).toEqual(await run(layer, 4))
    layer.dispose()
  })

  it('reaches every layer of a model', async () => {
    const settings = { vocabularySize: 7, width: 16, heads: 2, layers: 2, initStd: 0.3 }
    manualSeed(3)
    const model = new Transformer(settings, { device })
    manualSeed(3)
    const other = new Transformer({ ...settings, rope: { base: 50 } }, { device })
    const logits = async (of: Transformer, ropeBase?: number) => {
      const y = scope(() =>
        noGrad(() => of.forward(tensor([[1, 2, 3, 4, 5]], { dtype: 'int32', device }), { ropeBase })),
      )
      const values = [...(await y.data())]
      y.dispose()
      return values
    }
    expectSame(await logits(model, 50), await logits(other))
    model.dispose()
    other.dispose()
  })
})
