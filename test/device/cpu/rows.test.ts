/**
 * The fused kernels over rows on the cpu device against their compositions in float64: softmax, cross-entropy, normalisation.
 *
 * Bounds are to first order in u = 2^-24, times 1.01 for the higher ones. What they start from: a sum is wrong by 3 u times
 * the sum of the terms' sizes, beside the terms' own errors (folds.ts); exp and log by 2 u of the result (math.ts), but
 * exp by 2^-149 where it underflows.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  crossEntropyBackward,
  crossEntropyForward,
  l2NormBackward,
  l2NormForward,
  rmsNormBackward,
  rmsNormForward,
  rmsNormWeightBackward,
  softmaxBackward,
  softmaxForward,
} from '../../../kernels/fused-rows.ts'
import type { FusedKernel, Grid, Kernel } from '../../../kernels/kernel.ts'
import { crossEntropyRow } from '../../../kernels/softmax.ts'
import { tunedKernels } from '../../../src/device/cpu/tuned.ts'
import { numbers, runLauncher, sameBits } from './run-launcher.ts'
import { variants } from './variants.ts'

type Data = Float32Array | Int32Array

const u = 2 ** -24
const machines = variants.map((features) => [features, tunedKernels(features)] as const)

const sizes = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 40 })) },
  { weight: 1, arbitrary: fc.tuple(fc.integer({ min: 30, max: 140 }), fc.integer({ min: 1, max: 20 })) },
  { weight: 1, arbitrary: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1000, max: 1100 })) },
)
const seeds = fc.nat({ max: 2 ** 30 })
/** Arguments of exponentials: from close together to far apart. */
const spreads = fc.constantFrom(1, 8, 60, 300)

/** Fails with what it got where an error is not within the bound; two NaN agree. */
function expectWithin(got: number, expected: number, bound: number): void {
  if (Number.isNaN(expected) ? Number.isNaN(got) : Math.abs(got - expected) <= 1.01 * bound) return
  throw new Error(`got ${got}, expected ${expected} within ${bound}`)
}

const sum = (values: readonly number[]) => values.reduce((total, v) => total + v, 0)
const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => sum(Array.from(a, (v, i) => v * b[i]))
const rowOf = (x: Float32Array, i: number, n: number): number[] => [...x.subarray(i * n, (i + 1) * n)]

/** The maximum as the plain kernels have it: NaN if there is one. */
const maximum = (values: readonly number[]) => values.reduce((m, v) => (v > m ? v : v <= m ? m : v + m), values[0])

function softmaxRow(x: readonly number[]): number[] {
  const m = maximum(x)
  const powers = x.map((v) => Math.exp(v - m))
  const total = sum(powers)
  return powers.map((e) => e / total)
}

describe.each(machines)('with %o', (_features, tuned) => {
  /** Runs a launch in one call a task, and in several, which must not matter. */
  function run(
    kernel: Kernel | FusedKernel,
    outputs: readonly number[],
    parameters: readonly (Data | number)[],
    grid?: Grid,
  ) {
    const launch = {
      outputs: outputs.map((length) => new Float32Array(length).fill(Number.NaN)),
      parameters,
      ...(grid ? { grid } : {}),
    }
    const whole = runLauncher(tuned.get(kernel)!, launch)
    for (const calls of [2, 5]) {
      const cut = runLauncher(tuned.get(kernel)!, launch, calls)
      for (const [i, data] of whole.entries()) expect(sameBits(data, cut[i])).toBe(true)
    }
    return whole as Float32Array[]
  }

  // With a = max |s x|: the argument of e is wrong by u a for the product and 2 u a for the difference. What is then a
  // relative error of e, with e's own 2 u, comes in twice, as does one rounding; the sum's 3 u, and 1 for its inverse.
  test('softmax forwards, with and without a causal limit', () => {
    fc.assert(
      fc.property(
        sizes,
        seeds,
        spreads,
        fc.constantFrom(1, 0.125, -2),
        fc.boolean(),
        (shape, seed, spread, scale, causal) => {
          const n = shape[1]
          const T = causal ? (seed % n) + 1 : 0
          const rows = causal ? T * Math.ceil(shape[0] / T) : shape[0]
          if (rows * n > 20_000) return
          const x = numbers(seed, rows * n, spread)
          const [y] = run(softmaxForward, [rows * n], [x, rows, n, T, scale])
          for (let i = 0; i < rows; i++) {
            const visible = causal ? (i % T) + 1 + n - T : n
            const scaled = rowOf(x, i, n)
              .slice(0, visible)
              .map((v) => v * scale)
            const a = Math.max(...scaled.map(Math.abs))
            const expected = softmaxRow(scaled)
            for (let j = 0; j < n; j++) {
              if (j < visible) expectWithin(y[i * n + j], expected[j], (6 * a + 9) * u * expected[j] + 2 ** -148)
              else expect(y[i * n + j]).toBe(0)
            }
          }
        },
      ),
      { numRuns: 200 },
    )
  })

  test('softmax of what is not finite', () => {
    const [inf, nan] = [Infinity, Number.NaN]
    const rows = [
      [1, -inf, 2, -inf, 0],
      [-inf, -inf, -inf, -inf, -inf],
      [1, inf, 2, 0, 0],
      [1, 2, nan, 3, -inf],
      [0, 0, 0, 0, nan],
    ]
    const [y] = run(softmaxForward, [25], [Float32Array.from(rows.flat()), 5, 5, 0, 1])
    for (const [i, row] of rows.entries()) {
      for (const [j, expected] of softmaxRow(row).entries()) expectWithin(y[5 * i + j], expected, 12 * u)
    }
    expect([y[1], y[3]]).toEqual([0, 0])
    // Beyond the limit 0 is divided by a sum that is NaN.
    const [causal] = run(softmaxForward, [4], [Float32Array.of(nan, 1, 0, 0), 2, 2, 2, 1])
    expect([...causal]).toEqual([nan, nan, 0.5, 0.5])
  })

  // The dot product is wrong by 4 u D, D = sum |dy y|; the difference, and two products, round once each.
  test('softmax backwards', () => {
    fc.assert(
      fc.property(sizes, seeds, fc.constantFrom(1, 0.125), ([rows, n], seed, scale) => {
        const [dy, y] = [numbers(seed, rows * n), numbers(seed + 1, rows * n, 1)]
        const [dx] = run(softmaxBackward, [rows * n], [dy, y, rows, n, scale])
        for (let i = 0; i < rows; i++) {
          const [dys, ys] = [rowOf(dy, i, n), rowOf(y, i, n)]
          const total = dot(dys, ys)
          const D = dot(dys.map(Math.abs), ys.map(Math.abs))
          for (let j = 0; j < n; j++) {
            const p = scale * ys[j]
            expectWithin(dx[i * n + j], p * (dys[j] - total), u * Math.abs(p) * (3 * Math.abs(dys[j]) + 7 * D))
          }
        }
      }),
      { numRuns: 200 },
    )
  })

  const targetsOf = (seed: number, rows: number, n: number) =>
    Int32Array.from(numbers(seed + 9, rows, 1), (v) => Math.floor(Math.abs(v) * n * 0.999))

  // With a = max |x|: the sum of exponentials is wrong by 2 u a + 5 u relatively, which is log sum's error beside its own
  // 2 u; x[target] - m by 2 u a; the difference of both, the sum over rows (3 u) and the mean round again.
  test('cross-entropy forwards', () => {
    fc.assert(
      fc.property(sizes, seeds, spreads, fc.boolean(), ([rows, n], seed, spread, ignores) => {
        const logits = numbers(seed, rows * n, spread)
        const targets = targetsOf(seed, rows, n)
        const ignore = ignores ? targets[0] : -100
        const [loss, counted, logSum] = run(crossEntropyForward, [1, 1, rows], [logits, targets, rows, n, ignore])
        const [losses] = run(crossEntropyRow, [rows], [logits, targets, n, ignore], [rows, 1, 1])
        const expected: number[] = []
        const bounds: number[] = []
        for (let i = 0; i < rows; i++) {
          const row = rowOf(logits, i, n)
          const m = maximum(row)
          const logarithm = Math.log(sum(row.map((v) => Math.exp(v - m))))
          const a = Math.max(...row.map(Math.abs))
          expectWithin(logSum[i], logarithm + m, u * (2 * a + 5 + 2 * logarithm + Math.abs(logarithm + m)))
          const one = targets[i] === ignore ? 0 : logarithm - (row[targets[i]] - m)
          const bound = targets[i] === ignore ? 0 : u * (4 * a + 5 + 2 * logarithm + one)
          expectWithin(losses[i], one, bound)
          expected.push(one)
          bounds.push(bound)
        }
        const count = targets.filter((target) => target !== ignore).length
        expect(counted[0]).toBe(count)
        expectWithin(loss[0], sum(expected) / count, (sum(bounds) + 4 * u * sum(expected)) / count)
      }),
      { numRuns: 200 },
    )
  })

  // The argument of e is wrong by u |logSum| for its own rounding and u |x - logSum| <= u (2 a + log n) for the difference;
  // e by 2 u; what it is less 1, the factor and their product round once each.
  test('cross-entropy backwards', () => {
    fc.assert(
      fc.property(sizes, seeds, spreads, fc.boolean(), ([rows, n], seed, spread, ignores) => {
        const logits = numbers(seed, rows * n, spread)
        const targets = targetsOf(seed, rows, n)
        const ignore = ignores ? targets[0] : -100
        const exact = Array.from({ length: rows }, (_, i) => {
          const row = rowOf(logits, i, n)
          const m = maximum(row)
          return Math.log(sum(row.map((v) => Math.exp(v - m)))) + m
        })
        const [dy, counted] = [Float32Array.of(0.7), Float32Array.of(rows)]
        const parameters = [logits, targets, Float32Array.from(exact), dy, counted, rows, n, ignore]
        const [dlogits] = run(crossEntropyBackward, [rows * n], parameters)
        const factor = dy[0] / rows
        for (let i = 0; i < rows; i++) {
          const row = rowOf(logits, i, n)
          const a = Math.max(...row.map(Math.abs))
          for (let j = 0; j < n; j++) {
            const got = dlogits[i * n + j]
            if (targets[i] === ignore) {
              expect(got).toBe(0)
              continue
            }
            const p = Math.exp(row[j] - exact[i])
            const hot = targets[i] === j ? 1 : 0
            const bound = factor * u * (p * (3 * a + 2 * Math.log(n) + 5) + 3 * hot) + 2 ** -148
            expectWithin(got, factor * (p - hot), bound)
          }
        }
      }),
      { numRuns: 200 },
    )
  })

  test('cross-entropy of what is not finite, of no class, and of nothing', () => {
    const [inf, nan] = [Infinity, Number.NaN]
    const rows = [
      [0, -inf, 0],
      [0, nan, 0],
      [inf, 0, 0],
      [-inf, -inf, -inf],
      [0, 0, 0],
    ]
    const logits = Float32Array.from(rows.flat())
    const [losses] = run(crossEntropyRow, [5], [logits, Int32Array.of(1, 0, 0, 0, 7), 3, -1], [5, 1, 1])
    expect([...losses]).toEqual([inf, nan, nan, nan, nan])
    const parameters = [logits, new Int32Array(5).fill(2), 5, 3, 2]
    const [loss, counted] = run(crossEntropyForward, [1, 1, 5], parameters)
    expect([loss[0], counted[0]]).toEqual([nan, 0])
  })

  const numberOf = fc.constantFrom(0, 1)
  const epsilon = fc.constantFrom(1e-6, 0.1)

  // r is wrong by (4 u for the sum of squares, 1 for the quotient, 1 for adding eps) / 2, and 2 for root and inverse: 5 u.
  test('normalisation forwards', () => {
    fc.assert(
      fc.property(sizes, seeds, numberOf, epsilon, ([rows, n], seed, centre, eps) => {
        const [x, weight] = [numbers(seed, rows * n), numbers(seed + 1, n)]
        const [y] = run(rmsNormForward, [rows * n], [x, weight, rows, n, eps, centre])
        const [unit] = run(l2NormForward, [rows * n], [x, rows, n, eps])
        for (let i = 0; i < rows; i++) {
          const row = rowOf(x, i, n)
          const r = 1 / Math.sqrt(dot(row, row) / n + Math.fround(eps))
          const length = 1 / Math.sqrt(dot(row, row) + Math.fround(eps))
          for (let j = 0; j < n; j++) {
            const expected = row[j] * r * (weight[j] + centre)
            expectWithin(y[i * n + j], expected, 8 * u * Math.abs(expected))
            expectWithin(unit[i * n + j], row[j] * length, 6 * u * Math.abs(row[j] * length))
          }
        }
      }),
      { numRuns: 200 },
    )
  })

  // With S = r^2 sum |g x| / D: r^2 sum(g x) / D is wrong by 19 u S: 11 for r^2, 6 for the sum, and two products. Its
  // product with x, their sum with g (itself wrong by 2 u), and r (5 u) and its product follow.
  test('normalisation backwards', () => {
    fc.assert(
      fc.property(sizes, seeds, numberOf, epsilon, ([rows, n], seed, centre, eps) => {
        const [dy, x, weight] = [numbers(seed, rows * n), numbers(seed + 1, rows * n), numbers(seed + 2, n)]
        const [dx] = run(rmsNormBackward, [rows * n], [dy, x, weight, rows, n, eps, centre])
        const [unit] = run(l2NormBackward, [rows * n], [dy, x, rows, n, eps])
        const check = (got: Float32Array, i: number, D: number, weights: readonly number[]) => {
          const row = rowOf(x, i, n)
          const g = rowOf(dy, i, n).map((v, j) => v * weights[j])
          const r = 1 / Math.sqrt(dot(row, row) / D + Math.fround(eps))
          const slope = (r * r * dot(g, row)) / D
          const S = (r * r * dot(g.map(Math.abs), row.map(Math.abs))) / D
          for (let j = 0; j < n; j++) {
            const bound = u * r * (27 * Math.abs(row[j]) * S + 9 * Math.abs(g[j]))
            expectWithin(got[i * n + j], r * (g[j] - row[j] * slope), bound)
          }
        }
        for (let i = 0; i < rows; i++) {
          check(
            dx,
            i,
            n,
            Array.from(weight, (w) => w + centre),
          )
          check(unit, i, 1, new Array<number>(n).fill(1))
        }
      }),
      { numRuns: 200 },
    )
  })

  // A term is wrong by 5 u for r and 2 u for its products; sums of blocks and those of their sums by 3 u each.
  test("the weight's gradient of normalisation", () => {
    fc.assert(
      fc.property(sizes, seeds, epsilon, ([rows, n], seed, eps) => {
        const [dy, x] = [numbers(seed, rows * n), numbers(seed + 1, rows * n)]
        const [dweight] = run(rmsNormWeightBackward, [n], [dy, x, rows, n, eps])
        const total = new Float64Array(n)
        const size = new Float64Array(n)
        for (let i = 0; i < rows; i++) {
          const row = rowOf(x, i, n)
          const r = 1 / Math.sqrt(dot(row, row) / n + Math.fround(eps))
          for (let j = 0; j < n; j++) {
            const term = dy[i * n + j] * row[j] * r
            total[j] += term
            size[j] += Math.abs(term)
          }
        }
        for (let j = 0; j < n; j++) expectWithin(dweight[j], total[j], 13 * u * size[j])
      }),
      { numRuns: 200 },
    )
  })

  test('a NaN stays in its row', () => {
    const n = 6
    const x = numbers(3, 3 * n)
    x[n + 4] = Number.NaN
    const weight = numbers(4, n)
    const isNaNRow = (y: Float32Array) => [0, 1, 2].map((i) => rowOf(y, i, n).every(Number.isNaN))
    expect(isNaNRow(run(rmsNormForward, [3 * n], [x, weight, 3, n, 1e-6, 0])[0])).toEqual([false, true, false])
    expect(isNaNRow(run(l2NormForward, [3 * n], [x, 3, n, 1e-6])[0])).toEqual([false, true, false])
    expect(isNaNRow(run(softmaxForward, [3 * n], [x, 3, n, 0, 1])[0])).toEqual([false, true, false])
  })
})
