/** The GPU bench on whatever adapter there is: its products are right, eager and captured steps are the same. */
import { expect, it } from 'vitest'
import { measureProduct } from '../../bench/gpu/products.ts'
import { productCases, productFlops } from '../../bench/gpu/settings.ts'
import { measureTraining, profileTraining } from '../../bench/gpu/training.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { setDevice } from '../../src/index.ts'
import { describeWebgpu } from './adapter.ts'

describeWebgpu('the GPU bench', () => {
  const size = { layers: 1, width: 16, heads: 2, T: 8, B: 2, batches: 2, losses: null }

  it('measures a product of every layout, and refuses what the adapter cannot bind', async () => {
    const device = (await setDevice('webgpu')) as WebGpuDevice
    const cases = productCases(8192, true).map((given) => ({
      ...given,
      m: Math.min(given.m, 24),
      k: Math.min(given.k, 20),
      n: Math.min(given.n, 28),
    }))
    for (const given of cases) {
      const found = await measureProduct(device, given, 1)
      if (typeof found === 'string') throw new Error(found)
      expect(found.milliseconds).toBeGreaterThan(0)
      expect(found.tflops * found.milliseconds * 1e9).toBeCloseTo(productFlops(given), 3)
    }
    const huge = { row: 'huge', batch: 1, m: 2 ** 20, k: 2 ** 20, n: 1, layout: 'NN' } as const
    expect(await measureProduct(device, huge, 1)).toMatch(/this adapter binds/)
  }, 60_000)

  it('steps to the same losses, eager and captured, and leaves nothing behind', async () => {
    const device = (await setDevice('webgpu')) as WebGpuDevice
    const before = device.statistics().buffers
    const captured = await measureTraining(device, 'own', size, 'captured', 1, true)
    const eager = await measureTraining(device, 'own', size, 'eager', 1, true)
    expect([captured.loss0, captured.lossAfterK]).toEqual([eager.loss0, eager.lossAfterK])
    expect(captured.lossAfterK).toBeLessThan(captured.loss0)
    expect(await profileTraining(device, 'own', size, 1)).toBe('this device takes no timestamps')
    expect(device.statistics().buffers).toBe(before)
  }, 60_000)
})
