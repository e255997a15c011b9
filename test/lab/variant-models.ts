/** Helpers for tests of variants: small baselines, their models, tokens. */
import fc from 'fast-check'
import { type Tensor, tensor } from '../../src/index.ts'
import type { ModelSettings, Variant } from '../../src/lab/variants.ts'
import { Transformer } from '../../src/nn/index.ts'
import { randomise } from '../nn/module-check.ts'

/** Vocabulary of all models here. */
export const V = 5

export interface Drawn {
  readonly base: ModelSettings
  readonly B: number
  readonly T: number
  readonly seed: number
}

/** Baselines as small as have every part: two query heads to a key-value head, two layers for the hybrid. */
export const drawn = (layers: number): fc.Arbitrary<Drawn> =>
  fc.record({
    base: fc
      .record({
        width: fc.integer({ min: 2, max: 4 }),
        layers: fc.constant(layers),
        keyValueHeads: fc.integer({ min: 1, max: 2 }),
        headWidth: fc.integer({ min: 2, max: 3 }),
        feedForwardWidth: fc.integer({ min: 2, max: 3 }),
        experts: fc.option(fc.constantFrom({ count: 2, active: 1 }, { count: 3, active: 2, width: 2 })),
        tied: fc.boolean(),
      })
      .map((base) => ({ ...base, heads: 2 * base.keyValueHeads })),
    B: fc.integer({ min: 1, max: 2 }),
    T: fc.integer({ min: 1, max: 3 }),
    seed: fc.integer({ min: 0, max: 1000 }),
  })

export const layersOf = ({ name }: Variant): number => (name === 'gated-delta-hybrid' ? 2 : 1)

export function modelOf(settings: ModelSettings, seed: number, device = 'reference'): Transformer {
  const model = new Transformer({ ...settings, vocabularySize: V }, { device })
  randomise(model, seed)
  return model
}

/** Tokens that depend on the seed alone. */
export function tokensOf({ B, T, seed }: Omit<Drawn, 'base'>, device = 'reference'): Tensor {
  const values = Int32Array.from({ length: B * T }, (_, i) => (((seed + 1) * (i + 3) ** 2) % 101) % V)
  return tensor(values, { shape: [B, T], device })
}
