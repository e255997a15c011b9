/** Attention of the cpu device against its composition in float64: results, kept sums, and all gradients. */
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
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
import { type CpuBuffer, CpuDevice } from '../../../src/device/cpu/cpu.ts'
import { Room } from '../../../src/device/cpu/room.ts'
import { nodeMajor } from '../../../src/device/cpu/v8-flags.ts'
import {
  type AttentionOptions,
  applyGate,
  attention,
  attentionWeights,
  Generator,
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
  more: fc.constantFrom(0, 0, 1, 7, 33, 130),
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
  readonly #kernels: ReadonlyMap<FusedKernel, ReturnType<typeof attentionKernels>[number][1]>
  readonly #room: Room

  constructor(features: Features, threads: number) {
    this.device = new CpuDevice({ threads })
    this.#kernels = new Map(attentionKernels(features))
    this.#room = new Room(this.device.arena)
  }

  launch(kernel: FusedKernel, lengths: readonly number[], parameters: readonly (CpuBuffer | number)[]): CpuBuffer[] {
    const { device } = this
    const outputs = lengths.map((length) => {
      const output = device.allocate('float32', length)
      device.write(output, new Float32Array(length).fill(Number.NaN))
      return output
    })
    const launcher = this.#kernels.get(kernel)!
    for (const task of this.#room.tasks((workspace) => launcher(outputs, [1, 1, 1], parameters, workspace))) {
      device.pool.run(task)
    }
    return outputs
  }

  /** Results in the order of `resultNames`. */
  run(given: Case): Float32Array[] {
    const { B, T, more, KV, share, D, causal, scale, gate, gateAct, gateOp } = given
    const [q, k, v, dout, gates] = draw(given).map(({ values }) => {
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

function expectResults(given: Case, got: readonly Values[], worst?: Record<string, number>): void {
  expectations(given).forEach(({ name, values, bound }, i) => {
    expect(got[i].length).toBe(values.length)
    values.forEach((x, j) => {
      const error = Math.abs(got[i][j] - x)
      if (worst) worst[name] = Math.max(worst[name] ?? 0, error / bound)
      if (!(error <= bound))
        expect.fail(`${name}[${j}] is ${got[i][j]}, expected ${x}: off by ${error}, bound ${bound}`)
    })
  })
}

describe('attention on the cpu device', () => {
  test.each(featureSets.map((features, i) => [JSON.stringify(features), i] as const))(
    'is the composition, forwards and back, with %s; two threads give the same bits',
    (_, i) => {
      const [one, two] = runners[i]
      const worst: Record<string, number> = {}
      fc.assert(
        fc.property(cases, (given) => {
          const got = one.run(given)
          expectResults(given, got, worst)
          expect(two.run(given)).toEqual(got)
        }),
        { numRuns: 200 },
      )
      if (process.env.SHOW) console.log(worst)
    },
  )
})
