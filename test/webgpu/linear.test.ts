/** A linear layer in one launch against its composition in float64, with its gradients. */
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { type Activation, linearActivations, linearKernels } from '../../kernels/fused-linear.ts'
import { gradients } from '../../src/autograd/tape.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { mul, noGrad, scope, sum, type Tensor, tensor } from '../../src/index.ts'
import { FeedForward, Linear } from '../../src/nn/index.ts'
import { linear } from '../../src/ops/linear.ts'
import { describeWebgpu } from './adapter.ts'
import { openWebgpu } from './launch.ts'

let gpu: WebGpuDevice

const devices = ['reference', 'webgpu'] as const

function numbers(seed: number, length: number): number[] {
  let state = seed >>> 0
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.fround(state / 2 ** 31 - 1)
  })
}

interface Layer {
  readonly batch: readonly number[]
  readonly k: number
  readonly n: number
  readonly hasBias: boolean
  readonly activation: Activation
  readonly seed: number
}

/** The result, the gradients of its weighted sum, and those of the sum of the first gradient's squares. */
async function results({ batch, k, n, hasBias, activation, seed }: Layer, device: string): Promise<number[][]> {
  const found = scope(() => {
    const leaf = (at: number, shape: readonly number[]) => {
      const data = numbers(
        seed + at,
        shape.reduce((a, b) => a * b, 1),
      )
      return tensor(data, { device, requiresGrad: true }).reshape(shape)
    }
    const inputs = [leaf(0, [...batch, k]), leaf(1, [n, k]), ...(hasBias ? [leaf(2, [n])] : [])]
    const cotangent = tensor(
      numbers(
        seed + 3,
        batch.reduce((a, b) => a * b, n),
      ),
      { device },
    ).reshape([...batch, n])
    const layer = () => linear(inputs[0], inputs[1], { bias: inputs[2], activation })
    const loss = () => sum(mul(layer(), cotangent))
    const first = gradients(loss(), inputs)
    const recorded = gradients(loss(), inputs, { createGraph: true })
    const second = gradients(sum(mul(recorded[0], recorded[0])), [inputs[1]])
    return [noGrad(layer), layer(), ...first, ...second] as Tensor[]
  })
  const values = await Promise.all(found.map(async (t) => [...(await t.data())]))
  for (const t of found) t.dispose()
  return values
}

describeWebgpu('linear', () => {
  beforeAll(async () => {
    gpu = await openWebgpu()
  })

  /**
   * Entries are at most 1, k at most 24, m at most 12, n at most 20, so that arguments are at most K = 25, their rounding
   * (k + 2) u K = 4e-5 with u = 2^-24. Slopes of activations are below 1.13, curvatures below 1.2: first gradients sum at
   * most max(n, m) = 20 terms that are off by 1.2 x 4e-5 each: 1e-3. Second ones multiply such a gradient, of size at
   * most 23, with its like: 2 x 23 x 12 terms of 1e-3 in the worst case, of which signs cancel nearly all. Rounding errors
   * are independent, so that sums of N grow as sqrt(N): 1e-3 (results, first) and 1e-2 (second) leave more than 10 times.
   */
  test('and its gradients are those of the composition', async () => {
    const size = (max: number) => fc.integer({ min: 1, max })
    const layers = fc.record({
      batch: fc.oneof(
        fc.constant([]),
        size(12).map((m) => [m]),
        fc.tuple(size(3), size(4)),
      ),
      k: size(24),
      n: size(20),
      hasBias: fc.boolean(),
      activation: fc.constantFrom(...linearActivations),
      seed: fc.nat(),
    })
    await fc.assert(
      fc.asyncProperty(layers, async (layer) => {
        const [expected, got] = await Promise.all(devices.map((name) => results(layer, name)))
        got.forEach((values, which) => {
          const bound = which === got.length - 1 ? 1e-2 : 1e-3
          values.forEach((value, i) => {
            const wanted = expected[which][i]
            // relu's bend: an argument that rounds to the other side of 0 has the other slope.
            if (layer.activation === 'relu' && which > 1) return
            if (!(Math.abs(value - wanted) <= bound * Math.max(1, Math.abs(wanted))))
              expect.fail(`result ${which}, element ${i}: ${value}, expected ${wanted}`)
          })
        })
      }),
      // Each case is two forward and three backward passes, and 18 programs to compile in software.
      { numRuns: 24 },
    )
  })

  test('relu has the gradient of the composition where sums are exact', async () => {
    const x = [-2, -1, 0, 1, 2, 3]
    for (const device of devices) {
      const leaf = tensor(x, { device, requiresGrad: true })
      const y = linear(leaf.reshape([6, 1]), tensor([[1]], { device }), { activation: 'relu' })
      const [dx] = gradients(sum(y), [leaf])
      expect([...(await dx.data())]).toEqual([0, 0, 0, 1, 1, 1])
    }
  })

  test('is one launch in Linear and FeedForward', () => {
    expect(linearKernels.every(([kernel]) => gpu.fuses(kernel))).toBe(true)
    const launched: string[] = []
    const { launch, launchFused } = gpu
    gpu.launch = (kernel, ...rest) => {
      launched.push(kernel.name)
      launch.call(gpu, kernel, ...rest)
    }
    gpu.launchFused = (kernel, ...rest) => {
      launched.push(kernel.name)
      launchFused.call(gpu, kernel, ...rest)
    }
    try {
      scope(() => {
        const x = tensor(numbers(1, 8), { device: 'webgpu' }).reshape([2, 4])
        const biased = new Linear(4, 4, { bias: true, device: 'webgpu' })
        const feedForward = new FeedForward(4, 8, { device: 'webgpu' })
        launched.length = 0
        noGrad(() => biased.forward(x))
        noGrad(() => feedForward.forward(x))
        feedForward.forward(x)
      })
    } finally {
      Object.assign(gpu, { launch, launchFused })
    }
    expect(launched).toEqual([
      'linearBiasIdentity',
      ...['matmul', 'linearSilu', 'mul', 'matmul'],
      ...['matmul', 'linearSiluSaved', 'mul', 'matmul'],
    ])
  })
})
