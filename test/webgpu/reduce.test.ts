/** Reductions and running sums on WebGPU against their plain kernels in float64, in every layout and number of passes. */
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Kernel } from '../../kernels/kernel.ts'
import { argmaxAxis, cumsumAxis, maxAxis, minAxis, sumAxis, sumExpAxis } from '../../kernels/reduce.ts'
import { softmaxDot } from '../../kernels/softmax.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { describeWebgpu } from './adapter.ts'
import { openWebgpu, plainly } from './launch.ts'
import { expectWithin, tunedCells, U, values, variants } from './rows.ts'

let gpu: WebGpuDevice

type Extents = readonly [Z: number, n: number, X: number]

const size = (max: number) => fc.integer({ min: 1, max })
/** Rows and columns: short, a workgroup long and more, and long enough to be cut into segments. */
const extents: fc.Arbitrary<Extents> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(size(9), size(40), fc.constant(1)) },
  { weight: 4, arbitrary: fc.tuple(size(300), size(5), fc.constant(1)) },
  { weight: 4, arbitrary: fc.tuple(size(3), fc.integer({ min: 250, max: 1100 }), fc.constant(1)) },
  { weight: 6, arbitrary: fc.tuple(size(3), size(70), size(40)) },
  { weight: 3, arbitrary: fc.tuple(size(2), fc.integer({ min: 120, max: 700 }), size(80)) },
  { weight: 1, arbitrary: fc.tuple(size(2), fc.integer({ min: 5000, max: 20000 }), fc.constant(1)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant(1), fc.integer({ min: 2000, max: 5000 }), size(4)) },
)
/** Far past the first thresholds: odd, with a short last segment. */
const long: Extents[] = [
  [1, 5000, 1],
  [2, 70001, 1],
  [1, 3001, 65],
  [3, 1031, 3],
]

/** Each reduction's launch of x, and the bound of cell `i` for what the plain kernel gave and the sum of magnitudes. */
interface Case {
  readonly kernel: Kernel
  readonly parameters: (seed: number, extents: Extents) => (Float32Array | number)[]
  /** n terms in any order: |error| <= (n - 1) u sum |terms| to first order (Higham 2002, 4.4); 1.01 covers the rest. */
  readonly bound: (magnitudes: number, n: number) => number
  /** Terms whose magnitudes are summed: the plain kernel is run on them. */
  readonly magnitudes?: (parameters: (Float32Array | number)[]) => (Float32Array | number)[]
}

const count = ([Z, n, X]: Extents) => Z * n * X
const absolute = (p: Float32Array | number) => (typeof p === 'number' ? p : p.map(Math.abs))
const summed = (magnitudes: number, n: number) => 1.01 * (n + 1) * U * magnitudes
const exact = () => 0
/** Few distinct values, so that many tie. */
const tied = (seed: number, length: number) => values(seed, length, 6).map(Math.round)

const cases: Record<string, Case> = {
  sumAxis: {
    kernel: sumAxis,
    parameters: (seed, e) => [values(seed, count(e), 3), e[1], e[2]],
    bound: summed,
    magnitudes: (parameters) => parameters.map(absolute),
  },
  softmaxDot: {
    kernel: softmaxDot,
    parameters: (seed, e) => [values(seed, count(e), 3), values(seed + 1, count(e)), e[1], e[2]],
    bound: summed,
    magnitudes: (parameters) => parameters.map(absolute),
  },
  sumExpAxis: {
    kernel: sumExpAxis,
    parameters: (seed, e) => [values(seed, count(e), 4), values(seed + 1, e[0] * e[2], 4), e[1], e[2]],
    // Of WGSL's exp (3 + 2 |v|) units of 2 u, where |v| <= 8; u |v| from the difference.
    bound: (sum, n) => summed(sum, n) + 1.01 * (2 * (3 + 16) + 8) * U * sum,
  },
  maxAxis: { kernel: maxAxis, parameters: (seed, e) => [values(seed, count(e), 3), e[1], e[2]], bound: exact },
  minAxis: { kernel: minAxis, parameters: (seed, e) => [values(seed, count(e), 3), e[1], e[2]], bound: exact },
  argmaxAxis: { kernel: argmaxAxis, parameters: (seed, e) => [tied(seed, count(e)), e[1], e[2]], bound: exact },
}

async function check(name: string, { kernel, parameters, bound, magnitudes }: Case, seed: number, e: Extents) {
  const [Z, n, X] = e
  const grid = [X, 1, Z] as const
  const given = parameters(seed, e)
  const expected = plainly(kernel, grid, given)
  const sizes = magnitudes ? plainly(kernel, grid, magnitudes(given)) : expected
  for (const features of variants(gpu)) {
    const got = await tunedCells(gpu, features, kernel, grid, given)
    expectWithin(got, expected, (i) => bound(sizes[i], n), `${name} of [${e}], ${[...features]}`)
  }
}

/** The first n sums in order; each lies within the bound of a sum of as many terms. */
async function checkScan(seed: number, [Z, n, X]: Extents, reverse: 0 | 1): Promise<void> {
  const x = values(seed, Z * n * X, 3)
  const expected = new Float64Array(x.length)
  const sizes = new Float64Array(x.length)
  for (let z = 0; z < Z; z++) {
    for (let c = 0; c < X; c++) {
      let [sum, magnitude] = [0, 0]
      for (let j = 0; j < n; j++) {
        const e = (z * n + (reverse ? n - 1 - j : j)) * X + c
        expected[e] = sum += x[e]
        sizes[e] = magnitude += Math.abs(x[e])
      }
    }
  }
  const got = await tunedCells(gpu, new Set(), cumsumAxis, [X, n, Z], [x, n, X, reverse])
  expectWithin(got, expected, (i) => summed(sizes[i], n), `cumsum of [${Z}, ${n}, ${X}], reverse ${reverse}`)
}

describeWebgpu('reductions', () => {
  beforeAll(async () => {
    gpu = await openWebgpu()
  })

  describe.each(Object.entries(cases))('%s', (name, given) => {
    test('is the plain kernel', async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(), extents, (seed, e) => check(name, given, seed, e)),
        { numRuns: 200 },
      )
    })

    test.each(long)('of [%i, %i, %i]', (...e) => check(name, given, 5, e))
  })

  test('cumsumAxis is the running sum', async () => {
    await fc.assert(fc.asyncProperty(fc.nat(), extents, fc.constantFrom(0 as const, 1 as const), checkScan), {
      numRuns: 200,
    })
  })

  test.each(long)('cumsumAxis of [%i, %i, %i]', async (...e) => {
    await checkScan(3, e, 0)
    await checkScan(3, e, 1)
  })

  test('more rows than one dimension of workgroups takes', async () => {
    // 256 rows a workgroup: a folded grid, whose last row of workgroups is not full. Also more items than float32 counts.
    await check('sumAxis', cases.sumAxis, 1, [256 * 65_601 + 3, 1, 1])
  })

  const special = [
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    1e-40,
    -1e-40,
    3.4e38,
    -3.4e38,
    1,
    -1,
  ]
  const extremes = [maxAxis, minAxis, argmaxAxis] as const

  test.each(extremes.map((kernel) => [kernel.name, kernel] as const))(
    '%s is exact at NaN and infinities',
    async (name, kernel) => {
      const rows = fc.array(fc.constantFrom(...special), { minLength: 1, maxLength: 12 })
      await fc.assert(
        fc.asyncProperty(rows, fc.constantFrom(1, 300), fc.constantFrom(1, 5), async (pattern, repeat, X) => {
          const n = pattern.length * repeat
          const x = Float32Array.from({ length: n * X }, (_, i) => pattern[Math.floor(i / X) % pattern.length])
          const expected = plainly(kernel, [X, 1, 1], [x, n, X])
          for (const features of variants(gpu)) {
            const got = await tunedCells(gpu, features, kernel, [X, 1, 1], [x, n, X])
            expectWithin(got, Float32Array.from(expected), exact, name)
          }
        }),
        { numRuns: 200 },
      )
    },
  )

  test('a sum with a NaN, or with infinities of both signs, is NaN', async () => {
    for (const pair of [
      [Number.NaN, 1],
      [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    ]) {
      const x = values(1, 600)
      x.set(pair, 299)
      expect([...(await tunedCells(gpu, new Set(), sumAxis, [1, 1, 1], [x, 600, 1]))]).toEqual([Number.NaN])
    }
  })

  test('the sum of nothing is 0', async () => {
    const got = await tunedCells(gpu, new Set(), sumAxis, [3, 1, 2], [new Float32Array(0), 0, 3])
    expect([...got]).toEqual([0, 0, 0, 0, 0, 0])
  })
})
