/**
 * The gated delta rule's fused kernels against the float64 composition on the reference device: results and gradients.
 *
 * Bound: with |k| <= 1, beta in (0, 2) and g <= 0 no step makes a rounding error of an earlier one larger. A result is
 * made of at most T = 66 steps, each a sum of at most K + 32 + 2 = 66 products, so of 66^2 roundings of 2^-24; at random
 * they add up to 66 * 6e-8 = 4e-6 of the largest value. Five times that is allowed, 2e-5; 6e-7 was measured.
 */
import fc from 'fast-check'
import { beforeAll, expect, it } from 'vitest'
import { gatedDeltaForward } from '../../kernels/fused-delta.ts'
import { deltaLaunchers } from '../../kernels/tuned/wgsl/delta.ts'
import { gradients } from '../../src/autograd/tape.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { type DeltaRuleOptions, device, gatedDeltaRule, scope, slice, type Tensor, tensor } from '../../src/index.ts'
import { fuses } from '../../src/tensor/launch.ts'
import { SEED } from '../check/runs.ts'
import { describeWebgpu } from './adapter.ts'

const BOUND = 2e-5

interface Sizes {
  B: number
  T: number
  H: number
  K: number
  V: number
}

interface Options {
  scale?: number
  hasState?: boolean
  mode?: DeltaRuleOptions['mode']
}

type Name = 'q' | 'k' | 'v' | 'g' | 'beta' | 'state' | 'dout' | 'dstate'
/** Every number is a float32, so that both devices start from the same. */
type Arrays = Record<Name, Float32Array>

const shapesOf = ({ B, T, H, K, V }: Sizes): Record<Name, number[]> => ({
  q: [B, T, H, K],
  k: [B, T, H, K],
  v: [B, T, H, V],
  g: [B, T, H],
  beta: [B, T, H],
  state: [B, H, K, V],
  dout: [B, T, H, V],
  dstate: [B, H, K, V],
})

/** Values of a case, all from its seed, so that fast-check shrinks the sizes and not a thousand numbers. */
function draw(sizes: Sizes, seed = 1): Arrays {
  let bits = seed >>> 0
  const next = () => (bits = (Math.imul(bits, 1664525) + 1013904223) >>> 0) / 2 ** 32
  const side = 1 / Math.sqrt(sizes.K)
  const ranges: Partial<Record<Name, [number, number]>> = { k: [-side, side], g: [-2, 0], beta: [0, 2] }
  const entries = Object.entries(shapesOf(sizes)).map(([name, shape]) => {
    const [low, high] = ranges[name as Name] ?? [-1, 1]
    const size = shape.reduce((a, b) => a * b, 1)
    return [name, Float32Array.from({ length: size }, () => low + (high - low) * next())]
  })
  return Object.fromEntries(entries) as Arrays
}

const operandNames: readonly Name[] = ['q', 'k', 'v', 'g', 'beta', 'state']

function operands(sizes: Sizes, arrays: Arrays, on: string): Record<Name, Tensor> {
  const entries = Object.entries(shapesOf(sizes)).map(([name, shape]) => {
    const t = tensor(arrays[name as Name], { shape, device: on })
    t.requiresGrad = operandNames.includes(name as Name)
    return [name, t]
  })
  return Object.fromEntries(entries) as Record<Name, Tensor>
}

/** Results and gradients of <out, dout> + <state, dstate>, by name. */
function run(
  sizes: Sizes,
  arrays: Arrays,
  on: string,
  { scale, hasState = true, mode }: Options,
): Record<string, Tensor> {
  const t = operands(sizes, arrays, on)
  const state = hasState ? t.state : undefined
  const result = gatedDeltaRule(t.q, t.k, t.v, t.g, t.beta, { scale, state, mode })
  const loss = result.out.mul(t.dout).sum().add(result.state.mul(t.dstate).sum())
  const names = operandNames.slice(0, hasState ? 6 : 5)
  const found = gradients(
    loss,
    names.map((name) => t[name]),
  )
  return { ...result, ...Object.fromEntries(names.map((name, i) => [`d${name}`, found[i]])) }
}

/** Largest difference, as a part of the largest expected value or of 1. */
async function expectClose(got: Tensor, expected: Tensor, what: string, bound = BOUND): Promise<void> {
  expect(got.shape, what).toEqual(expected.shape)
  const [a, b] = [[...(await got.data())], [...(await expected.data())]]
  const size = b.reduce((most, x) => Math.max(most, Math.abs(x)), 1)
  const differences = a.map((x, i) => (Number.isNaN(x) ? Number.POSITIVE_INFINITY : Math.abs(x - b[i])))
  const off = differences.reduce((most, x) => Math.max(most, x), 0)
  expect(off / size, what).toBeLessThanOrEqual(bound)
}

async function expectSame(sizes: Sizes, arrays: Arrays, options: Options = {}): Promise<void> {
  const [got, expected] = [run(sizes, arrays, 'webgpu', options), run(sizes, arrays, 'reference', options)]
  for (const name of Object.keys(expected)) await expectClose(got[name], expected[name], name)
  for (const t of [...Object.values(got), ...Object.values(expected)]) t.dispose()
}

describeWebgpu('gatedDeltaRule on webgpu', () => {
  let gpu: WebGpuDevice
  beforeAll(async () => {
    gpu = (await device('webgpu')) as WebGpuDevice
  })

  // 100 cases and not 200: one takes 0.25 s on the slower software adapter, forward and backward and in float64 beside.
  it('has the results and gradients of the composition', { timeout: 600_000 }, async () => {
    const cases = fc.record({
      B: fc.constantFrom(1, 2),
      T: fc.constantFrom(1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 66),
      H: fc.constantFrom(1, 2),
      K: fc.constantFrom(1, 3, 16, 32),
      V: fc.constantFrom(1, 3, 16, 32),
      scale: fc.constantFrom(undefined, 1, 0.3),
      hasState: fc.boolean(),
      seed: fc.nat(2 ** 31),
    })
    const property = fc.asyncProperty(cases, ({ scale, hasState, seed, ...sizes }) =>
      expectSame(sizes, draw(sizes, seed), { scale, hasState }),
    )
    await fc.assert(property, { numRuns: 100, seed: SEED })
  })

  it.each([
    { K: 100, V: 36 },
    { K: 132, V: 20 },
    { K: 256, V: 9 },
    { K: 5, V: 256 },
  ])('takes keys of $K and values of $V', async ({ K, V }) => {
    const sizes = { B: 1, T: 40, H: 1, K, V }
    await expectSame(sizes, draw(sizes))
  })

  it('runs the composition for wider ones', async () => {
    const sizes = { B: 1, T: 3, H: 1, K: 257, V: 1 }
    await expectSame(sizes, draw(sizes))
  })

  it('only decays where beta is 0', async () => {
    const sizes = { B: 1, T: 40, H: 2, K: 4, V: 8 }
    const arrays = draw(sizes)
    arrays.beta.fill(0)
    await expectSame(sizes, arrays)
    const { state } = run(sizes, arrays, 'webgpu', {})
    const decay = [0, 1].map((h) => Math.exp(arrays.g.reduce((sum, g, i) => (i % 2 === h ? sum + g : sum), 0)))
    const expected = [...arrays.state].map((s, i) => s * decay[Math.floor(i / 32)])
    await expectClose(state, tensor(expected, { shape: [1, 2, 4, 8], device: 'reference' }), 'state')
  })

  it('is DeltaNet where g is 0', async () => {
    const sizes = { B: 1, T: 50, H: 1, K: 16, V: 8 }
    const arrays = draw(sizes)
    arrays.g.fill(0)
    await expectSame(sizes, arrays)
  })

  it('keeps only the current step where g is very negative', async () => {
    const sizes = { B: 1, T: 66, H: 1, K: 4, V: 4 }
    for (const g of [-50, -1e4, -1e30]) {
      const arrays = draw(sizes)
      arrays.g.fill(g)
      await expectSame(sizes, arrays, { scale: 1 })
      const { out } = run(sizes, arrays, 'webgpu', { scale: 1 })
      const t = operands(sizes, arrays, 'reference')
      const expected = t.v.mul(t.beta.reshape([1, 66, 1, 1])).mul(t.q.mul(t.k).sum({ axis: 3, keepdim: true }))
      await expectClose(out, expected, `out at g = ${g}`)
    }
  })

  it('keeps its digits where one key repeats', async () => {
    const sizes = { B: 1, T: 64, H: 1, K: 16, V: 4 }
    const arrays = draw(sizes)
    arrays.k.fill(0.25)
    arrays.beta.fill(0.99)
    arrays.g.fill(-1e-3)
    await expectSame(sizes, arrays)
  })

  it('goes on from a state', async () => {
    const sizes = { B: 2, T: 50, H: 2, K: 8, V: 4 }
    const t = operands(sizes, draw(sizes), 'webgpu')
    const whole = gatedDeltaRule(t.q, t.k, t.v, t.g, t.beta, { state: t.state })
    const part = (from: number, to: number, state: Tensor) => {
      const [q, k, v, g, beta] = [t.q, t.k, t.v, t.g, t.beta].map((x) => slice(x, [null, [from, to]]))
      return gatedDeltaRule(q, k, v, g, beta, { state })
    }
    const first = part(0, 37, t.state)
    const second = part(37, 50, first.state)
    await expectClose(first.out, slice(whole.out, [null, [0, 37]]), 'first part')
    await expectClose(second.out, slice(whole.out, [null, [37, 50]]), 'second part')
    await expectClose(second.state, whole.state, 'state')
  })

  it('has gradients of each result alone', async () => {
    const sizes = { B: 1, T: 35, H: 1, K: 4, V: 4 }
    const arrays = draw(sizes)
    for (const of of ['out', 'state'] as const) {
      const both = ['webgpu', 'reference'].map((on) => {
        const t = operands(sizes, arrays, on)
        const loss = gatedDeltaRule(t.q, t.k, t.v, t.g, t.beta, { state: t.state })[of].square().sum()
        return gradients(loss, [t.k, t.g, t.state])
      })
      for (const i of [0, 1, 2]) await expectClose(both[0][i], both[1][i], `${i} from ${of}`)
    }
  })

  it('can be differentiated twice', async () => {
    const sizes = { B: 1, T: 3, H: 1, K: 4, V: 2 }
    const arrays = draw(sizes)
    const [got, expected] = ['webgpu', 'reference'].map((on) => {
      const t = operands(sizes, arrays, on)
      const leaves = operandNames.map((name) => t[name])
      const { out, state } = gatedDeltaRule(t.q, t.k, t.v, t.g, t.beta, { state: t.state })
      const loss = out.square().sum().add(state.mul(t.dstate).sum())
      const first = gradients(loss, leaves, { createGraph: true })
      const norm = first.map((x) => x.square().sum()).reduce((a, b) => a.add(b))
      return gradients(norm, leaves)
    })
    for (const [i, name] of operandNames.entries()) await expectClose(got[i], expected[i], name)
  })

  it('can be differentiated twice where operands depend on each other', async () => {
    const sizes = { B: 1, T: 3, H: 1, K: 4, V: 4 }
    const arrays = draw(sizes)
    const [got, expected] = ['webgpu', 'reference'].map((on) => {
      const t = operands(sizes, arrays, on)
      const { out } = gatedDeltaRule(t.k, t.k, t.k.sin(), t.g, t.beta)
      const [first] = gradients(out.square().sum(), [t.k], { createGraph: true })
      return gradients(first.square().sum(), [t.k])
    })
    await expectClose(got[0], expected[0], 'k')
  })

  it('gives the same bits again, and a few heads at a time', async () => {
    const sizes = { B: 2, T: 40, H: 3, K: 8, V: 12 }
    const t = operands(sizes, draw(sizes), 'webgpu')
    expect(fuses(gatedDeltaForward, t.q)).toBe(true)
    const { B, T, H, K, V } = sizes
    const results = [
      [B * T * H * V, B * H * K * V, 128 * B * H, 2048 * B * H, 2048 * B * H],
      [B * T * H * K, B * T * H * K, B * T * H * V, B * T * H, B * T * H, B * H * K * V],
    ]
    const numbers = [B, T, H, K, V, 0.5]
    const given = operandNames.map((name) => t[name].storage.buffer)
    const cotangents = [t.dout.storage.buffer, t.dstate.storage.buffer]
    const bits: Float32Array[][] = []
    // One head takes 6144 elements of scratch: all heads at once, twice; two at a time; one at a time.
    for (const most of [2 ** 25, 2 ** 25, 15_000, 1]) {
      const { forward, backward } = deltaLaunchers(most)
      const [first, second] = results.map((lengths) => lengths.map((length) => gpu.allocate('float32', length)))
      forward(gpu, first, [...(given as typeof first), ...numbers])
      backward(gpu, second, [
        ...(given as typeof first),
        ...first.slice(2),
        ...(cotangents as typeof first),
        ...numbers,
      ])
      bits.push((await Promise.all([...first, ...second].map((x) => gpu.read(x)))) as Float32Array[])
    }
    for (const other of bits.slice(1)) expect(other).toEqual(bits[0])
  })

  it('leaves the recurrent mode as it is', async () => {
    const sizes = { B: 1, T: 4, H: 1, K: 3, V: 2 }
    await expectSame(sizes, draw(sizes), { mode: 'recurrent' })
  })

  it('frees what it made', () => {
    const sizes = { B: 1, T: 40, H: 1, K: 4, V: 4 }
    const arrays = draw(sizes)
    const before = gpu.statistics()
    scope(() => void run(sizes, arrays, 'webgpu', {}))
    expect(gpu.statistics()).toEqual(before)
  })
})
