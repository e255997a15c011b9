/** A gated transformer learns to count from 0 to 15 and round again: a few seconds on any machine. */
import { manualSeed, scope, tensor } from 'sluice'
import { Transformer } from 'sluice/nn'
import { AdamW, clipGradNorm, decayGroups } from 'sluice/optim'

const [B, T, V] = [4, 16, 16]

manualSeed(1)
const model = new Transformer({ vocabularySize: V, width: 32, layers: 2, heads: 4, gate: 'elementwise' })
const optimizer = new AdamW(decayGroups(model, 0.1), { lr: 1e-2 })
// Row b begins at 3 b; the target of each position is the token that follows.
const count = (first: number) => Int32Array.from({ length: B * T }, (_, i) => (first + 3 * Math.floor(i / T) + i) % V)
const tokens = tensor(count(0), { shape: [B, T] })
const targets = tensor(count(1), { shape: [B, T] })

for (let step = 1; step <= 60; step++) {
  // What a step makes and does not return is freed when its scope ends.
  const loss = scope(() => {
    const loss = model.loss(tokens, targets)
    loss.backward()
    clipGradNorm(model.parameters(), 1)
    optimizer.step()
    optimizer.zeroGrad()
    return loss
  })
  if (step % 20 === 0) console.log(`step ${step}: loss ${(await loss.item()).toFixed(4)}`)
  loss.dispose()
}
