/** The whole stack against PyTorch: the same model, data and optimizer must give the same losses. */
import { describe, expect, it } from 'vitest'
import { noGrad, scope } from '../../src/index.ts'
import { Transformer } from '../../src/nn/index.ts'
import { AdamW, decayGroups } from '../../src/optim/index.ts'
import { hashBatch, hashWeights, tiny } from './hash-model.ts'

describe('the model of the engine comparisons', () => {
  it('has the losses that PyTorch prints, before and after 20 steps', async () => {
    const model = new Transformer({
      vocabularySize: tiny.V,
      width: tiny.width,
      layers: tiny.layers,
      heads: tiny.heads,
      gate: 'elementwise',
      feedForward: 'gelu',
      position: 'learned',
      contextLength: tiny.T,
      queryKeyNorm: false,
      eps: 1e-5,
      tied: false,
    })
    model.loadStateDict(hashWeights())
    const optimizer = new AdamW(decayGroups(model, 0.1), { lr: 1e-3, betas: [0.9, 0.95], eps: 1e-8 })
    let first = Number.NaN
    for (let step = 0; step < 20; step++) {
      const loss = scope(() => {
        const { tokens, targets } = hashBatch(step)
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
      const { tokens, targets } = hashBatch(0)
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
