import { tensor } from 'sluice'
import { checkOp } from 'sluice/check'
import { expect, it } from 'vitest'
import { softcap } from './04-softcap.ts'

it('still computes c tanh(x / c)', async () => {
  const x = tensor([-3, 0.5], { device: 'reference' })
  expect(await softcap(x, tensor(2, { device: 'reference' })).array()).toEqual(
    [-1.5, 0.25].map((t) => 2 * Math.tanh(t)),
  )
})

it('has the gradient that nudging finds, and every other property', async () => {
  const rows = await checkOp(softcap, { seed: 1, numRuns: 60 })
  const kinds = rows.map(({ kind }) => kind)
  expect(kinds).toEqual(['gradient', 'second order', 'linearity', 'broadcast', 'parity'])
})
