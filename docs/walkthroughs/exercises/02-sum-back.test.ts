import fc from 'fast-check'
import { grad, zeros } from 'sluice'
import { arb } from 'sluice/check'
import { expect, it } from 'vitest'
import { sumBack } from './02-sum-back.ts'

it('sums the rows for a bias', () => {
  expect([...sumBack(Float64Array.of(1, 2, 10, 20, 100, 200), [3, 2], [2])]).toEqual([111, 222])
})

it('sums each row for a column', () => {
  expect([...sumBack(Float64Array.of(1, 2, 10, 20, 100, 200), [3, 2], [3, 1])]).toEqual([3, 30, 300])
})

it('sums everything for a single number', () => {
  expect([...sumBack(Float64Array.of(1, 2, 3, 4), [2, 2], [])]).toEqual([10])
})

it('changes nothing where nothing was repeated', () => {
  expect([...sumBack(Float64Array.of(1, 2, 3, 4), [2, 2], [2, 2])]).toEqual([1, 2, 3, 4])
})

/** A tensor's own shape, and a gradient of the shape that it is broadcast to. */
const cases = arb
  .broadcastable()
  .chain(([own, other]) => fc.tuple(fc.constant(own), arb.tensor(zeros(own).add(zeros(other)).shape)))

it('agrees with the library for every pair of shapes', async () => {
  await fc.assert(
    fc.asyncProperty(cases, async ([to, gradient]) => {
      const wanted = grad((x) => x.mul(gradient).sum())(zeros(to, { device: 'reference' }))
      const found = sumBack((await gradient.data()) as Float64Array, gradient.shape, to)
      expect([...found]).toEqual([...(await wanted.data())])
    }),
  )
})
