import fc from 'fast-check'
import { crossEntropy, tensor } from 'sluice'
import { expect, it } from 'vitest'
import { lossOf } from './08-loss.ts'

const logit = fc.integer({ min: -40, max: 40 }).map((n) => n / 8)
const guesses = fc
  .array(logit, { minLength: 1, maxLength: 8 })
  .chain((logits) => fc.record({ logits: fc.constant(logits), target: fc.nat(logits.length - 1) }))

it('is the logarithm of how many there are, when all are alike', () => {
  expect(lossOf([2, 2, 2, 2], 1)).toBeCloseTo(Math.log(4), 12)
})

it('does not change when all logits grow by the same', () => {
  fc.assert(
    fc.property(guesses, ({ logits, target }) => {
      const grown = logits.map((value) => value + 3)
      expect(lossOf(grown, target)).toBeCloseTo(lossOf(logits, target), 10)
    }),
  )
})

it('is finite where e^logit is not', () => {
  expect(lossOf([1000, 1000], 0)).toBeCloseTo(Math.LN2, 12)
  expect(lossOf([1000, 0], 1)).toBeCloseTo(1000, 9)
  expect(lossOf([-1000, -1000], 1)).toBeCloseTo(Math.LN2, 12)
})

it('is what the engine computes', async () => {
  await fc.assert(
    fc.asyncProperty(guesses, async ({ logits, target }) => {
      const one = tensor([logits], { device: 'reference' })
      const engine = crossEntropy(one, tensor(Int32Array.of(target), { device: 'reference' }))
      expect(lossOf(logits, target)).toBeCloseTo(await engine.item(), 10)
    }),
  )
})
