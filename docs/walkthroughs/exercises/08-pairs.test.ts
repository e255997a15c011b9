import fc from 'fast-check'
import { expect, it } from 'vitest'
import { pairModel } from './08-pairs.ts'

const texts = fc
  .integer({ min: 1, max: 6 })
  .chain((V) => fc.record({ V: fc.constant(V), ids: fc.array(fc.nat(V - 1), { maxLength: 30 }) }))

it('counts', () => {
  const p = pairModel([0, 1, 0, 1, 0, 2], 3)
  expect(p(0, 1)).toBeCloseTo((2 + 1) / (3 + 3), 12)
  expect(p(1, 0)).toBeCloseTo((2 + 1) / (2 + 3), 12)
  expect(p(1, 2)).toBeCloseTo(1 / 5, 12)
})

it('takes what never came before anything for anything', () => {
  expect(pairModel([0, 1], 4)(1, 3)).toBeCloseTo(1 / 4, 12)
})

it('gives probabilities: they sum to 1 after every token', () => {
  fc.assert(
    fc.property(texts, ({ V, ids }) => {
      const p = pairModel(ids, V)
      for (let previous = 0; previous < V; previous++) {
        const sum = Array.from({ length: V }, (_, next) => p(previous, next)).reduce((a, b) => a + b, 0)
        expect(sum).toBeCloseTo(1, 12)
      }
    }),
  )
})

it('learns a text that repeats', () => {
  const ids = Array.from({ length: 300 }, (_, i) => i % 3)
  expect(pairModel(ids, 3)(1, 2)).toBeGreaterThan(0.95)
})
