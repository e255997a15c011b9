import fc from 'fast-check'
import { expect, it } from 'vitest'
import { softmax } from './05-softmax.ts'

const score = fc.oneof(fc.integer({ min: -2000, max: 2000 }), fc.constant(-Infinity))
const rows = fc.array(score, { minLength: 1, maxLength: 6 }).filter((row) => row.some(Number.isFinite))

it('gives shares that add up to 1', () => {
  fc.assert(
    fc.property(rows, (row) => {
      const sum = softmax(row).reduce((total, share) => total + share, 0)
      expect(sum).toBeCloseTo(1, 12)
    }),
  )
})

it('gives 0 to -Infinity, and the rest by their exponentials', () => {
  const [a, b, c] = softmax([0, -Infinity, Math.log(3)])
  expect(b).toBe(0)
  expect([a, c]).toEqual([expect.closeTo(0.25, 12), expect.closeTo(0.75, 12)])
})

it('changes nothing when all scores grow by the same', () => {
  fc.assert(
    fc.property(rows, fc.integer({ min: -1000, max: 1000 }), (row, shift) => {
      const shifted = softmax(row.map((x) => x + shift))
      softmax(row).forEach((share, i) => {
        expect(shifted[i]).toBeCloseTo(share, 12)
      })
    }),
  )
})
