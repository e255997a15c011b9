/** Configurations of random models that a family can express. */
import fc from 'fast-check'
import type { FamilyName } from '../../../src/hub/families/family.ts'
import { type TransformerConfig, transformerConfig } from '../../../src/nn/config.ts'

const small = fc.integer({ min: 1, max: 3 })

const anySize = fc.record({
  vocabularySize: fc.integer({ min: 1, max: 9 }),
  width: fc.integer({ min: 1, max: 9 }),
  layers: fc.integer({ min: 1, max: 5 }),
  group: small,
  keyValueHeads: small,
  half: small,
  feedForwardWidth: fc.integer({ min: 1, max: 9 }),
  tied: fc.boolean(),
  base: fc.constantFrom(10000, 1e6, 1e7),
  eps: fc.constantFrom(1e-6, 1e-5),
  contextLength: fc.integer({ min: 1, max: 300000 }),
})

const anyDelta = fc
  .record({ keyHeads: small, group: small, keyWidth: small, valueWidth: small, convolutionWidth: small })
  .map(({ group, ...delta }) => ({ ...delta, valueHeads: group * delta.keyHeads }))

const anyExperts = fc.record({
  count: fc.integer({ min: 2, max: 4 }),
  active: fc.integer({ min: 1, max: 2 }),
  width: small,
  sharedWidth: small,
  loadBalance: fc.constantFrom(0.001, 0),
})

/** Of the family, with everything that it can express. */
export function anyConfig(family: FamilyName): fc.Arbitrary<TransformerConfig> {
  return fc
    .record({
      size: anySize,
      delta: anyDelta,
      experts:
        family === 'qwen3_5_moe' ? anyExperts : family === 'qwen3_next' ? fc.option(anyExperts) : fc.constant(null),
      where: fc.record({ every: small, dense: fc.uniqueArray(fc.nat(4), { maxLength: 2 }), normalise: fc.boolean() }),
      isAttention: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
      dims: fc.nat(3),
      gate: fc.constantFrom('none' as const, 'headwise' as const, 'elementwise' as const),
      queryKeyNorm: fc.boolean(),
      bias: fc.boolean(),
      nextToken: fc.boolean(),
    })
    .map(({ size, delta, experts, where, isAttention, dims, gate, queryKeyNorm, bias, nextToken }) => {
      const { group, half, base, ...sizes } = size
      const heads = group * size.keyValueHeads
      const headWidth = 2 * half
      const isPaper = family === 'qwen3'
      const isNext = family === 'qwen3_next'
      return transformerConfig({
        ...sizes,
        heads,
        headWidth,
        layerTypes: isAttention.slice(0, size.layers).map((is) => (is || isPaper ? 'attention' : 'delta')),
        gate: isPaper ? gate : 'elementwise',
        queryKeyNorm: isPaper ? queryKeyNorm : true,
        zeroCentredNorm: !isPaper,
        bias,
        rope: { base, dims: isPaper ? headWidth : 2 * Math.max(1, Math.min(dims, half)) },
        delta,
        experts: experts && {
          ...experts,
          ...(isNext ? { ...where, dense: where.dense.filter((layer) => layer < size.layers) } : {}),
        },
        multiTokenPrediction: nextToken && !isPaper ? {} : null,
      })
    })
}
