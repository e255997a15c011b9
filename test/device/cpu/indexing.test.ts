/** Reading and adding through indices on the cpu device, against the plain kernels. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { embedding, embeddingGradient, gather, oneHot, scatterAdd, topKIndex } from '../../../kernels/indexing.ts'
import type { CellKernel, Grid } from '../../../kernels/kernel.ts'
import { indexingKernels } from '../../../kernels/tuned/wasm/indexing.ts'
import { runPlain } from '../../../src/device/plain.ts'
import { cellCount, launchesOf } from '../launches.ts'
import { launcherOf, numbers, runBoth } from './run-launcher.ts'

type Data = Float32Array | Int32Array
const u = 2 ** -24
const features = { relaxed: false }

function run(kernel: CellKernel, grid: Grid, parameters: readonly (Data | number)[], out: Data): Data {
  out.fill(-7)
  return runBoth(launcherOf(kernel, indexingKernels, features), { outputs: [out], parameters, grid })[0]
}

function plain(kernel: CellKernel, grid: Grid, parameters: readonly (Float64Array | Data | number)[]): Float64Array {
  const output = new Float64Array(cellCount(grid))
  runPlain(kernel, output, grid, parameters)
  return output
}

const seed = fc.integer({ min: 0, max: 1e9 })
const size = fc.integer({ min: 1, max: 70 })
const indicesOf = (from: number, length: number, n: number) =>
  Int32Array.from(numbers(from, length, 0.5), (v) => Math.min(n - 1, Math.floor((v + 0.5) * n)))

describe('indexing on the cpu device', () => {
  const exact = [embedding, embeddingGradient, gather, oneHot, scatterAdd, topKIndex]
  test.each(exact.map((kernel) => [kernel.name, kernel] as const))(
    '%s, exactly where sums are exact',
    (_name, kernel) => {
      const { draw } = launchesOf(kernel)
      fc.assert(
        fc.property(fc.gen(), fc.boolean(), (g, integers) => {
          const { grid, parameters } = draw(g)
          const typed = parameters.map((p) => {
            if (!(p instanceof Float64Array)) return p
            return integers ? Int32Array.from(p, (v) => 8 * v) : Float32Array.from(p)
          })
          const keepsType = kernel === topKIndex || (kernel === gather && integers)
          const out = keepsType ? new Int32Array(cellCount(grid)) : new Float32Array(cellCount(grid))
          expect(Array.from(run(kernel, grid, typed, out))).toEqual(Array.from(plain(kernel, grid, typed)))
        }),
        { numRuns: 300 },
      )
    },
  )

  // A cell that m terms are added to is off by (m - 1) u of the sum of their sizes, to first order; 1.01 covers the rest.
  test('embeddingGradient and scatterAdd add in float32', () => {
    fc.assert(
      fc.property(size, size, size, seed, (n, m, inner, from) => {
        const source = numbers(from, m * inner)
        const sizes = source.map(Math.abs)
        const rows = indicesOf(from + 1, m, n)
        const each = indicesOf(from + 2, m * inner, n)
        const x = numbers(from + 3, n * inner)
        const close = (got: Data, expected: Float64Array, bounds: Float64Array) => {
          const isOff = (x: number, i: number) => !(Math.abs(x - expected[i]) <= 1.01 * m * u * bounds[i])
          expect(got.findIndex(isOff)).toBe(-1)
        }
        const grid: Grid = [inner, n, 1]
        const out = () => new Float32Array(n * inner)
        close(
          run(embeddingGradient, grid, [source, rows, m, inner], out()),
          plain(embeddingGradient, grid, [source, rows, m, inner]),
          plain(embeddingGradient, grid, [sizes, rows, m, inner]),
        )
        close(
          run(scatterAdd, grid, [x, each, source, m, n, inner], out()),
          plain(scatterAdd, grid, [x, each, source, m, n, inner]),
          plain(scatterAdd, grid, [x.map(Math.abs), each, sizes, m, n, inner]),
        )
      }),
      { numRuns: 200 },
    )
  })

  test('an index out of range reads NaN and adds nothing', () => {
    const bad = fc.constantFrom(-1, -(2 ** 31), 2 ** 31 - 1, 9)
    fc.assert(
      fc.property(bad, size, seed, (index, C, from) => {
        const x = numbers(from, 9 * C)
        const indices = new Int32Array([index])
        const nan = new Float32Array(C).fill(Number.NaN)
        expect(run(embedding, [C, 1, 1], [x, indices, C], new Float32Array(C))).toEqual(nan)
        expect(run(embeddingGradient, [C, 9, 1], [nan, indices, 1, C], new Float32Array(9 * C))).toEqual(
          new Float32Array(9 * C),
        )
        const all = new Int32Array(C).fill(index)
        expect(run(gather, [C, 1, 1], [x, all, 9, 1, C], new Float32Array(C))).toEqual(nan)
        expect(run(scatterAdd, [C, 9, 1], [x, all, nan, 1, 9, C], new Float32Array(9 * C))).toEqual(x)
        expect(run(oneHot, [9, 1, 1], [indices], new Float32Array(9))).toEqual(new Float32Array(9))
      }),
      { numRuns: 200 },
    )
  })

  test('topKIndex orders NaN, infinities, both zeros and ties as the plain kernel', () => {
    const value = fc.oneof(
      fc.constantFrom(Number.NaN, Infinity, -Infinity, 0, -0, 1, -1, 1e-45, -1e-45),
      fc.float({ noNaN: true }),
    )
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 40 }),
        fc.nat(),
        fc.integer({ min: 1, max: 3 }),
        (list, at, inner) => {
          const n = Math.ceil(list.length / inner)
          const x = Float32Array.from({ length: n * inner }, (_, i) => list[i % list.length])
          const k = 1 + (at % n)
          const got = run(topKIndex, [inner, k, 1], [x, n, inner], new Int32Array(k * inner))
          expect(Array.from(got)).toEqual(Array.from(plain(topKIndex, [inner, k, 1], [x, n, inner])))
        },
      ),
      { numRuns: 500 },
    )
  })
})
