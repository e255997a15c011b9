/**
 * The causal convolution's fused kernels against the float64 composition on the reference device.
 *
 * Bound: an output is a sum of at most 17 products of numbers up to 1, a weight's gradient one of B T = 280: at random
 * their roundings of 2^-24 add up to sqrt(280) 6e-8 = 1e-6 of values of size 1 to 280; ten times that, of the largest.
 */
import fc from 'fast-check'
import { beforeAll, expect, it } from 'vitest'
import { causalConvolutionForward } from '../../kernels/fused-convolution.ts'
import { gradients } from '../../src/autograd/tape.ts'
import type { Device } from '../../src/device/device.ts'
import { causalConv1d, device, scope, type Tensor, tensor } from '../../src/index.ts'
import { fuses } from '../../src/tensor/launch.ts'
import { RUNS, SEED } from '../check/runs.ts'
import { describeWebgpu } from './adapter.ts'

const BOUND = 1e-5

interface Case {
  B: number
  T: number
  C: number
  W: number
  hasBias: boolean
  hasState: boolean
  seed: number
}

function draw({ B, T, C, W, hasBias, hasState, seed }: Case, on: string) {
  let bits = seed >>> 0
  const next = () => (bits = (Math.imul(bits, 1664525) + 1013904223) >>> 0) / 2 ** 31 - 1
  const make = (...shape: number[]): Tensor => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, next)
    const t = tensor(values, { shape, device: on })
    t.requiresGrad = true
    return t
  }
  const [x, weight, dout] = [make(B, T, C), make(C, W), make(B, T, C)]
  dout.requiresGrad = false
  const bias = hasBias ? make(C) : undefined
  const state = hasState ? make(B, W - 1, C) : undefined
  return { x, weight, dout, bias, state, leaves: [x, weight, ...(bias ? [bias] : []), ...(state ? [state] : [])] }
}

async function expectClose(got: Tensor, expected: Tensor, what: string): Promise<void> {
  expect(got.shape, what).toEqual(expected.shape)
  const [a, b] = [[...(await got.data())], [...(await expected.data())]]
  const size = b.reduce((most, x) => Math.max(most, Math.abs(x)), 1)
  const differences = a.map((x, i) => (Number.isNaN(x) ? Number.POSITIVE_INFINITY : Math.abs(x - b[i])))
  expect(differences.reduce((most, x) => Math.max(most, x), 0) / size, what).toBeLessThanOrEqual(BOUND)
}

describeWebgpu('causalConv1d on webgpu', () => {
  let gpu: Device
  beforeAll(async () => {
    gpu = await device('webgpu')
  })

  it('has the output and gradients of the composition', { timeout: 600_000 }, async () => {
    const cases: fc.Arbitrary<Case> = fc.record({
      B: fc.constantFrom(1, 2),
      // Around the 8 steps of an invocation, and the 64 of a sum.
      T: fc.constantFrom(1, 2, 3, 7, 8, 9, 17, 63, 64, 65, 140),
      C: fc.constantFrom(1, 3, 8),
      W: fc.constantFrom(1, 2, 4, 7, 16),
      hasBias: fc.boolean(),
      hasState: fc.boolean(),
      seed: fc.nat(2 ** 31),
    })
    const property = fc.asyncProperty(cases, async (drawn) => {
      const made = ['webgpu', 'reference'].map((on) => {
        const t = draw(drawn, on)
        const out = causalConv1d(t.x, t.weight, { bias: t.bias, state: t.state })
        return [out, ...gradients(out, t.leaves, { cotangent: t.dout })]
      })
      for (const i of made[1].keys()) await expectClose(made[0][i], made[1][i], `result ${i}`)
      for (const t of made.flat()) t.dispose()
    })
    await fc.assert(property, { numRuns: RUNS, seed: SEED })
  })

  it('runs the composition for more than 16 taps', async () => {
    const drawn = { B: 1, T: 5, C: 2, W: 17, hasBias: true, hasState: true, seed: 1 }
    const [got, expected] = ['webgpu', 'reference'].map((on) => {
      const t = draw(drawn, on)
      return causalConv1d(t.x, t.weight, { bias: t.bias, state: t.state })
    })
    await expectClose(got, expected, 'out')
  })

  it('can be differentiated twice', async () => {
    const drawn = { B: 2, T: 5, C: 2, W: 3, hasBias: true, hasState: true, seed: 1 }
    const [got, expected] = ['webgpu', 'reference'].map((on) => {
      const { x, weight, bias, state, leaves } = draw(drawn, on)
      const loss = causalConv1d(x, weight, { bias, state }).square().sum()
      const first = gradients(loss, leaves, { createGraph: true })
      const norm = first.map((g) => g.square().sum()).reduce((a, b) => a.add(b))
      return gradients(norm, leaves)
    })
    for (const i of expected.keys()) await expectClose(got[i], expected[i], `gradient ${i}`)
  })

  it('frees what it made', () => {
    const drawn = { B: 1, T: 9, C: 3, W: 4, hasBias: false, hasState: false, seed: 1 }
    const before = gpu.statistics()
    scope(() => {
      const t = draw(drawn, 'webgpu')
      expect(fuses(causalConvolutionForward, t.x)).toBe(true)
      gradients(causalConv1d(t.x, t.weight), t.leaves, { cotangent: t.dout })
    })
    expect(gpu.statistics()).toEqual(before)
  })
})
