import fc from 'fast-check'
import { deltaRule, ones, tensor } from 'sluice'
import { expect, it } from 'vitest'
import { parityCounter } from './07-parity.ts'

const device = 'reference'
const bits = fc.array(fc.constantFrom(0 as const, 1 as const), { minLength: 1, maxLength: 200 })

/** What a memory of one number reads after each bit. */
async function counted(given: readonly (0 | 1)[]): Promise<number[]> {
  const T = given.length
  const { start, beta, v } = parityCounter(given)
  const [k, state] = [ones([1, T, 1, 1], { device }), tensor([start], { shape: [1, 1, 1, 1], device })]
  const values = tensor([...v], { shape: [1, T, 1, 1], device })
  const betas = tensor([...beta], { shape: [1, T, 1], device })
  const { out } = deltaRule(k, k, values, betas, { scale: 1, state, mode: 'recurrent' })
  return Array.from(await out.data())
}

it('turns at a one and stays at a zero', async () => {
  expect(await counted([1, 0, 1, 1])).toEqual([-1, -1, 1, -1])
})

it('keeps to beta from 0 to 2', () => {
  fc.assert(fc.property(bits, (given) => parityCounter(given).beta.every((b) => b >= 0 && b <= 2)))
})

it('does not look ahead, or back: beta and v at a bit follow from that bit', () => {
  const [ones, mixed] = [parityCounter([1, 1, 1]), parityCounter([0, 1, 0])]
  expect([mixed.start, mixed.beta[1], mixed.v[1]]).toEqual([ones.start, ones.beta[2], ones.v[2]])
})

it('counts any number of them', async () => {
  await fc.assert(
    fc.asyncProperty(bits, async (given) => {
      let expected = 1
      const read = await counted(given)
      given.forEach((bit, t) => {
        if (bit === 1) expected = -expected
        expect(read[t]).toBeCloseTo(expected, 9)
      })
    }),
  )
})
