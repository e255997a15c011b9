import fc from 'fast-check'
import { expect, it } from 'vitest'
import { merge, type Part } from './05-merge.ts'

interface Key {
  readonly score: number
  readonly value: number
}

const part = ({ score, value }: Key): Part =>
  score === -Infinity
    ? { largest: score, sum: 0, mixture: [0, 0] }
    : { largest: score, sum: 1, mixture: [value, 2 * value] }

const keys = fc.array(
  fc.record({
    score: fc.oneof(fc.integer({ min: -1000, max: 1000 }), fc.constant(-Infinity)),
    value: fc.integer({ min: -4, max: 4 }),
  }),
  { minLength: 1, maxLength: 6 },
)

/** Merges a list in halves, cut where `cuts` says. */
function inHalves(list: readonly Key[], cuts: readonly number[]): Part {
  if (list.length === 1) return part(list[0])
  const cut = 1 + (cuts[0] % (list.length - 1))
  return merge(inHalves(list.slice(0, cut), cuts.slice(1)), inHalves(list.slice(cut), cuts.slice(1)))
}

it('gives softmax of the whole, however it is cut', () => {
  fc.assert(
    fc.property(keys, fc.array(fc.nat({ max: 9 }), { minLength: 6, maxLength: 6 }), (list, cuts) => {
      const largest = Math.max(...list.map(({ score }) => score))
      fc.pre(largest > -Infinity)
      const terms = list.map(({ score }) => Math.exp(score - largest))
      const sum = terms.reduce((total, term) => total + term, 0)
      const wanted = terms.reduce((total, term, i) => total + term * list[i].value, 0) / sum
      const found = inHalves(list, cuts)
      // At most six terms of size 4: rounding stays far below 1e-12.
      expect(found.mixture[0] / found.sum).toBeCloseTo(wanted, 12)
      expect(found.mixture[1] / found.sum).toBeCloseTo(2 * wanted, 12)
    }),
  )
})

it('merges two parts of masked keys into another', () => {
  const masked = part({ score: -Infinity, value: 1 })
  expect(merge(masked, masked)).toEqual(masked)
})
