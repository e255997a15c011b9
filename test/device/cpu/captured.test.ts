/** A training step captured on the cpu device: the same bits as eager, for every number of threads. */
import { afterAll, expect, test } from 'vitest'
import { CpuDevice } from '../../../src/device/cpu/cpu.ts'
import { registerDevice, setDevice } from '../../../src/device/registry.ts'
import { capture, manualSeed, scope, type Tensor, tensor } from '../../../src/index.ts'
import { Transformer, type TransformerConfigInput } from '../../../src/nn/index.ts'
import { AdamW, clipGradNorm, decayGroups } from '../../../src/optim/index.ts'

const devices = new Map([1, 2, 3].map((threads) => [`cpu of ${threads}`, new CpuDevice({ threads })]))
for (const [name, device] of devices) registerDevice(name, () => Promise.resolve(Object.assign(device, { name })))
afterAll(async () => {
  await setDevice('cpu')
  for (const device of devices.values()) device.destroy()
})

const B = 3
const T = 17

/** Losses, norms and the weights after some steps, as text: two of them agree to the last bit or not at all. */
async function trained(device: string, config: Partial<TransformerConfigInput>, isCaptured: boolean): Promise<string> {
  await setDevice(device)
  manualSeed(5)
  const model = new Transformer({ vocabularySize: 29, width: 32, layers: 2, heads: 4, contextLength: T, ...config })
  const optimizer = new AdamW(decayGroups(model, 0.1), { lr: 3e-3 })
  const body = (tokens: Tensor, targets: Tensor) => {
    const loss = model.loss(tokens, targets, { training: true })
    loss.backward()
    const norm = clipGradNorm(model.parameters(), 1)
    optimizer.step()
    optimizer.zeroGrad()
    return [loss, norm]
  }
  const program = isCaptured ? capture(body) : undefined
  const step = program ?? ((...given: [Tensor, Tensor]) => scope(() => body(...given)))
  const seen: number[] = []
  for (let i = 0; i < 5; i++) {
    const ids = (shift: number) => Int32Array.from({ length: B * T }, (_, j) => (j * 7 + (i % 3) + shift) % 29)
    const [tokens, targets] = [0, 1].map((shift) => tensor(ids(shift), { shape: [B, T] }))
    const results = step(tokens, targets)
    for (const t of [...results, tokens, targets]) {
      if (t !== tokens && t !== targets) seen.push(await t.item())
      t.dispose()
    }
  }
  for (const parameter of model.parameters()) seen.push(...(await parameter.data()))
  program?.dispose()
  optimizer.dispose()
  model.dispose()
  return seen.join()
}

const models: Record<string, Partial<TransformerConfigInput>> = {
  'gated attention': { gate: 'elementwise', feedForward: 'gelu', position: 'learned' },
  'grouped heads, rotary positions, headwise gate': { gate: 'headwise', keyValueHeads: 2 },
  dropout: { dropout: 0.2 },
  // Products over 320: their sums come in two blocks, and what is added to them comes last.
  'sums of several blocks': { width: 80, layers: 1, feedForward: 'gelu' },
}

test.each(Object.entries(models))('%s', async (_, config) => {
  // Workers that are starting take no part yet: results do not depend on it, but all threads shall be tested.
  for (const { pool } of devices.values()) {
    pool.start()
    const start = Date.now()
    while (pool.ready < pool.threads && Date.now() - start < 20_000) await new Promise((done) => setTimeout(done, 5))
    expect(pool.ready).toBe(pool.threads)
  }
  const expected = await trained('cpu of 1', config, false)
  for (const name of devices.keys()) {
    expect(await trained(name, config, true)).toBe(expected)
    expect(await trained(name, config, false)).toBe(expected)
  }
})
