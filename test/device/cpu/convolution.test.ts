/** The causal convolution on the cpu device against its definition in float64, and its second gradients. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { causalConvolutionBackward, causalConvolutionForward, MOST_TAPS } from '../../../kernels/fused-convolution.ts'
import { convolutionKernels } from '../../../kernels/tuned/wasm/convolution.ts'
import { gradients } from '../../../src/autograd/tape.ts'
import { causalConv1d, type Tensor, tensor } from '../../../src/index.ts'
import { fuses } from '../../../src/tensor/launch.ts'
import { launcherOf, numbers, runBoth } from './run-launcher.ts'
import { variants } from './variants.ts'

const u = 2 ** -24

interface Case {
  B: number
  T: number
  C: number
  W: number
  hasBias: number
  hasState: number
  seed: number
}

/** A sum in float64, and how large its terms are. */
interface Sum {
  value: number
  size: number
}

const add = (sum: Sum, term: number) => {
  sum.value += term
  sum.size += Math.abs(term)
}

function draw({ B, T, C, W, seed }: Case) {
  const [x, dout] = [numbers(seed, B * T * C), numbers(seed + 1, B * T * C)]
  const [weight, bias, state] = [numbers(seed + 2, C * W), numbers(seed + 3, C), numbers(seed + 4, B * (W - 1) * C)]
  return { x, dout, weight, bias, state }
}

/** Output and gradients by the definition, every sum with the size of its terms. */
function defined(given: Case) {
  const { B, T, C, W, hasBias, hasState } = given
  const { x, dout, weight, bias, state } = draw(given)
  const sums = (length: number): Sum[] => Array.from({ length }, () => ({ value: 0, size: 0 }))
  const out = sums(B * T * C)
  const [dx, dweight, dbias, dstate] = [B * T * C, C * W, C, B * (W - 1) * C].map(sums)
  for (let b = 0; b < B; b++) {
    for (let t = 0; t < T; t++) {
      for (let c = 0; c < C; c++) {
        const at = (b * T + t) * C + c
        if (hasBias) add(out[at], bias[c])
        add(dbias[c], dout[at])
        for (let w = 0; w < W; w++) {
          const p = t - W + 1 + w
          const isPast = p < 0
          if (isPast && !hasState) continue
          const place = isPast ? (b * (W - 1) + p + W - 1) * C + c : (b * T + p) * C + c
          const input = isPast ? state[place] : x[place]
          add(out[at], weight[c * W + w] * input)
          add((isPast ? dstate : dx)[place], weight[c * W + w] * dout[at])
          add(dweight[c * W + w], dout[at] * input)
        }
      }
    }
  }
  return { out, dx, dweight, dbias, dstate }
}

/** A sum of n products in whatever order is off by at most n u / (1 - n u) times the sum of their sizes. */
function expectSums(got: ArrayLike<number>, expected: readonly Sum[], terms: number, what: string): void {
  const bound = (terms * u) / (1 - terms * u)
  const worst = expected.reduce((most, { value, size }, i) => {
    const off = Math.abs(got[i] - value) / (size || 1)
    return Number.isNaN(off) ? Number.POSITIVE_INFINITY : Math.max(most, off)
  }, 0)
  expect(worst, what).toBeLessThanOrEqual(bound)
}

const extent = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(31, 32, 33, 36, 63, 64, 65, 70))
const cases: fc.Arbitrary<Case> = fc.record({
  B: fc.constantFrom(1, 2, 3),
  T: extent,
  C: fc.integer({ min: 1, max: 19 }),
  W: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constantFrom(7, MOST_TAPS)),
  hasBias: fc.constantFrom(0, 1),
  hasState: fc.constantFrom(0, 1),
  seed: fc.nat(2 ** 30),
})

describe.each(variants)('the causal convolution on the cpu device, relaxed $relaxed', (features) => {
  const forward = launcherOf(causalConvolutionForward, convolutionKernels, features)
  const backward = launcherOf(causalConvolutionBackward, convolutionKernels, features)

  test('is its definition, forward and backward, in one call and in several', () => {
    const property = fc.property(cases, (given) => {
      const { B, T, C, W, hasBias, hasState } = given
      const { x, dout, weight, bias, state } = draw(given)
      const expected = defined(given)
      const [out] = runBoth(forward, {
        outputs: [new Float32Array(B * T * C)],
        parameters: [x, weight, hasBias ? bias : weight, hasState ? state : x, B, T, C, W, hasBias, hasState],
      })
      const untouched = new Float32Array(Math.max(1, B * (W - 1) * C)).fill(7)
      const [dx, dweight, dbias, dstate] = runBoth(backward, {
        outputs: [new Float32Array(B * T * C), new Float32Array(C * W), new Float32Array(C), untouched],
        parameters: [dout, x, weight, hasState ? state : x, B, T, C, W, hasState],
      })
      expectSums(out, expected.out, W + 1, 'out')
      expectSums(dx, expected.dx, W, 'dx')
      expectSums(dweight, expected.dweight, B * T, 'dweight')
      expectSums(dbias, expected.dbias, B * T, 'dbias')
      if (hasState) expectSums(dstate, expected.dstate, W, 'dstate')
      else expect(dstate).toEqual(untouched)
    })
    fc.assert(property, { numRuns: 300 })
  })

  test('a NaN reaches the W outputs that see it, in its channel', () => {
    const [T, C, W] = [40, 7, 4]
    const x = new Float32Array(T * C).fill(1)
    x[20 * C + 5] = Number.NaN
    const weight = new Float32Array(C * W).fill(1)
    const [out] = runBoth(forward, {
      outputs: [new Float32Array(T * C)],
      parameters: [x, weight, weight, x, 1, T, C, W, 0, 0],
    })
    const found = [...out.keys()].filter((i) => Number.isNaN(out[i]))
    expect(found).toEqual([20, 21, 22, 23].map((t) => t * C + 5))
  })
})

describe('causalConv1d on the cpu device', () => {
  const make = (seed: number, shape: number[], on: string): Tensor => {
    const size = shape.reduce((a, b) => a * b, 1)
    const t = tensor(numbers(seed, size, 1), { shape, device: on })
    t.requiresGrad = true
    return t
  }

  test('is fused', () => {
    expect(fuses(causalConvolutionForward, make(1, [1, 2, 3], 'cpu'))).toBe(true)
    expect(fuses(causalConvolutionBackward, make(1, [1, 2, 3], 'cpu'))).toBe(true)
  })

  // Sums of at most 40 terms, twice over, of values up to 30: 1600 roundings of 2^-24 at the most.
  test('has second gradients, which the composition gives', async () => {
    const [B, T, C, W] = [2, 5, 3, 3]
    const [got, expected] = ['cpu', 'reference'].map((on) => {
      const [x, weight, bias, state] = [
        make(1, [B, T, C], on),
        make(2, [C, W], on),
        make(3, [C], on),
        make(4, [B, W - 1, C], on),
      ]
      const leaves = [x, weight, bias, state]
      const loss = causalConv1d(x, weight, { bias, state }).square().sum()
      const first = gradients(loss, leaves, { createGraph: true })
      const norm = first.map((g) => g.square().sum()).reduce((a, b) => a.add(b))
      return gradients(norm, leaves)
    })
    for (const i of expected.keys()) {
      const [a, b] = [await got[i].data(), await expected[i].data()]
      const size = Math.max(...b.map(Math.abs))
      a.forEach((value, j) => {
        expect(Math.abs(value - b[j])).toBeLessThanOrEqual(1600 * u * size)
      })
    }
  })
})
