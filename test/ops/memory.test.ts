/** What attention and the delta rule promise along time: causality, gates, chunks, states, and what a memory recalls. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arb } from '../../src/check/index.ts'
import {
  attention,
  causalConv1d,
  channelDeltaRule,
  concat,
  type DeltaRuleOptions,
  deltaRule,
  eye,
  gatedAttention,
  gatedDeltaRule,
  type Tensor,
  tensor,
} from '../../src/index.ts'
import { expectClose, gradientsOf, holds, leaf, make, numbers } from './values.ts'

/** Up to 5 steps, each a few dozen roundings of values up to 10. */
const ROUNDOFF = 1e-11

const steps = (x: Tensor, start: number, end: number): Tensor => x.slice([null, [start, end]])

/** A cotangent that looks at time `t` only. */
function onlyAt(y: Tensor, t: number): Tensor {
  const [B, T, ...rest] = y.shape
  const inner = rest.reduce((a, b) => a * b, 1)
  return make(
    Float64Array.from({ length: B * T * inner }, (_, i) => (Math.floor(i / inner) % T === t ? 1 + (i % 3) : 0)),
    { shape: y.shape },
  )
}

const isZero = (t: Tensor) => numbers(t).every((v) => v === 0)

describe('causality: out[t] has an exactly zero gradient to everything later', () => {
  it('in attention', () => {
    holds(fc.tuple(arb.attention(), fc.nat(10)), ([{ q, k, v, options }, at]) => {
      const [, T] = q.shape
      const S = k.shape[1]
      const t = at % T
      const { scale, gate, gateAct, gateOp } = options
      const leaves = [leaf(q), leaf(k), leaf(v)]
      const y = attention(leaves[0], leaves[1], leaves[2], { scale, gate, gateAct, gateOp, causal: true })
      const [dq, dk, dv] = gradientsOf(y, leaves, onlyAt(y, t))
      expect(isZero(steps(dq, t + 1, T))).toBe(true)
      expect(isZero(steps(dq, 0, t))).toBe(true)
      expect(isZero(steps(dk, t + 1 + S - T, S))).toBe(true)
      expect(isZero(steps(dv, t + 1 + S - T, S))).toBe(true)
    })
  })

  it('in the delta rule, recurrent and in chunks', () => {
    holds(fc.tuple(arb.deltaRule(), fc.nat(10)), ([{ q, k, v, g, beta, options }, at]) => {
      const T = q.shape[1]
      const t = at % T
      const leaves = [q, k, v, g, beta].map(leaf)
      const [a, b, c, d, e] = leaves
      const { out } = gatedDeltaRule(a, b, c, d, e, options)
      for (const gradient of gradientsOf(out, leaves, onlyAt(out, t))) {
        expect(isZero(steps(gradient, t + 1, T))).toBe(true)
      }
    })
  })

  it('in the causal convolution', () => {
    holds(fc.tuple(arb.tensor([2, 4, 3]), arb.tensor([3, 3]), fc.nat(3)), ([x, weight, t]) => {
      const t0 = leaf(x)
      const y = causalConv1d(t0, weight)
      const [gradient] = gradientsOf(y, [t0], onlyAt(y, t))
      expect(isZero(steps(gradient, t + 1, 4))).toBe(true)
    })
  })
})

describe('attention', () => {
  it('with a gate wide open is plain attention, and with one shut nothing', () => {
    holds(arb.attention(), ({ q, k, v, options }) => {
      const { causal, scale, mask } = options
      const plain = attention(q, k, v, { causal, scale, mask })
      for (const shape of [q.shape, q.shape.slice(0, 3)]) {
        const gate = make(new Float64Array(shape.reduce((a, b) => a * b, 1)).fill(1000), { shape })
        expectClose(gatedAttention(q, k, v, gate, { causal, scale, mask }), plain, 0)
        const infinite = gate.mul(Number.POSITIVE_INFINITY)
        expectClose(gatedAttention(q, k, v, infinite, { causal, scale, mask }), plain, 0)
        expect(isZero(gatedAttention(q, k, v, gate.neg(), { causal, scale, mask }))).toBe(true)
      }
    })
  })

  it('is the same row by row as over a prefix: the last query of a shorter text', () => {
    holds(arb.attention(), ({ q, k, v }) => {
      const T = q.shape[1]
      const [keys, values] = [steps(k, 0, T), steps(v, 0, T)]
      const whole = attention(q, keys, values, { causal: true })
      for (let t = 0; t < T; t++) {
        const last = attention(steps(q, t, t + 1), steps(keys, 0, t + 1), steps(values, 0, t + 1), { causal: true })
        expectClose(last, steps(whole, t, t + 1), ROUNDOFF)
      }
    })
  })

  it('does not change when keys and values are reordered together, and is a mean for equal keys', () => {
    holds(arb.attention(), ({ q, k, v }) => {
      expectClose(attention(q, k.flip(1), v.flip(1)), attention(q, k, v), ROUNDOFF)
      const groups = q.shape[2] / v.shape[2]
      const mean = v.mean({ axis: 1, keepdim: true })
      const repeated = mean.unsqueeze(3).expand([v.shape[0], 1, v.shape[2], groups, v.shape[3]])
      const expected = repeated.reshape([v.shape[0], 1, q.shape[2], v.shape[3]]).expand(q.shape)
      expectClose(attention(q, k.mul(0), v), expected, ROUNDOFF)
    })
  })

  it('shares key-value heads as if they were repeated, in the gradient too', () => {
    holds(arb.attention(), ({ q, k, v }) => {
      const [B, S, KV, D] = k.shape
      const H = q.shape[2]
      const repeat = (x: Tensor) =>
        x
          .unsqueeze(3)
          .expand([B, S, KV, H / KV, D])
          .reshape([B, S, H, D])
      const [k1, v1, k2, v2] = [leaf(k), leaf(v), leaf(k), leaf(v)]
      const shared = attention(q, k1, v1)
      const full = attention(q, repeat(k2), repeat(v2))
      expectClose(shared, full, ROUNDOFF)
      const [a, b] = [gradientsOf(shared, [k1, v1], q), gradientsOf(full, [k2, v2], q)]
      expectClose(a[0], b[0], ROUNDOFF)
      expectClose(a[1], b[1], ROUNDOFF)
    })
  })
})

/** Every size of chunk gives what the recurrence gives: output, state and gradients. */
function chunksAreTheRecurrence(
  rule: typeof gatedDeltaRule,
  inputs: [q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor],
  { scale, state }: DeltaRuleOptions,
): void {
  const run = (mode: 'recurrent' | 'chunked', chunk?: number) => {
    const leaves = [...inputs, ...(state ? [state] : [])].map(leaf)
    const [a, b, c, d, e, s] = leaves
    const result = rule(a, b, c, d, e, { scale, state: s, mode, chunk })
    const total = result.out.mul(2).sum().add(result.state.square().sum())
    return { ...result, gradients: gradientsOf(total, leaves) }
  }
  const expected = run('recurrent')
  for (let chunk = 1; chunk <= inputs[0].shape[1] + 1; chunk++) {
    const got = run('chunked', chunk)
    expectClose(got.out, expected.out, ROUNDOFF, `out, chunk ${chunk}`)
    expectClose(got.state, expected.state, ROUNDOFF, `state, chunk ${chunk}`)
    got.gradients.forEach((gradient, i) => {
      expectClose(gradient, expected.gradients[i], 1e-9, `gradient ${i}, chunk ${chunk}`)
    })
  }
}

describe('the gated delta rule', () => {
  it('in chunks of every size is the recurrence, forward and backward', () => {
    holds(arb.deltaRule(), ({ q, k, v, g, beta, options }) => {
      chunksAreTheRecurrence(gatedDeltaRule, [q, k, v, g, beta], options)
    })
  })

  it('run in two halves with the state carried is one run, gradients as well', () => {
    holds(fc.tuple(arb.deltaRule(), fc.nat(10)), ([{ q, k, v, g, beta, options }, at]) => {
      const T = q.shape[1]
      if (T < 2) return
      const cut = 1 + (at % (T - 1))
      const once = [q, k, v, g, beta].map(leaf)
      const twice = [q, k, v, g, beta].map(leaf)
      const [a, b, c, d, e] = once
      const whole = gatedDeltaRule(a, b, c, d, e, options)
      const part = (start: number, end: number, state?: Tensor) => {
        const [q2, k2, v2, g2, beta2] = twice.map((x) => steps(x, start, end))
        return gatedDeltaRule(q2, k2, v2, g2, beta2, { ...options, state })
      }
      const first = part(0, cut, options.state)
      const second = part(cut, T, first.state)
      const joined = concat([first.out, second.out], 1)
      expectClose(joined, whole.out, ROUNDOFF)
      expectClose(second.state, whole.state, ROUNDOFF)
      const total = (out: Tensor, state: Tensor) => out.mul(3).sum().add(state.square().sum())
      const expected = gradientsOf(total(whole.out, whole.state), once)
      gradientsOf(total(joined, second.state), twice).forEach((gradient, i) => {
        expectClose(gradient, expected[i], 1e-9, `gradient ${i}`)
      })
    })
  })

  it('with beta = 0 only decays', () => {
    holds(arb.deltaRule(), ({ q, k, v, g, beta, options }) => {
      const [B, T, H, K] = q.shape
      const state =
        options.state ?? make(new Float64Array(B * H * K * v.shape[3]).fill(1), { shape: [B, H, K, v.shape[3]] })
      const result = gatedDeltaRule(q, k, v, g, beta.mul(0), { ...options, state })
      const decay = g.sum({ axis: 1 }).exp().reshape([B, H, 1, 1])
      expectClose(result.state, state.mul(decay), ROUNDOFF)
      expect(result.out.shape).toEqual([B, T, H, v.shape[3]])
    })
  })

  it('with g = 0 is the delta rule', () => {
    holds(arb.deltaRule(), ({ q, k, v, g, beta, options }) => {
      const gated = gatedDeltaRule(q, k, v, g.mul(0), beta, options)
      const plain = deltaRule(q, k, v, beta, options)
      expectClose(gated.out, plain.out, 0)
      expectClose(gated.state, plain.state, 0)
    })
  })

  it('with g far below 0 knows the current token only', () => {
    holds(arb.deltaRule(), ({ q, k, v, g, beta, options }) => {
      const { out } = gatedDeltaRule(q, k, v, g.mul(0).sub(2000), beta, { ...options, scale: 1 })
      // S = beta k v^T, so the output is beta (q . k) v.
      const expected = q.mul(k).sum({ axis: -1, keepdim: true }).mul(beta.unsqueeze(-1)).mul(v)
      expectClose(out, expected, ROUNDOFF)
    })
  })

  const memories = fc
    .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 3 }), fc.constantFrom('recurrent', 'chunked'))
    .chain(([T, V, mode]) => arb.tensor([1, T, 1, V]).map((v) => ({ T, v, mode: mode as 'recurrent' | 'chunked' })))
  const ones = (T: number) => make(new Float64Array(T).fill(1), { shape: [1, T, 1] })

  it('with orthonormal keys, beta = 1 and g = 0 recalls every value exactly', () => {
    holds(memories, ({ T, v, mode }) => {
      const keys = eye(T, T, { device: 'reference' }).reshape([1, T, 1, T])
      const { out, state } = deltaRule(keys, keys, v, ones(T), { scale: 1, mode, chunk: 2 })
      expectClose(out, v, 0)
      expectClose(state.reshape(v.shape), v, 0)
    })
  })

  it('overwrites the value of a repeated key', () => {
    holds(memories, ({ T, v, mode }) => {
      const key = eye(T, T, { device: 'reference' })
        .slice([[0, 1]])
        .reshape([1, 1, 1, T])
        .expand([1, T, 1, T])
      const { out, state } = deltaRule(key, key, v, ones(T), { scale: 1, mode, chunk: 3 })
      expectClose(out, v, 0)
      const last = steps(v, T - 1, T).reshape([1, v.shape[3]])
      expectClose(state.reshape([T, v.shape[3]]).slice([[0, 1]]), last, 0)
    })
  })
})

describe('the delta rule with a decay a channel', () => {
  type Given = [Tensor, Tensor, Tensor, Tensor, Tensor, DeltaRuleOptions]
  const given = arb.arguments(channelDeltaRule.record) as fc.Arbitrary<Given>

  it('in chunks of every size is the recurrence, forward and backward', () => {
    holds(given, ([q, k, v, g, beta, options]) => {
      chunksAreTheRecurrence(channelDeltaRule, [q, k, v, g, beta], options)
    })
  })

  it('with equal channels is the gated delta rule, gradients as well', () => {
    holds(arb.deltaRule(), ({ q, k, v, g, beta, options }) => {
      const [one, other] = [[q, k, v, g, beta].map(leaf), [q, k, v, g, beta].map(leaf)]
      const spread = (x: Tensor) => x.unsqueeze(-1).expand([...g.shape, q.shape[3]])
      const channels = channelDeltaRule(one[0], one[1], one[2], spread(one[3]), one[4], options)
      const heads = gatedDeltaRule(other[0], other[1], other[2], other[3], other[4], options)
      expectClose(channels.out, heads.out, ROUNDOFF)
      expectClose(channels.state, heads.state, ROUNDOFF)
      const total = ({ out, state }: { out: Tensor; state: Tensor }) => out.sum().add(state.square().sum())
      const expected = gradientsOf(total(heads), other)
      gradientsOf(total(channels), one).forEach((gradient, i) => {
        expectClose(gradient, expected[i], 1e-9, `gradient ${i}`)
      })
    })
  })

  it('keeps one channel and forgets another', () => {
    const row = (...values: number[]) => make(Float64Array.from(values), { shape: [1, values.length / 2, 1, 2] })
    const state = make(Float64Array.of(3, 5), { shape: [1, 1, 2, 1] })
    const nothing = make(new Float64Array(2), { shape: [1, 2, 1] })
    const [k, v] = [row(0, 0, 0, 0), make(new Float64Array(2), { shape: [1, 2, 1, 1] })]
    for (const mode of ['recurrent', 'chunked'] as const) {
      const g = row(0, -Math.LN2, -2000, -Math.LN2)
      const { out, state: last } = channelDeltaRule(row(1, 0, 0, 1), k, v, g, nothing, { scale: 1, state, mode })
      expectClose(out, make(Float64Array.of(3, 5 / 4), { shape: [1, 2, 1, 1] }), ROUNDOFF)
      expectClose(last, make(Float64Array.of(0, 5 / 4), { shape: [1, 1, 2, 1] }), ROUNDOFF)
    }
  })

  it('in float32 stays exact where the decay of a chunk is beyond the exponents', async () => {
    // The running sum reaches -16 x 30 = -480 in a chunk; e^480 has no float32, so keys over the decay would be infinite.
    const [T, K] = [33, 4]
    const wave = (count: number, step: number) =>
      Float32Array.from({ length: count }, (_, i) => Math.sin(step * (i + 1)))
    const on = (data: Float32Array, shape: number[]) => tensor(data, { shape, device: 'cpu' })
    const [q, k, v] = [1.3, 0.7, 2.1].map((step) => on(wave(T * K, step), [1, T, 1, K]).l2Norm())
    const g = on(
      wave(T * K, 0.9).map((x) => -15 * (1 + x)),
      [1, T, 1, K],
    )
    const beta = on(new Float32Array(T).fill(0.9), [1, T, 1])
    const run = (mode: 'recurrent' | 'chunked') => channelDeltaRule(q, k, v, g, beta, { mode }).out.data()
    const [steps, chunks] = [await run('recurrent'), await run('chunked')]
    expect(Math.max(...steps.map(Math.abs))).toBeGreaterThan(0.1)
    // Sums of 4 products of values up to 1, over up to 16 steps of a chunk, at 6e-8 each.
    steps.forEach((value, i) => {
      expect(Math.abs(chunks[i] - value)).toBeLessThan(5e-6)
    })
    for (const t of [q, k, v, g, beta]) t.dispose()
  })
})
