import fc from 'fast-check'
import { manualSeed, tensor } from 'sluice'
import { Transformer, transformerConfig } from 'sluice/nn'
import { expect, it } from 'vitest'
import { numbersKept } from './09-kept.ts'

const hybrid = (layers: number, interval: number, more: object = {}) =>
  transformerConfig({ vocabularySize: 8, width: 16, heads: 2, layers, fullAttentionInterval: interval, ...more })

it('counts attention: 2 layers, 2 heads of 8, 10 tokens', () => {
  expect(numbersKept(hybrid(2, 1), 10)).toBe(2 * 2 * 2 * 8 * 10)
})

it('counts delta layers: matrices and the last three inputs', () => {
  expect(numbersKept(hybrid(1, 0), 10)).toBe(2 * 8 * 8 + 3 * (3 * 16))
})

it('does not grow with the text where there is no attention', () => {
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 1e6 }), (tokens) => {
      expect(numbersKept(hybrid(3, 0), tokens)).toBe(numbersKept(hybrid(3, 0), 3))
    }),
  )
})

it('is the size of a cache that was filled', () => {
  const cases = fc.record({
    layers: fc.integer({ min: 1, max: 4 }),
    interval: fc.integer({ min: 0, max: 3 }),
    keyValueHeads: fc.constantFrom(1, 2),
    valueHeads: fc.constantFrom(2, 4),
    valueWidth: fc.constantFrom(4, 8),
    tokens: fc.integer({ min: 3, max: 7 }),
  })
  fc.assert(
    fc.property(cases, ({ layers, interval, keyValueHeads, valueHeads, valueWidth, tokens }) => {
      manualSeed(1)
      const config = hybrid(layers, interval, {
        keyValueHeads,
        delta: { keyHeads: 2, valueHeads, keyWidth: 8, valueWidth },
      })
      const model = new Transformer(config, { device: 'reference' })
      const cache = model.createCache()
      model.forward(tensor(new Int32Array(tokens), { shape: [1, tokens], device: 'reference' }), { cache })
      let size = 0
      for (const layer of cache.layers) {
        if (layer.type === 'delta') size += layer.state!.size + layer.inputs.reduce((sum, t) => sum + t.size, 0)
        else size += layer.length * 2 * config.keyValueHeads * config.headWidth
      }
      expect(numbersKept(config, tokens)).toBe(size)
      cache.dispose()
      model.dispose()
    }),
    { numRuns: 20 },
  )
})
