/** `capture` on webgpu: the bits of the eager run, one submit a replay, no growth. */
import { beforeAll, expect, test } from 'vitest'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { capture, device, manualSeed, rand, scope, type Tensor, tensor } from '../../src/index.ts'
import { Transformer } from '../../src/nn/index.ts'
import { AdamW, clipGradNorm, decayGroups, SGD } from '../../src/optim/index.ts'
import { describeWebgpu } from './adapter.ts'

describeWebgpu('capture on webgpu', () => {
  let gpu: WebGpuDevice
  beforeAll(async () => {
    gpu = (await device('webgpu')) as WebGpuDevice
  })

  const on = { device: 'webgpu' }
  const optimizers = {
    sgd: (model: Transformer) => new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 }),
    adamw: (model: Transformer) => new AdamW(decayGroups(model, 0.1), { lr: 1e-2 }),
  } as const

  /** Losses, norms and weights of five steps with a changing rate; `seen` is called around every step. */
  async function training(
    name: keyof typeof optimizers,
    isCaptured: boolean,
    around: (step: () => Tensor[]) => Tensor[],
  ): Promise<number[]> {
    manualSeed(3)
    const model = new Transformer({ vocabularySize: 11, width: 16, layers: 1, heads: 2, dropout: 0.25 }, on)
    const optimizer = optimizers[name](model)
    const body = (tokens: Tensor, targets: Tensor) => {
      const loss = model.loss(tokens, targets, { training: true })
      loss.backward()
      const norm = clipGradNorm(model.parameters(), 1)
      optimizer.step()
      optimizer.zeroGrad()
      return [loss, norm]
    }
    const program = capture(body)
    const found: number[] = []
    for (let step = 0; step < 5; step++) {
      optimizer.lr = 0.02 / (1 + step)
      const ids = (shift: number) =>
        tensor(
          Int32Array.from({ length: 12 }, (_, i) => (7 * i + step + shift) % 11),
          { shape: [2, 6], ...on },
        )
      const given = [ids(0), ids(1)] as const
      const results = around(() => (isCaptured ? program(...given) : scope(() => body(...given))))
      found.push(...(await Promise.all(results.map((t) => t.item()))))
      for (const t of [...given, ...results]) t.dispose()
    }
    for (const p of model.parameters()) found.push(...(await p.data()))
    program.dispose()
    optimizer.dispose()
    model.dispose()
    return found
  }

  test.each(['sgd', 'adamw'] as const)('training with %s gives the bits of the eager run', async (name) => {
    const eager = await training(name, false, (step) => step())
    expect(eager.every(Number.isFinite)).toBe(true)
    expect(await training(name, true, (step) => step())).toEqual(eager)
  })

  test('a replay is one submit, and keeps the buffers it has', async () => {
    const submits: number[] = []
    const buffers: number[] = []
    const blocks: number[] = []
    await training('adamw', true, (step) => {
      const before = gpu.commands.submits
      const results = step()
      submits.push(gpu.commands.submits - before)
      buffers.push(gpu.statistics().buffers)
      blocks.push(gpu.pool.statistics.blocks)
      return results
    })
    expect(submits.slice(1)).toEqual([1, 1, 1, 1])
    expect(new Set(buffers.slice(1)).size).toBe(1)
    expect(new Set(blocks.slice(2)).size).toBe(1)
  })

  test('random tensors are drawn afresh where nothing was read, nor submitted, between the calls', async () => {
    const body = (x: Tensor) =>
      x
        .mul(2)
        .add(rand([4], on))
        .mul(3)
    const x = tensor([1, 2, 3, 4], on)
    const drawn = async (step: (x: Tensor) => Tensor) => {
      manualSeed(5)
      await gpu.finish()
      const results = [0, 1, 2, 3].map(() => step(x))
      const found = await Promise.all(results.map((t) => t.array()))
      for (const t of results) t.dispose()
      return found
    }
    const eager = await drawn((given) => scope(() => body(given)))
    const program = capture(body)
    expect(await drawn(program)).toEqual(eager)
    program.dispose()
    x.dispose()
  })

  test('what is made, trained and disposed leaves nothing behind', async () => {
    const before = gpu.statistics()
    await training('adamw', true, (step) => step())
    await training('adamw', false, (step) => step())
    expect(gpu.statistics()).toEqual(before)
  })
})
