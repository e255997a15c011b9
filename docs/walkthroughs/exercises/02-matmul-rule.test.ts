import fc from 'fast-check'
import { grad } from 'sluice'
import { arb } from 'sluice/check'
import { expect, it } from 'vitest'
import { gradients } from './02-matmul-rule.ts'

const size = fc.integer({ min: 1, max: 4 })
const cases = fc
  .tuple(size, size, size)
  .chain(([m, n, k]) => fc.tuple(arb.tensor([m, n]), arb.tensor([m, k]), arb.tensor([n, k])))

it('gives gradients of the shapes of A and B', () => {
  fc.assert(
    fc.property(cases, ([dY, A, B]) => {
      expect(gradients(dY, A, B).map(({ shape }) => shape)).toEqual([A.shape, B.shape])
    }),
  )
})

it('agrees with the library', async () => {
  await fc.assert(
    fc.asyncProperty(cases, async ([dY, A, B]) => {
      const wanted = grad((a, b) => a.matmul(b.transpose()).mul(dY).sum())(A, B)
      const found = gradients(dY, A, B)
      // Multiples of 1/64, whose sums float64 holds exactly; + 0 makes one zero of two.
      for (const i of [0, 1]) expect(await found[i].add(0).array()).toEqual(await wanted[i].add(0).array())
    }),
  )
})
