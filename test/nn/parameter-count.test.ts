/** The number of parameters from settings alone, against models that are made. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parameterCount, Transformer, type TransformerConfigInput } from '../../src/nn/index.ts'
import { RUNS, SEED } from '../check/runs.ts'

const small = (max: number) => fc.integer({ min: 1, max })

const gates = fc.oneof(
  fc.constant('none' as const),
  fc.record({
    position: fc.constantFrom('G1' as const, 'G2' as const, 'G3' as const, 'G4' as const, 'G5' as const),
    grain: fc.constantFrom('elementwise' as const, 'headwise' as const),
    shared: fc.boolean(),
    input: fc.constantFrom('x' as const, 'none' as const),
  }),
)

const delta = fc
  .record({
    rule: fc.constantFrom('gatedDelta' as const, 'delta' as const, 'kda' as const),
    keyHeads: small(2),
    group: small(2),
    keyWidth: small(3),
    valueWidth: small(3),
    convolutionWidth: small(4),
    outputGate: fc.constantFrom('silu' as const, 'none' as const),
  })
  .map(({ group, ...rest }) => ({ ...rest, valueHeads: group * rest.keyHeads }))

const experts = fc.record({
  count: fc.integer({ min: 2, max: 3 }),
  active: small(2),
  width: small(3),
  sharedWidth: fc.integer({ min: 0, max: 2 }),
  every: small(2),
  dense: fc.constantFrom([], [0]),
})

const settings: fc.Arbitrary<TransformerConfigInput> = fc
  .record({
    vocabularySize: small(5),
    width: small(5),
    keyValueHeads: small(2),
    group: small(2),
    headWidth: small(4),
    layerTypes: fc.array(fc.constantFrom('attention' as const, 'delta' as const), { minLength: 1, maxLength: 3 }),
    gate: gates,
    switchHead: fc.option(
      fc.record({
        maps: fc.constantFrom('value' as const, 'keyValue' as const),
        count: small(3),
        active: fc.constant(1),
      }),
    ),
    sdpaPost: fc.constantFrom('none' as const, 'headRmsNorm' as const, 'silu' as const),
    queryKeyNorm: fc.boolean(),
    bias: fc.boolean(),
    delta,
    experts: fc.option(experts),
    multiTokenPrediction: fc.option(fc.constant({})),
    feedForward: fc.constantFrom('swiglu' as const, 'gelu' as const),
    feedForwardWidth: small(6),
    norm: fc.constantFrom('pre' as const, 'sandwich' as const),
    position: fc.constantFrom('rope' as const, 'learned' as const, 'none' as const),
    contextLength: small(4),
    tied: fc.boolean(),
  })
  .map(({ group, ...rest }) => ({ ...rest, heads: group * rest.keyValueHeads }))

describe('parameterCount', () => {
  it('is that of the model, for all settings', () => {
    fc.assert(
      fc.property(settings, (given) => {
        const model = new Transformer(given)
        const { parameterCount: counted } = model
        model.dispose()
        expect(parameterCount(given)).toBe(counted)
      }),
      { numRuns: 2 * RUNS, seed: SEED },
    )
  })

  it('is that of the paper’s released checkpoints', () => {
    // Sizes of their tensors, without the tied head: spec of the three 1.7 B models.
    const base: TransformerConfigInput = {
      ...{ vocabularySize: 152064, width: 2048, layers: 28, heads: 16, keyValueHeads: 8, headWidth: 128 },
      ...{ feedForwardWidth: 6144, tied: true },
    }
    const millions = (more: Partial<TransformerConfigInput>) => parameterCount({ ...base, ...more }) / 1e6
    expect(millions({ gate: 'none' })).toBeCloseTo(1720.84, 1)
    expect(millions({ gate: 'headwise' })).toBeCloseTo(1721.75, 1)
    expect(millions({ gate: 'elementwise', feedForwardWidth: 5504 })).toBeCloseTo(1728.18, 1)
  })

  it('refuses what the model refuses', () => {
    expect(() => parameterCount({ vocabularySize: 5, heads: 3 })).toThrow(/does not divide into 3 heads/)
  })
})
