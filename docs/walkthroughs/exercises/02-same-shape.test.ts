import fc from 'fast-check'
import { type Tensor, tensor } from 'sluice'
import { arb } from 'sluice/check'
import { expect, it } from 'vitest'
import { meanSquaredError } from './02-same-shape.ts'

it('is the mean of the squared differences', async () => {
  expect(await meanSquaredError(tensor([1, 2]), tensor([3, 2])).item()).toBe(2)
})

const message = (predicted: Tensor, target: Tensor): string => {
  try {
    meanSquaredError(predicted, target)
  } catch (error) {
    return String(error)
  }
  return 'no error'
}

it('names both shapes when they differ', () => {
  const found = message(tensor([[1], [2], [3], [4]]), tensor([1, 2, 3, 4]))
  expect(found).toContain('[4, 1]')
  expect(found).toMatch(/\[4\]/)
})

it('takes equal shapes, and no others', () => {
  const pairs = arb.broadcastable().chain(([a, b]) => fc.tuple(arb.tensor(a), arb.tensor(b)))
  fc.assert(
    fc.property(pairs, ([a, b]) => {
      const same = String(a.shape) === String(b.shape) && a.rank === b.rank
      expect(message(a, b) === 'no error').toBe(same)
    }),
  )
})
