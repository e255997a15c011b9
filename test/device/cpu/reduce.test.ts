/** Reductions, running sums, and the plain parts of softmax and normalisation on the cpu device, against the plain kernels. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CellKernel, Grid } from '../../../kernels/kernel.ts'
import { argmaxAxis, cumsumAxis, maxAxis, minAxis, sumAxis, sumExpAxis } from '../../../kernels/reduce.ts'
import { softmaxDot, softmaxExp, softmaxGradient } from '../../../kernels/softmax.ts'
import { argmaxKernels } from '../../../kernels/tuned/wasm/argmax.ts'
import { cumsumKernels } from '../../../kernels/tuned/wasm/cumsum.ts'
import { logSumKernels } from '../../../kernels/tuned/wasm/log-sum.ts'
import { normKernels } from '../../../kernels/tuned/wasm/norm.ts'
import { reduceKernels } from '../../../kernels/tuned/wasm/reduce.ts'
import { softmaxKernels } from '../../../kernels/tuned/wasm/softmax.ts'
import { tunedKernels } from '../../../src/device/cpu/tuned.ts'
import { runPlain } from '../../../src/device/plain.ts'
import { cellCount, expectCells, inFloat32, launchesOf } from '../launches.ts'
import { numbers, runLauncher, sameBits } from './run-launcher.ts'
import { variants } from './variants.ts'

type Given = Float32Array | Int32Array | number

const u = 2 ** -24
const machines = variants.map((features) => [features, tunedKernels(features)] as const)

function plain(kernel: CellKernel, grid: Grid, parameters: readonly Given[]): Float64Array {
  const output = new Float64Array(cellCount(grid))
  runPlain(kernel, output, grid, parameters)
  return output
}

type Extents = readonly [Z: number, n: number, X: number]

/** Mostly small; now and then beyond every length at which a launch is cut into more items. */
const extents: fc.Arbitrary<Extents> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 20 }),
    ),
  },
  { weight: 2, arbitrary: fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 200 }), fc.constant(1)) },
  {
    weight: 1,
    arbitrary: fc.tuple(
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 120, max: 300 }),
      fc.integer({ min: 2, max: 9 }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 8190, max: 8400 }), fc.constantFrom(1, 2)),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(
      fc.integer({ min: 1, max: 2 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1020, max: 2060 }),
    ),
  },
)

/** Numbers of many sizes. */
const floats = (seed: number, length: number, largest = 4): Float32Array =>
  numbers(seed, length, largest).map((x, i) => x * 2 ** -((i * 7) % 9))

const seeds = fc.nat({ max: 2 ** 30 })

describe.each(machines)('with %o', (features, tuned) => {
  /** Runs a launch in one call a task, and in several, which must not matter. */
  function run(kernel: CellKernel, grid: Grid, parameters: readonly Given[], dtype: 'float32' | 'int32' = 'float32') {
    const output =
      dtype === 'int32' ? new Int32Array(cellCount(grid)) : new Float32Array(cellCount(grid)).fill(Number.NaN)
    const launch = { outputs: [output], grid, parameters }
    const [whole] = runLauncher(tuned.get(kernel)!, launch)
    for (const calls of [2, 7]) expect(sameBits(runLauncher(tuned.get(kernel)!, launch, calls)[0], whole)).toBe(true)
    return whole
  }

  const family = [reduceKernels, argmaxKernels, cumsumKernels, softmaxKernels, logSumKernels, normKernels]
  const parts = family
    .flatMap((kernels) => kernels(features))
    .map(([kernel]) => kernel)
    .filter((kernel) => kernel.kind === 'cell')
  test.each(parts.map((kernel) => [kernel.name, kernel] as const))('%s gives the plain cells', (name, kernel) => {
    const { draw, bound } = launchesOf(kernel)
    fc.assert(
      fc.property(fc.gen(), (g) => {
        const { grid, parameters } = draw(g)
        const given = inFloat32(parameters) as Given[]
        expectCells(run(kernel, grid, given), plain(kernel, grid, given), bound, name)
      }),
      { numRuns: 200 },
    )
  })

  /** Sums of segments are summed again, at most twice over. */
  const stages = ([, n, X]: Extents) => (X === 1 ? (n > 8192 ? 2 : 1) : n > 8192 ? 3 : n > 128 ? 2 : 1)

  // 2 u for the pairs and u for the result, each time sums are summed (folds.ts); 1.01 covers terms of higher order.
  test('sums are within 3 u sum |x| for each time they are summed', () => {
    fc.assert(
      fc.property(extents, seeds, (shape, seed) => {
        const [Z, n, X] = shape
        const x = floats(seed, Z * n * X)
        const grid: Grid = [X, 1, Z]
        const got = run(sumAxis, grid, [x, n, X])
        const expected = plain(sumAxis, grid, [x, n, X])
        const sizes = plain(sumAxis, grid, [x.map(Math.abs), n, X])
        for (let i = 0; i < got.length; i++) {
          expect(Math.abs(got[i] - expected[i])).toBeLessThanOrEqual(1.01 * 3 * stages(shape) * u * sizes[i])
        }
      }),
      { numRuns: 200 },
    )
  })

  test('dot products round once more', () => {
    fc.assert(
      fc.property(extents, seeds, (shape, seed) => {
        const [Z, n, X] = shape
        const [x, y] = [floats(seed, Z * n * X), floats(seed + 1, Z * n * X)]
        const grid: Grid = [X, 1, Z]
        const got = run(softmaxDot, grid, [x, y, n, X])
        const expected = plain(softmaxDot, grid, [x, y, n, X])
        const sizes = plain(softmaxDot, grid, [x.map(Math.abs), y.map(Math.abs), n, X])
        for (let i = 0; i < got.length; i++) {
          expect(Math.abs(got[i] - expected[i])).toBeLessThanOrEqual(1.01 * (1 + 3 * stages(shape)) * u * sizes[i])
        }
      }),
      { numRuns: 200 },
    )
  })

  // x - max is wrong by u |x - max| <= 8 u, which e makes a relative error; e itself by 2 u.
  test('sums of exponentials', () => {
    fc.assert(
      fc.property(extents, seeds, fc.constantFrom(0, Infinity, -Infinity, Number.NaN), (shape, seed, odd) => {
        const [Z, n, X] = shape
        const x = floats(seed, Z * n * X)
        if (odd !== 0) x[seed % x.length] = odd
        const grid: Grid = [X, 1, Z]
        const max = Float32Array.from(plain(maxAxis, grid, [x, n, X]))
        const got = run(sumExpAxis, grid, [x, max, n, X])
        const expected = plain(sumExpAxis, grid, [x, max, n, X])
        for (let i = 0; i < got.length; i++) {
          if (Object.is(got[i], expected[i])) continue
          expect(Math.abs(got[i] - expected[i])).toBeLessThanOrEqual(1.01 * (10 + 3 * stages(shape)) * u * expected[i])
        }
      }),
      { numRuns: 200 },
    )
  })

  /** Few different numbers, so that there are ties, and what is not finite. */
  const oddFloats = (length: number) =>
    fc.array(fc.constantFrom(-1, 0, -0, 1, 2, 2, 3, Infinity, -Infinity, ...new Array(20).fill(-2), Number.NaN), {
      minLength: length,
      maxLength: length,
    })

  test.each([maxAxis, minAxis, argmaxAxis].map((kernel) => [kernel.name, kernel] as const))(
    '%s is exact, with ties, NaN and infinities',
    (name, kernel) => {
      const small = fc.tuple(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 9 }),
      )
      fc.assert(
        fc.property(fc.gen(), small, fc.boolean(), (g, [Z, n, X], isRow) => {
          const inner = isRow ? 1 : X
          const x = Float32Array.from(g(oddFloats, Z * n * inner))
          const grid: Grid = [inner, 1, Z]
          const dtype = kernel === argmaxAxis && g(fc.boolean) ? 'int32' : 'float32'
          expectCells(run(kernel, grid, [x, n, inner], dtype), plain(kernel, grid, [x, n, inner]), 0, name)
        }),
        { numRuns: 400 },
      )
      fc.assert(
        fc.property(extents, seeds, ([Z, n, X], seed) => {
          const x = floats(seed, Z * n * X)
          expectCells(run(kernel, [X, 1, Z], [x, n, X]), plain(kernel, [X, 1, Z], [x, n, X]), 0, name)
        }),
        { numRuns: 100 },
      )
    },
  )

  // The float64 sums round to 2^-53 of what was added so far, each; then there is one rounding to float32.
  test('running sums are rounded once', () => {
    fc.assert(
      fc.property(extents, seeds, fc.boolean(), ([Z, n, X], seed, isReversed) => {
        const x = floats(seed, Z * n * X)
        const grid: Grid = [X, n, Z]
        const got = run(cumsumAxis, grid, [x, n, X, isReversed ? 1 : 0])
        for (let z = 0; z < Z; z++) {
          for (let c = 0; c < X; c++) {
            let [sum, size] = [0, 0]
            for (let step = 0; step < n; step++) {
              const at = (z * n + (isReversed ? n - 1 - step : step)) * X + c
              sum += x[at]
              size += Math.abs(x[at])
              const bound = u * Math.abs(sum) + 2 * n * 2 ** -53 * size
              if (!(Math.abs(got[at] - sum) <= bound)) expect(got[at]).toBe(sum)
            }
          }
        }
      }),
      { numRuns: 100 },
    )
  })

  // Numbers over rows and over columns, wide enough for whole vectors and several columns of a period.
  test('maps over rows and columns', () => {
    fc.assert(
      fc.property(extents, seeds, ([Z, n, X], seed) => {
        const [x, y] = [floats(seed, Z * n * X), floats(seed + 1, Z * n * X, 1)]
        const [max, dot] = [floats(seed + 2, Z * X), floats(seed + 3, Z * X)]
        const grid: Grid = [X, n, Z]
        const exponentials = run(softmaxExp, grid, [x, max, n, X, 0, 0.5])
        // The argument is wrong by u (|s x| + |s x - m|) <= 8 u, e by 2 u.
        const expected = plain(softmaxExp, grid, [x, max, n, X, 0, 0.5])
        for (let i = 0; i < expected.length; i++) {
          if (!(Math.abs(exponentials[i] - expected[i]) <= 1.01 * 10 * u * expected[i])) {
            expect(exponentials[i]).toBe(expected[i])
          }
        }
        const gradient = run(softmaxGradient, grid, [x, y, dot, n, X, 0.5])
        expectCells(gradient, plain(softmaxGradient, grid, [x, y, dot, n, X, 0.5]), 1.01 * 3 * u * 4, 'softmaxGradient')
      }),
      { numRuns: 200 },
    )
  })

  test('whole numbers are taken as floats', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -(2 ** 20), max: 2 ** 20 }), { minLength: 1, maxLength: 15 }), (list) => {
        const x = Int32Array.from(list)
        const n = x.length
        expect(run(sumAxis, [1, 1, 1], [x, n, 1])[0]).toBe(list.reduce((sum, v) => sum + v, 0))
        expect(run(maxAxis, [1, 1, 1], [x, n, 1])[0]).toBe(Math.max(...list))
        expect(run(argmaxAxis, [1, 1, 1], [x, n, 1], 'int32')[0]).toBe(list.indexOf(Math.max(...list)))
        expect(run(sumAxis, [n, 1, 1], [x, 1, n])).toEqual(Float32Array.from(list))
      }),
      { numRuns: 200 },
    )
  })

  test('nothing sums to 0', () => {
    expect(run(sumAxis, [1, 1, 3], [new Float32Array(0), 0, 1])).toEqual(new Float32Array(3))
    expect(run(sumAxis, [5, 1, 2], [new Float32Array(0), 0, 5])).toEqual(new Float32Array(10))
  })
})
