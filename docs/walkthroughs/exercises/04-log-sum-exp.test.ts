import { grad, tensor } from 'sluice'
import { checkOp } from 'sluice/check'
import { expect, it } from 'vitest'
import { logSumExp } from './04-log-sum-exp.ts'

it('has the gradient that nudging finds, and every other property', async () => {
  const rows = await checkOp(logSumExp, { seed: 1, numRuns: 60 })
  expect(rows.map(({ kind }) => kind)).toEqual(['gradient', 'second order', 'linearity', 'parity'])
})

it('has a gradient where e^x is too large for any number', async () => {
  const x = tensor([1000, 1000], { device: 'reference' })
  const found = await grad((t) => logSumExp(t).sum())(x).data()
  // e^(x - y) with y near 1000, where float64 has 13 digits behind the point.
  for (const share of found) expect(share).toBeCloseTo(0.5, 10)
})
