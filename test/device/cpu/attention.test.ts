/** Attention of the cpu device against its composition in float64: results, kept sums, and all gradients. */
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, type MockInstance, test, vi } from 'vitest'
import {
  attentionActivations,
  attentionBackward,
  attentionForward,
  gatedAttentionBackward,
  gatedAttentionForward,
} from '../../../kernels/fused-attention.ts'
import type { FusedKernel } from '../../../kernels/kernel.ts'
import type { Features } from '../../../kernels/tuned/wasm/assembler.ts'
import { attentionKernels } from '../../../kernels/tuned/wasm/attention.ts'
import { noGrid } from '../../../kernels/tuned/wasm/task.ts'
import { type CpuBuffer, CpuDevice } from '../../../src/device/cpu/cpu.ts'
import { Room } from '../../../src/device/cpu/room.ts'
import { nodeMajor } from '../../../src/device/cpu/v8-flags.ts'
import type { Device } from '../../../src/device/device.ts'
import {
  type AttentionOptions,
  applyGate,
  attention,
  attentionWeights,
  device,
  Generator,
  grad,
  scope,
  type Tensor,
  tensor,
} from '../../../src/index.ts'
import { variants } from './variants.ts'

interface Case {
  readonly B: number
  readonly T: number
  readonly more: number
  readonly KV: number
  readonly share: number
  readonly D: number
  readonly causal: boolean
  readonly scale: number | undefined
  readonly gate: 'none' | 'elementwise' | 'headwise'
  readonly gateAct: 'sigmoid' | 'silu' | 'identity' | 'nsSigmoid'
  readonly gateOp: 'mul' | 'add'
  readonly seed: number
}

/** Lengths around the edges of tiles, and of blocks of 24 queries. */
const lengths = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 12 }) },
  { weight: 2, arbitrary: fc.constantFrom(16, 23, 24, 25, 48, 65) },
)
const cases: fc.Arbitrary<Case> = fc.record({
  B: fc.constantFrom(1, 1, 2),
  T: lengths,
  more: fc.constantFrom(0, 0, 0, 1, 7, 33, 130, 270),
  KV: fc.integer({ min: 1, max: 2 }),
  share: fc.constantFrom(1, 1, 2, 3),
  D: fc.constantFrom(4, 8, 12, 16, 20, 32),
  causal: fc.boolean(),
  scale: fc.constantFrom(undefined, undefined, 0.5, -1),
  gate: fc.constantFrom('none', 'elementwise', 'headwise'),
  gateAct: fc.constantFrom('sigmoid', 'silu', 'identity', 'nsSigmoid'),
  gateOp: fc.constantFrom('mul', 'add'),
  seed: fc.nat(),
})

type Values = Float64Array | Float32Array

/** q, k, v, the cotangent, and the gate: multiples of 1/64 in [-1, 1), which float32 and float64 hold exactly. */
function draw({ B, T, more, KV, share, D, gate, seed }: Case): { shape: number[]; values: Float64Array }[] {
  const generator = new Generator(seed)
  const H = KV * share
  const keys = [B, T + more, KV, D]
  const shapes = [[B, T, H, D], keys, keys, [B, T, H, D]]
  if (gate !== 'none') shapes.push(gate === 'headwise' ? [B, T, H] : [B, T, H, D])
  return shapes.map((shape) => {
    const size = shape.reduce((n, s) => n * s, 1)
    return { shape, values: Float64Array.from(generator.uniform(size), (x) => Math.floor(x * 128) / 64 - 1) }
  })
}

const largest = (values: Iterable<number>): number => {
  let most = 0
  for (const x of values) most = Math.max(most, Math.abs(x))
  return most
}

/** Largest sum of |x| over rows of n. */
function largestRow(values: Values, n: number): number {
  let most = 0
  for (let i = 0; i < values.length; i += n) {
    let sum = 0
    for (const x of values.subarray(i, i + n)) sum += Math.abs(x)
    most = Math.max(most, sum)
  }
  return most
}

const u = 2 ** -24

interface Expected {
  readonly name: string
  readonly values: Values
  readonly bound: number
}

/**
 * The results in float64 and how far float32 may be from them, to first order in u = 2^-24:
 *
 *  - a score is a sum of D products of the rounded scale q, off by (D + 3) u A, A the largest sum of |scale q k|;
 *  - a weight is off, relatively, by that and by the same in the sum (or in logSum, which is itself rounded: |logSum| u),
 *    by the sum's S u, and by 12 u for two exponentials, a logarithm, and a division: e in all;
 *  - a result is a weighted mean of V: (e + (S + 2) u) max |V|;
 *  - dP and delta are sums of D products with dY, at most G in size, and delta has the error of Y: dS = P (dP - delta) has
 *    rows whose sizes sum to 2 G, and an error of (3 e + 2 (D + 4) u + (S + 2) u) G of a row of weights that sums to 1;
 *  - dQ is a sum of at most S such; dK and dV sum over N queries, with weights that sum to C, the largest column of P.
 *  - the gate is off by 8 u, relatively, of values up to 1.
 */
function expectations(given: Case): Expected[] {
  const drawn = draw(given)
  const { causal, scale, gateAct, gateOp, D, T, share } = given
  const S = T + given.more
  const values: Record<string, Float64Array> = {}
  scope(() => {
    const [q, k, v, dout, gate] = drawn.map(({ shape, values }) => tensor(values, { shape, device: 'reference' }))
    const operands: Record<string, Tensor> = gate ? { q, k, v, gate } : { q, k, v }
    for (const name in operands) operands[name].requiresGrad = true
    const options: AttentionOptions = { causal, scale }
    const y = attention(q, k, v, options)
    const out = gate ? applyGate(y, gate, { act: gateAct, op: gateOp }) : y
    out.backward(dout)
    const weights = attentionWeights(q.detach(), k.detach(), options)
    const found: Record<string, Tensor> = { out, ungated: y, weights }
    for (const name in operands) found[`d${name}`] = operands[name].grad!
    for (const name in found) values[name] = Float64Array.from(found[name].detach().dataNow())
  })
  const [q, k, v, dout] = drawn.map((each) => each.values)
  const factor = Math.abs(scale ?? D ** -0.5)
  const H = given.KV * share

  // logSum from q and k, and the largest column of the weights.
  const logSum = new Float64Array(given.B * T * H)
  const columns = new Float64Array(given.B * given.KV * S)
  for (let row = 0; row < logSum.length; row++) {
    const [b, t, h] = [Math.floor(row / (T * H)), Math.floor(row / H) % T, row % H]
    const keyHead = Math.floor(h / share)
    let sum = 0
    for (let j = 0; j < (causal ? t + 1 + given.more : S); j++) {
      let score = 0
      for (let d = 0; d < D; d++) score += q[row * D + d] * k[((b * S + j) * given.KV + keyHead) * D + d]
      sum += Math.exp(score * (scale ?? D ** -0.5))
      columns[(b * given.KV + keyHead) * S + j] += values.weights[((b * H + h) * T + t) * S + j]
    }
    logSum[row] = Math.log(sum)
  }

  const A = factor * largestRow(q, D) * largest(k)
  const scores = (D + 3) * u * A
  const e = 2 * scores + (S + 12 + largest(logSum)) * u
  const V = largest(v)
  const result = (e + (S + 2) * u) * V
  const gateSize = gateOp === 'mul' && given.gate !== 'none' ? 1 + 8 * u : 1
  const G = largestRow(dout, D) * gateSize * V
  const dScores = (3 * e + (2 * D + S + 16) * u) * G
  const N = T * share
  const C = largest(columns)
  const bounds: Record<string, number> = {
    out: result + 9 * u * (V + 1),
    logSum: scores + (S + 6 + largest(logSum)) * u,
    ungated: result,
    dq: factor * largest(k) * (dScores + (S + 3) * u * 2 * G),
    dk: factor * largest(q) * C * (dScores + (N + 3) * u * 2 * G),
    dv: C * (e + (N + 10) * u) * largest(dout),
    dgate: (given.gate === 'headwise' ? D : 1) * largest(dout) * (result + (D + 12) * u * Math.max(V, 1)) * 2,
  }
  const named = { ...values, logSum } as Record<string, Float64Array>
  return resultNames(given).map((name) => ({ name, values: named[name], bound: 1.01 * bounds[name] }))
}

const resultNames = ({ gate }: Case): string[] =>
  gate === 'none' ? ['out', 'logSum', 'dq', 'dk', 'dv'] : ['out', 'logSum', 'ungated', 'dq', 'dk', 'dv', 'dgate']

/** Runs kernels of given features on a device's threads, over memory that held other numbers before. */
class Runner {
  readonly device: CpuDevice
  readonly kernels: ReadonlyMap<FusedKernel, ReturnType<typeof attentionKernels>[number][1]>
  readonly #room: Room

  constructor(features: Features, threads: number) {
    this.device = new CpuDevice({ threads, simd: 'plain' })
    this.kernels = new Map(attentionKernels(features))
    this.#room = new Room(this.device.arena)
  }

  launch(kernel: FusedKernel, lengths: readonly number[], parameters: readonly (CpuBuffer | number)[]): CpuBuffer[] {
    const { device } = this
    const outputs = lengths.map((length) => {
      const output = device.allocate('float32', length)
      device.write(output, new Float32Array(length).fill(Number.NaN))
      return output
    })
    const launcher = this.kernels.get(kernel)!
    for (const task of this.#room.tasks((workspace) => launcher(outputs, noGrid, parameters, workspace))) {
      device.pool.run(task)
    }
    return outputs
  }

  /** Results in the order of `resultNames`. */
  run(given: Case, inputs = draw(given)): Float32Array[] {
    const { B, T, more, KV, share, D, causal, scale, gate, gateAct, gateOp } = given
    const [q, k, v, dout, gates] = inputs.map(({ values }) => {
      const buffer = this.device.allocate('float32', values.length)
      this.device.write(buffer, values)
      return buffer
    })
    const sizes = [B, T, T + more, KV * share, KV, D, causal ? 1 : 0, scale ?? D ** -0.5]
    const rows = B * T * KV * share
    let buffers: CpuBuffer[]
    if (!gates) {
      const [out, logSum] = this.launch(attentionForward, [q.length, rows], [q, k, v, ...sizes])
      const lengths = [q.length, k.length, v.length]
      const gradients = this.launch(attentionBackward, lengths, [dout, out, logSum, q, k, v, ...sizes])
      buffers = [out, logSum, ...gradients]
    } else {
      const gating = [gate === 'headwise' ? 1 : 0, attentionActivations.indexOf(gateAct), gateOp === 'add' ? 1 : 0]
      const forward = this.launch(
        gatedAttentionForward,
        [q.length, rows, q.length],
        [q, k, v, gates, ...sizes, ...gating],
      )
      const [, logSum, ungated] = forward
      const lengths = [q.length, k.length, v.length, gates.length]
      const operands = [dout, ungated, logSum, q, k, v, gates]
      buffers = [...forward, ...this.launch(gatedAttentionBackward, lengths, [...operands, ...sizes, ...gating])]
    }
    const results = buffers.map((buffer) => Float32Array.from(buffer.values))
    for (const buffer of [q, k, v, dout, ...(gates ? [gates] : []), ...buffers]) this.device.release(buffer)
    return results
  }
}

const hasWide = nodeMajor >= 24
const featureSets: readonly Features[] = [...variants, ...(hasWide ? [{ relaxed: true, wide: true }] : [])]

const runners = featureSets.map((features) => [1, 2].map((threads) => new Runner(features, threads)))
afterAll(() => {
  for (const runner of runners.flat()) runner.device.destroy()
})

function expectResults(given: Case, got: readonly Values[]): void {
  expectations(given).forEach(({ name, values, bound }, i) => {
    expect(got[i].length).toBe(values.length)
    values.forEach((x, j) => {
      const error = Math.abs(got[i][j] - x)
      if (!(error <= bound))
        expect.fail(`${name}[${j}] is ${got[i][j]}, expected ${x}: off by ${error}, bound ${bound}`)
    })
  })
}

const plainCase: Case = {
  ...{ B: 1, T: 40, more: 0, KV: 1, share: 2, D: 8, causal: true, scale: undefined, gate: 'none' },
  ...{ gateAct: 'sigmoid', gateOp: 'mul', seed: 4 },
}

describe.each(featureSets.map((features, i) => [JSON.stringify(features), i] as const))('attention, %s', (_, i) => {
  const [one, two] = runners[i]
  beforeAll(async () => {
    two.device.pool.start()
    await vi.waitUntil(() => two.device.pool.ready === 2, 10_000)
  })

  test('is the composition, forwards and back; two threads give the same bits', () => {
    fc.assert(
      fc.property(cases, (given) => {
        const got = one.run(given)
        expectResults(given, got)
        expect(two.run(given)).toEqual(got)
      }),
      { numRuns: 250 },
    )
  })

  test('is the composition for wide heads', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(40, 64, 100, 128), (drawn, D) => {
        const given = { ...drawn, D }
        expectResults(given, one.run(given))
      }),
      { numRuns: 20 },
    )
  })

  test('large scores neither overflow nor lose the softmax', () => {
    // Scores up to 3200: a weight is off by 2 (D + 3) u 3200 = 0.004 of itself at most.
    const given = { ...plainCase, scale: 400 }
    const got = one.run(given)
    expectResults(given, got)
    for (const values of got) expect(values.every(Number.isFinite)).toBe(true)
  })

  test('NaN and infinities reach the queries that they reach in the composition', () => {
    const special = fc.constantFrom(Number.NaN, Infinity, -Infinity)
    const placed = fc.record({ operand: fc.constantFrom(0, 1), at: fc.nat(), value: special, whole: fc.boolean() })
    fc.assert(
      fc.property(cases, fc.array(placed, { minLength: 1, maxLength: 3 }), (drawn, specials) => {
        const given: Case = { ...drawn, gate: 'none' }
        const inputs = draw(given)
        for (const { operand, at, value, whole } of specials) {
          const { values } = inputs[operand]
          const place = at % values.length
          // A whole row, so that not every score becomes NaN by a sum of both infinities.
          const start = whole ? place - (place % given.D) : place
          values.fill(value, start, whole ? start + given.D : place + 1)
        }
        const expected = scope(() => {
          const [q, k, v] = inputs.map(({ shape, values }) => tensor(values, { shape, device: 'reference' }))
          return [...attention(q, k, v, { causal: given.causal, scale: given.scale }).dataNow()]
        })
        const got = one.run(given, inputs)[0]
        expect([...got].map(Number.isNaN)).toEqual(expected.map(Number.isNaN))
      }),
      { numRuns: 200 },
    )
  })

  test('no memory is taken for T x S numbers', () => {
    const [T, D] = [2048, 8]
    const place = { offset: 0, length: T * D, dtype: 'float32' } as const
    const sizes = [1, T, T, 1, 1, D, 1, 0.5]
    let shared = 0
    const workspace = { floats: (n: number) => (shared += n) }
    const forward = one.kernels.get(attentionForward)!(
      [place, place],
      noGrid,
      [place, place, place, ...sizes],
      workspace,
    )
    const operands = new Array(6).fill(place)
    const backward = one.kernels.get(attentionBackward)!(
      [place, place, place],
      noGrid,
      [...operands, ...sizes],
      workspace,
    )
    const most = Math.max(...[...forward, ...backward].map(({ scratch }) => scratch / 4))
    expect(most + shared).toBeLessThan((T * T) / 8)
  })
})

describe('the cpu device', () => {
  let launched: MockInstance<NonNullable<Device['launchFused']>>
  const names = () => launched.mock.calls.map(([kernel]) => kernel.name)
  beforeEach(async () => {
    const cpu = (await device('cpu')) as Device & { launchFused: NonNullable<Device['launchFused']> }
    launched = vi.spyOn(cpu, 'launchFused')
  })
  afterEach(() => launched.mockRestore())
  const zeros = (shape: number[]) =>
    tensor(new Float32Array(shape.reduce((n, s) => n * s, 1)), { shape, device: 'cpu' })

  test('runs the composition for what the kernels do not take', () => {
    scope(() => {
      const [q, wide] = [zeros([1, 3, 2, 8]), zeros([1, 3, 2, 12])]
      attention(q, q, q, { mask: zeros([3, 3]) })
      attention(q, q, wide)
      attention(zeros([1, 3, 2, 6]), zeros([1, 3, 2, 6]), zeros([1, 3, 2, 6]))
      attention(q, q, q, { gate: q, gateShared: true })
      attention(q, q, q, { gate: zeros([2, 8]) })
      expect(names()).not.toContain('attentionForward')
      expect(names()).not.toContain('gatedAttentionForward')
      attention(q, q, q)
      attention(q, q, q, { gate: q })
      expect(names()).toEqual(expect.arrayContaining(['attentionForward', 'gatedAttentionForward']))
    })
  })

  test('takes the gradient of the gradient through the composition', () => {
    const second = (place: string) =>
      scope(() => {
        const [q, k, v, , gate] = draw({ ...plainCase, T: 5, gate: 'elementwise' }).map(({ shape, values }) =>
          tensor(values, { shape, device: place }),
        )
        const slope = grad((x: Tensor) => attention(x, k, v, { causal: true, gate }).square().sum())
        return [...grad((x: Tensor) => slope(x).square().sum())(q).dataNow()]
      })
    const [expected, got] = [second('reference'), second('cpu')]
    expect(names()).toContain('gatedAttentionForward')
    expect(largest(expected)).toBeGreaterThan(1e-3)
    expected.forEach((x, i) => {
      // Three passes over the composition, each off by a few dozen roundings.
      expect(Math.abs(got[i] - x)).toBeLessThanOrEqual(1e-5 * Math.max(1, largest(expected)))
    })
  })
})
