import fc from 'fast-check'
import { type Tensor, tensor } from 'sluice'
import { expect, it } from 'vitest'
import { gradientsOf } from './10-walk.ts'

const device = 'reference'
const leaf = (...values: number[]): Tensor => tensor(values, { device, requiresGrad: true })

it('walks along one path', () => {
  const x = leaf(1, 2)
  expect(String(gradientsOf(x.mul(3).square()).get(x))).toBe('[18. 36.]')
})

it('adds where a tensor is used twice', () => {
  const x = leaf(3)
  expect(String(gradientsOf(x.mul(x)).get(x))).toBe('[6.]')
  const y = leaf(3)
  expect(String(gradientsOf(y.square().add(y.mul(5))).get(y))).toBe('[11.]')
})

it('adds at results on the way, too', () => {
  const x = leaf(2)
  const h = x.mul(4)
  const gradients = gradientsOf(h.mul(h).add(h))
  expect([String(gradients.get(h)), String(gradients.get(x))]).toEqual(['[17.]', '[68.]'])
})

/** Each step makes a tensor of two earlier ones; which, the numbers say. */
const programs = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.constantFrom('add', 'mul', 'sub')), {
  minLength: 1,
  maxLength: 6,
})

it('finds the gradients that the engine finds', () => {
  fc.assert(
    fc.property(programs, (program) => {
      const made = [leaf(0.5, -1), leaf(1.25, 0.75)]
      for (const [a, b, name] of program) made.push(made[a % made.length][name as 'add'](made[b % made.length]))
      const result = made[made.length - 1]
      const mine = gradientsOf(result)
      result.sum().backward()
      for (const x of made.slice(0, 2)) {
        const own = mine.get(x)
        if (x.grad) expect(own && String(own)).toBe(String(x.grad))
      }
    }),
  )
})
