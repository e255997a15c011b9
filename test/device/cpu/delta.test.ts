/**
 * The gated delta rule's fused kernels on the cpu device, against the recurrence and its gradient in float64.
 *
 * Bound: with |k| <= 1, beta in (0, 2) and g <= 0 no step makes a rounding error of an earlier one larger. A result is made of
 * at most T steps, each a sum of at most max(K, V) + 3 products, dg of the differences of at most 64 such sums. At random
 * so many roundings of u = 2^-24 add up to the root of their number: the most here are 200 x 103, so 144 u = 8.6e-6 of the
 * largest value. 1e-5 is allowed; 2e-6 was measured, in dg.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  gatedDeltaForward,
  RECURRENT_SEGMENT,
  recurrentDeltaBackward,
  recurrentDeltaForward,
} from '../../../kernels/fused-delta.ts'
import { deltaKernels } from '../../../kernels/tuned/wasm/delta.ts'
import { gradients } from '../../../src/autograd/tape.ts'
import {
  capture,
  type DeltaRuleOptions,
  gatedDeltaRule,
  scope,
  slice,
  type Tensor,
  tensor,
} from '../../../src/index.ts'
import { fuses } from '../../../src/tensor/launch.ts'
import { launcherOf, numbers, runBoth } from './run-launcher.ts'
import { variants } from './variants.ts'

const BOUND = 1e-5

interface Sizes {
  B: number
  T: number
  H: number
  K: number
  V: number
}

const names = ['q', 'k', 'v', 'g', 'beta', 'state', 'dout', 'dlast'] as const
const operandNames = names.slice(0, 6)
type Name = (typeof names)[number]
type Arrays = Record<Name, Float32Array>

const shapesOf = ({ B, T, H, K, V }: Sizes): Record<Name, number[]> => ({
  q: [B, T, H, K],
  k: [B, T, H, K],
  v: [B, T, H, V],
  g: [B, T, H],
  beta: [B, T, H],
  state: [B, H, K, V],
  dout: [B, T, H, V],
  dlast: [B, H, K, V],
})

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

/** Values of a case, all from its seed, so that fast-check shrinks the sizes and not a thousand numbers. */
function draw(sizes: Sizes, seed = 1): Arrays {
  const shapes = shapesOf(sizes)
  const entries = names.map((name, i) => [name, numbers(seed + i, sizeOf(shapes[name]), 1)])
  const arrays = Object.fromEntries(entries) as Arrays
  const side = 1 / Math.sqrt(sizes.K)
  for (const [name, change] of [
    ['k', (x: number) => side * x],
    ['g', (x: number) => x - 1],
    ['beta', (x: number) => x + 1],
  ] as const) {
    arrays[name] = arrays[name].map(change)
  }
  return arrays
}

type Results = Record<'out' | 'last' | 'dq' | 'dk' | 'dv' | 'dg' | 'dbeta' | 'dstate', Float64Array>

/** The recurrence and its gradient step by step, with every state kept. */
function defined({ B, T, H, K, V }: Sizes, a: Arrays, scale: number): Results {
  const made = (length: number) => new Float64Array(length)
  const [BTH, states] = [B * T * H, B * H * K * V]
  const results: Results = {
    ...{ out: made(BTH * V), last: made(states), dq: made(BTH * K), dk: made(BTH * K), dv: made(BTH * V) },
    ...{ dg: made(BTH), dbeta: made(BTH), dstate: made(states) },
  }
  const { out, last, dq, dk, dv, dg, dbeta, dstate } = results
  const each = (body: (i: number, j: number, ij: number) => void) => {
    for (let i = 0; i < K; i++) for (let j = 0; j < V; j++) body(i, j, i * V + j)
  }
  for (let bh = 0; bh < B * H; bh++) {
    const row = (t: number) => (Math.floor(bh / H) * T + t) * H + (bh % H)
    const S = Float64Array.from(a.state.subarray(bh * K * V, (bh + 1) * K * V))
    const steps = Array.from({ length: T }, (_, t) => {
      const r = row(t)
      each((_i, _j, ij) => {
        S[ij] *= Math.exp(a.g[r])
      })
      const decayed = S.slice()
      const error = Float64Array.from(a.v.subarray(r * V, (r + 1) * V))
      each((i, j, ij) => {
        error[j] -= a.k[r * K + i] * decayed[ij]
      })
      each((i, j, ij) => {
        S[ij] += a.k[r * K + i] * a.beta[r] * error[j]
        out[r * V + j] += scale * a.q[r * K + i] * S[ij]
      })
      return { r, decayed, error, after: S.slice() }
    })
    last.set(S, bh * K * V)
    const G = Float64Array.from(a.dlast.subarray(bh * K * V, (bh + 1) * K * V))
    for (const { r, decayed, error, after } of steps.reverse()) {
      const du = made(V)
      each((i, j, ij) => {
        dq[r * K + i] += scale * after[ij] * a.dout[r * V + j]
        G[ij] += scale * a.q[r * K + i] * a.dout[r * V + j]
        du[j] += G[ij] * a.k[r * K + i]
      })
      for (let j = 0; j < V; j++) {
        dv[r * V + j] = a.beta[r] * du[j]
        dbeta[r] += du[j] * error[j]
      }
      each((i, j, ij) => {
        dk[r * K + i] += a.beta[r] * (G[ij] * error[j] - decayed[ij] * du[j])
        G[ij] -= a.k[r * K + i] * a.beta[r] * du[j]
        dg[r] += G[ij] * decayed[ij]
        G[ij] *= Math.exp(a.g[r])
      })
    }
    dstate.set(G, bh * K * V)
  }
  return results
}

/** Largest difference, as a part of the largest expected value or of 1. */
function expectClose(got: ArrayLike<number>, expected: ArrayLike<number>, what: string, bound = BOUND): void {
  expect(got.length, what).toBe(expected.length)
  let [off, size] = [0, 1]
  for (let i = 0; i < got.length; i++) {
    const difference = Math.abs(got[i] - expected[i])
    off = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(off, difference)
    size = Math.max(size, Math.abs(expected[i]))
  }
  expect(off / size, what).toBeLessThanOrEqual(bound)
}

describe.each(variants)('the gated delta rule on the cpu device, relaxed $relaxed', (features) => {
  const forward = launcherOf(recurrentDeltaForward, deltaKernels, features)
  const backward = launcherOf(recurrentDeltaBackward, deltaKernels, features)

  /** Everything by the kernels, in one call of each task and in several. */
  function run(sizes: Sizes, a: Arrays, scale: number): Record<string, ArrayLike<number>> {
    const { B, T, H, K, V } = sizes
    const [BTH, states] = [B * T * H, B * H * K * V]
    const empty = (...lengths: number[]) => lengths.map((length) => new Float32Array(length))
    const operands = operandNames.map((name) => a[name])
    const numbersOf = [B, T, H, K, V, scale]
    const checkpoints = Math.ceil(T / RECURRENT_SEGMENT) * states
    const [out, last, ...saved] = runBoth(forward, {
      outputs: empty(BTH * V, states, BTH, BTH * V, checkpoints),
      parameters: [...operands, ...numbersOf],
    })
    const [dq, dk, dv, dg, dbeta, dstate] = runBoth(backward, {
      outputs: empty(BTH * K, BTH * K, BTH * V, BTH, BTH, states),
      parameters: [...operands, out, ...saved, a.dout, a.dlast, ...numbersOf],
    })
    return { out, last, dq, dk, dv, dg, dbeta, dstate }
  }

  function expectDefined(sizes: Sizes, a: Arrays, scale = 0.5): void {
    const [got, expected] = [run(sizes, a, scale), defined(sizes, a, scale)]
    for (const name of Object.keys(expected) as (keyof Results)[]) expectClose(got[name], expected[name], name)
  }

  test('is the recurrence, forward and backward, in the same bits however the tasks are cut', () => {
    const cases = fc.record({
      B: fc.constantFrom(1, 2),
      T: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(63, 64, 65, 127, 128, 129)),
      H: fc.constantFrom(1, 2, 5),
      K: fc.constantFrom(4, 8, 12, 32),
      V: fc.constantFrom(4, 8, 12, 20, 36),
      scale: fc.constantFrom(1, 0.3),
      seed: fc.nat(2 ** 30),
    })
    const property = fc.property(cases, ({ scale, seed, ...sizes }) => expectDefined(sizes, draw(sizes, seed), scale))
    fc.assert(property, { numRuns: 200 })
  }, 300_000)

  test.each([
    { K: 100, V: 36, T: 200 },
    { K: 256, V: 40, T: 70 },
    { K: 64, V: 256, T: 66 },
    { K: 516, V: 8, T: 5 },
  ])('takes keys of $K and values of $V', ({ K, V, T }) => {
    const sizes = { B: 1, T, H: 2, K, V }
    expectDefined(sizes, draw(sizes))
  })

  test('keeps only the current step where g is very negative, or -Infinity', () => {
    const sizes = { B: 1, T: 70, H: 1, K: 4, V: 4 }
    for (const g of [-50, -1e4, -1e30, Number.NEGATIVE_INFINITY]) {
      const a = draw(sizes)
      a.g.fill(g)
      expectDefined(sizes, a)
    }
  })

  test('only decays where beta is 0, and is DeltaNet where g is 0', () => {
    const sizes = { B: 1, T: 70, H: 2, K: 8, V: 12 }
    for (const name of ['beta', 'g'] as const) {
      const a = draw(sizes)
      a[name].fill(0)
      expectDefined(sizes, a)
    }
  })

  test('keeps its digits where one key repeats', () => {
    const sizes = { B: 1, T: 130, H: 1, K: 16, V: 4 }
    const a = draw(sizes)
    a.k.fill(0.25)
    a.beta.fill(0.99)
    a.g.fill(-1e-3)
    expectDefined(sizes, a)
  })

  test('a NaN stays in its column until the gradient, and in its head', () => {
    const sizes = { B: 1, T: 5, H: 2, K: 4, V: 8 }
    const a = draw(sizes)
    // Step 2, head 1, value 3.
    a.v[(2 * 2 + 1) * 8 + 3] = Number.NaN
    const { out, dq } = run(sizes, a, 1)
    const isNaNAt = (array: ArrayLike<number>) => Array.from(array).flatMap((x, i) => (Number.isNaN(x) ? [i] : []))
    expect(isNaNAt(out)).toEqual([2, 3, 4].map((t) => (t * 2 + 1) * 8 + 3))
    expect(isNaNAt(dq)).toEqual([2, 3, 4].flatMap((t) => [0, 1, 2, 3].map((i) => (t * 2 + 1) * 4 + i)))
  })
})

describe('gatedDeltaRule on the cpu device', () => {
  const operands = (sizes: Sizes, a: Arrays, on: string) => {
    const shapes = shapesOf(sizes)
    const entries = names.map((name) => {
      const t = tensor(a[name], { shape: shapes[name], device: on })
      t.requiresGrad = operandNames.includes(name)
      return [name, t]
    })
    return Object.fromEntries(entries) as Record<Name, Tensor>
  }

  /** Results and gradients of <out, dout> + <state, dlast>. */
  function run(sizes: Sizes, a: Arrays, on: string, options: DeltaRuleOptions, hasState: boolean): Tensor[] {
    const t = operands(sizes, a, on)
    const { out, state } = gatedDeltaRule(
      t.q,
      t.k,
      t.v,
      t.g,
      t.beta,
      hasState ? { ...options, state: t.state } : options,
    )
    const loss = out.mul(t.dout).sum().add(state.mul(t.dlast).sum())
    const leaves = operandNames.slice(0, hasState ? 6 : 5).map((name) => t[name])
    return [out, state, ...gradients(loss, leaves)]
  }

  async function expectSame(got: readonly Tensor[], expected: readonly Tensor[]): Promise<void> {
    for (const [i, t] of got.entries()) {
      expect(t.shape).toEqual(expected[i].shape)
      expectClose(await t.data(), await expected[i].data(), `result ${i}`)
    }
  }

  test('is fused, by its own kernels', () => {
    const q = tensor([1], { device: 'cpu' })
    expect(fuses(recurrentDeltaForward, q) && fuses(recurrentDeltaBackward, q)).toBe(true)
    expect(fuses(gatedDeltaForward, q)).toBe(false)
  })

  test.each([
    { K: 1, V: 1 },
    { K: 3, V: 5 },
    { K: 4, V: 6 },
    { K: 260, V: 3 },
  ])('pads keys of $K and values of $V', async ({ K, V }) => {
    const sizes = { B: 2, T: 7, H: 2, K, V }
    for (const hasState of [true, false]) {
      const [got, expected] = ['cpu', 'reference'].map((on) => run(sizes, draw(sizes), on, {}, hasState))
      await expectSame(got, expected)
    }
  })

  test('is the same in every mode and chunk', async () => {
    const sizes = { B: 1, T: 9, H: 2, K: 4, V: 8 }
    const expected = run(sizes, draw(sizes), 'reference', { mode: 'recurrent' }, true)
    for (const options of [{ mode: 'recurrent' }, { mode: 'chunked', chunk: 4 }, {}] as DeltaRuleOptions[]) {
      await expectSame(run(sizes, draw(sizes), 'cpu', options, true), expected)
    }
  })

  test.each(['recurrent', 'chunked'] as const)('is one launch in the mode %s', (mode) => {
    const sizes = { B: 1, T: 9, H: 2, K: 4, V: 8 }
    const { q, k, v, g, beta } = operands(sizes, draw(sizes), 'cpu')
    using rule = capture(() => gatedDeltaRule(q, k, v, g, beta, { mode }).out)
    scope(() => rule())
    expect(rule.explain()).toContain(recurrentDeltaForward.name)
  })

  test('has gradients of each result alone', async () => {
    const sizes = { B: 1, T: 67, H: 1, K: 4, V: 4 }
    for (const of of ['out', 'state'] as const) {
      const [got, expected] = ['cpu', 'reference'].map((on) => {
        const t = operands(sizes, draw(sizes), on)
        const loss = gatedDeltaRule(t.q, t.k, t.v, t.g, t.beta, { state: t.state })[of].square().sum()
        return gradients(loss, [t.k, t.g, t.state])
      })
      await expectSame(got, expected)
    }
  })

  test('goes on from a state', async () => {
    const sizes = { B: 2, T: 100, H: 2, K: 8, V: 4 }
    const t = operands(sizes, draw(sizes), 'cpu')
    const whole = gatedDeltaRule(t.q, t.k, t.v, t.g, t.beta, { state: t.state })
    const part = (from: number, to: number, state: Tensor) => {
      const [q, k, v, g, beta] = [t.q, t.k, t.v, t.g, t.beta].map((x) => slice(x, [null, [from, to]]))
      return gatedDeltaRule(q, k, v, g, beta, { state })
    }
    const first = part(0, 37, t.state)
    const second = part(37, 100, first.state)
    const expected = [[0, 37] as const, [37, 100] as const].map((span) => slice(whole.out, [null, span]))
    await expectSame([first.out, second.out, second.state], [...expected, whole.state])
  })

  test('has second gradients, which the composition gives', async () => {
    const sizes = { B: 1, T: 3, H: 1, K: 4, V: 2 }
    const [got, expected] = ['cpu', 'reference'].map((on) => {
      const t = operands(sizes, draw(sizes), on)
      const leaves = operandNames.map((name) => t[name])
      const { out, state } = gatedDeltaRule(t.q, t.k, t.v, t.g, t.beta, { state: t.state })
      const loss = out.square().sum().add(state.mul(t.dlast).sum())
      const first = gradients(loss, leaves, { createGraph: true })
      const norm = first.map((x) => x.square().sum()).reduce((a, b) => a.add(b))
      return gradients(norm, leaves)
    })
    await expectSame(got, expected)
  })

  test('frees what it made', () => {
    const sizes = { B: 1, T: 70, H: 1, K: 4, V: 4 }
    const { device } = tensor([1], { device: 'cpu' }).storage
    const before = device.statistics()
    scope(() => void run(sizes, draw(sizes), 'cpu', {}, true))
    expect(device.statistics()).toEqual(before)
  })
})
