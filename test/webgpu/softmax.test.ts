/** Softmax of rows in one kernel, forwards and back, against float64. */
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { softmaxBackward, softmaxForward } from '../../kernels/fused-rows.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { describeWebgpu } from './adapter.ts'
import { openWebgpu } from './launch.ts'
import { expectSameOperation, expectWithin, fusedCells, U, values, variants } from './rows.ts'

let gpu: WebGpuDevice

interface Rows {
  readonly rows: number
  readonly n: number
  /** Queries of a causal block, 0 for none. */
  readonly T: number
  readonly scale: number
  readonly x: Float32Array
}

/** Logits lie in [-A, A] once scaled. */
const A = 16

function softmaxOf({ rows, n, T, scale, x }: Rows): Float64Array {
  const y = new Float64Array(rows * n)
  const s = Math.fround(scale)
  for (let z = 0; z < rows; z++) {
    const visible = T === 0 ? n : (z % T) + 1 + n - T
    const row = Array.from(x.subarray(z * n, z * n + visible), (v) => v * s)
    const m = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
    const e = row.map((v) => Math.exp(v - m))
    const sum = e.reduce((a, b) => a + b, 0)
    y.set(
      e.map((v) => v / sum),
      z * n,
    )
  }
  return y
}

/**
 * Relative error of e / sum, to first order in u = 2^-24; values scaled lie in [-A, A], so exponents in [-2A, 0].
 *
 * Scaling and subtracting leave 6 A u in an exponent, above and below: 12 A. WGSL's exp is good to 3 + 2 |v| units of 2 u:
 * 6 + 8 A for the numerator. A term of the sum sees its own exponential, K rescalings whose exponents add up to 2 A at
 * most, and the meeting of the lanes: 3 (6 + 8 A) + 6 K, and K products and as many sums: 2 K. K is at most the elements
 * of a lane. The sum is n; the division 5. Underflow below 2^-126 is absolute.
 */
const relative = (n: number) => {
  const K = 4 + n / 256
  return 1.01 * U * (n + 44 * A + 8 * K + 29)
}

async function checkForward(given: Rows): Promise<void> {
  const { rows, n, T, scale, x } = given
  const expected = softmaxOf(given)
  for (const features of variants(gpu)) {
    const [got] = await fusedCells(gpu, features, softmaxForward, [rows * n], [x, rows, n, T, scale])
    const what = `${rows} rows of ${n}, T ${T}, ${[...features]}`
    expectWithin(got, expected, (i) => expected[i] * relative(n) + 2 ** -120, what)
    // Beyond the causal limit it is 0 exactly.
    if (T > 0) expect(got.filter((_, i) => (i % n) - (Math.floor(i / n) % T) > n - T).every((v) => v === 0)).toBe(true)
  }
}

async function checkBackward(seed: number, rows: number, n: number, scale: number): Promise<void> {
  const [dy, y] = [values(seed, rows * n, 2), values(seed + 1, rows * n).map(Math.abs)]
  const expected = new Float64Array(rows * n)
  const bounds = new Float64Array(rows * n)
  for (let z = 0; z < rows; z++) {
    let [dot, size] = [0, 0]
    for (let i = z * n; i < (z + 1) * n; i++) {
      dot += dy[i] * y[i]
      size += Math.abs(dy[i] * y[i])
    }
    for (let i = z * n; i < (z + 1) * n; i++) {
      expected[i] = scale * y[i] * (dy[i] - dot)
      // The sum's own rounding (Higham 2002, 4.4), the difference, two products, and the scale in float32.
      bounds[i] = 1.01 * U * scale * y[i] * ((n + 1) * size + 4 * (Math.abs(dy[i]) + size))
    }
  }
  for (const features of variants(gpu)) {
    const [got] = await fusedCells(gpu, features, softmaxBackward, [rows * n], [dy, y, rows, n, scale])
    expectWithin(got, expected, (i) => bounds[i], `${rows} rows of ${n}, ${[...features]}`)
  }
}

const size = (max: number) => fc.integer({ min: 1, max })
const shapes = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(size(70), size(20)) },
  { weight: 6, arbitrary: fc.tuple(size(20), size(300)) },
  { weight: 2, arbitrary: fc.tuple(size(3), size(2100)) },
)
const scales = fc.constantFrom(1, 0.25, 0.125, 2)

describeWebgpu('softmax of rows', () => {
  beforeAll(async () => {
    gpu = await openWebgpu()
  })

  test('forwards', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), shapes, scales, (seed, [rows, n], scale) =>
        checkForward({ rows, n, T: 0, scale, x: values(seed, rows * n, A / scale) }),
      ),
      { numRuns: 200 },
    )
  })

  test('causal', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), size(3), size(24), fc.nat(100), scales, (seed, blocks, T, more, scale) => {
        const [rows, n] = [blocks * T, T + more]
        return checkForward({ rows, n, T, scale, x: values(seed, rows * n, A / scale) })
      }),
      { numRuns: 200 },
    )
  })

  test('backwards', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), shapes, scales, (seed, [rows, n], scale) => checkBackward(seed, rows, n, scale)),
      { numRuns: 200 },
    )
  })

  test.each([5000, 50257])('a long row of %i', async (n) => {
    await checkForward({ rows: 2, n, T: 0, scale: 1, x: values(1, 2 * n, A) })
    await checkBackward(1, 2, n, 1)
  })

  test('rising rows rescale at every step, falling ones never', async () => {
    for (const sign of [1, -1]) {
      const x = Float32Array.from({ length: 1000 }, (_, i) => (sign * A * (i - 500)) / 500)
      await checkForward({ rows: 1, n: 1000, T: 0, scale: 1, x })
    }
  })

  test('-infinity counts for nothing; a row with NaN or +infinity, or of -infinity alone, is NaN', async () => {
    const { NaN: nan, POSITIVE_INFINITY: inf, NEGATIVE_INFINITY: none } = Number
    for (const n of [3, 700]) {
      const rows = [
        [none, 0, 0],
        [nan, 0, 0],
        [inf, 0, 0],
        [inf, inf, 0],
        [none, nan, 0],
      ]
      const x = new Float32Array((rows.length + 1) * n).fill(none)
      for (const [z, row] of rows.entries()) x.set(row, z * n)
      for (const features of variants(gpu)) {
        const [y] = await fusedCells(gpu, features, softmaxForward, [x.length], [x, rows.length + 1, n, 0, 1])
        expect([...y.subarray(0, 3)]).toEqual([0, 0.5, 0.5])
        expect(y.subarray(3, n).every((v) => v === 0)).toBe(true)
        expect(y.subarray(n).every(Number.isNaN)).toBe(true)
      }
    }
  })

  test('is what the operation runs, forwards, back and twice back', async () => {
    const x = values(3, 2 * 3 * 5, 2)
    const w = values(4, 2 * 3 * 5)
    const labels = await expectSameOperation(gpu, [[x, [2, 3, 5]]], (t, constant) =>
      t
        .softmax(-1, { causal: true, scale: 0.5 })
        .mul(constant(w, [2, 3, 5]))
        .sum(),
    )
    expect(labels.first).toEqual(expect.arrayContaining(['softmaxForward', 'softmaxBackward']))
  })
})
