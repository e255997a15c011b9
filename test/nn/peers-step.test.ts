/** The whole stack against PyTorch: the same model, data and optimizer must give the same losses. */
import { describe, expect, it } from 'vitest'
import { hashBatch, hashModel, hashModelSizes } from '../../bench/hash-model.ts'
import { noGrad, scope } from '../../src/index.ts'

describe('the model of the engine comparisons', () => {
  it('has the losses that PyTorch prints, before and after 20 steps', async () => {
    const { tiny } = hashModelSizes
    const { model, optimizer } = hashModel(tiny)
    let first = Number.NaN
    for (let step = 0; step < 20; step++) {
      const loss = scope(() => {
        const { tokens, targets } = hashBatch(tiny, step)
        const value = model.loss(tokens, targets)
        value.backward()
        optimizer.step()
        optimizer.zeroGrad()
        return value
      })
      if (step === 0) first = await loss.item()
      loss.dispose()
    }
    const after = scope(() => {
      const { tokens, targets } = hashBatch(tiny, 0)
      return noGrad(() => model.loss(tokens, targets))
    })
    // Both engines compute in float32 and sum in different orders: 2^-24 = 6e-8 relative a rounding, which training
    // carries on. PyTorch's numbers have 5 decimals; 1e-4 leaves room for that and for 20 steps of drift.
    expect(Math.abs(first - 4.17304)).toBeLessThan(1e-4)
    expect(Math.abs((await after.item()) - 2.41261)).toBeLessThan(1e-4)
    after.dispose()
    optimizer.dispose()
    model.dispose()
  })
})
