import fc from 'fast-check'
import { applyGate, manualSeed, randn, tensor } from 'sluice'
import { gradcheck } from 'sluice/check'
import { expect, it } from 'vitest'
import { sharedGate } from './06-shared-gate.ts'

const device = 'reference'

it('multiplies all heads by the same score', async () => {
  manualSeed(1)
  const y = tensor([1, 2, 3], { shape: [1, 1, 3, 1], device })
  const out = await sharedGate(y, randn([1, 1, 3, 1], { device })).data()
  expect(out[1] / out[0]).toBeCloseTo(2, 12)
  expect(out[2] / out[0]).toBeCloseTo(3, 12)
})

it('averages scores, not logits: logits of -40 and 0 give 1/4', async () => {
  const y = tensor([1, 1], { shape: [1, 1, 2, 1], device })
  const out = await sharedGate(y, tensor([-40, 0], { shape: [1, 1, 2, 1], device })).data()
  expect(out[0]).toBeCloseTo(0.25, 12)
})

it('is the gate of the engine', async () => {
  const size = fc.integer({ min: 1, max: 4 })
  await fc.assert(
    fc.asyncProperty(size, size, size, size, fc.nat(), async (B, T, H, D, seed) => {
      manualSeed(seed)
      const [y, logits] = [randn([B, T, H, D], { device }), randn([B, T, H, D], { device })]
      const difference = sharedGate(y, logits).sub(applyGate(y, logits, { shared: true }))
      expect(await difference.abs().max().item()).toBeLessThan(1e-12)
    }),
    { numRuns: 30 },
  )
})

it('has a gradient', async () => {
  manualSeed(2)
  const shape = [1, 2, 3, 2]
  await gradcheck(
    (y, logits) => sharedGate(y, logits).square().sum(),
    [randn(shape, { device }), randn(shape, { device })],
  )
})
