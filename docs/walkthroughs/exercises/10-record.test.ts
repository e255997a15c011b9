import { tensor } from 'sluice'
import { checkOp } from 'sluice/check'
import { expect, it } from 'vitest'
import { softsign } from './10-record.ts'

it('squeezes', async () => {
  const y = await softsign(tensor([-3, 0, 1, 1e6], { device: 'reference' })).data()
  ;[-0.75, 0, 0.5, 1].forEach((expected, i) => {
    expect(y[i]).toBeCloseTo(expected, 5)
  })
})

it('has the slope 1 / (1 + |x|)²', () => {
  const x = tensor([-1, 3], { device: 'reference', requiresGrad: true })
  softsign(x).sum().backward()
  expect(String(x.grad)).toBe('[0.25   0.0625]')
})

it('is proved: differences, second order, float32 against float64', async () => {
  await checkOp(softsign)
})
