/** Copies of strided views, padding, joining and triangles on the cpu device: the plain kernels' bits. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CellKernel, Grid } from '../../../kernels/kernel.ts'
import { concatPair, padAxis, stridedCopy, triangle } from '../../../kernels/movement.ts'
import type { Features } from '../../../kernels/tuned/wasm/assembler.ts'
import { movementKernels } from '../../../kernels/tuned/wasm/movement.ts'
import { runPlain } from '../../../src/device/plain.ts'
import { collapse, sizeOf, stridesOf } from '../../../src/tensor/shape.ts'
import { cellCount, launchesOf } from '../launches.ts'
import { launcherOf, numbers, runBoth, sameBits } from './run-launcher.ts'

const features: Features = { relaxed: false }
const seed = fc.integer({ min: 0, max: 1e9 })

function expectPlain(
  kernel: CellKernel,
  grid: Grid,
  parameters: readonly (Float32Array | Int32Array | number)[],
): void {
  const isInteger = parameters[0] instanceof Int32Array
  const make = () => (isInteger ? new Int32Array(cellCount(grid)) : new Float32Array(cellCount(grid)))
  const expected = make()
  runPlain(kernel, expected, grid, parameters)
  const [got] = runBoth(launcherOf(kernel, movementKernels, features), { outputs: [make()], parameters, grid })
  // The comparison of vitest takes seconds for all cells.
  if (!sameBits(got, expected)) expect(got).toEqual(expected)
}

/** The launch of a view: as `copyStrided` makes it. */
function viewLaunch(shape: readonly number[], strides: readonly number[], offset: number) {
  const walk = collapse(shape, [strides])
  const lead = 6 - walk.shape.length
  const n = [...new Array<number>(lead).fill(1), ...walk.shape]
  const s = [...new Array<number>(lead).fill(0), ...walk.strides[0]]
  const grid: Grid = [n[5], n[4], n[0] * n[1] * n[2] * n[3]]
  return { grid, parameters: [offset, n[1], n[2], n[3], ...s] }
}

describe('movement on the cpu device', () => {
  test.each([stridedCopy, padAxis, concatPair, triangle].map((kernel) => [kernel.name, kernel] as const))(
    '%s, as the plain kernel',
    (_name, kernel) => {
      const { draw } = launchesOf(kernel)
      fc.assert(
        fc.property(fc.gen(), fc.boolean(), (g, integers) => {
          const { grid, parameters } = draw(g)
          const typed = parameters.map((p) => {
            if (!(p instanceof Float64Array)) return p
            return integers ? Int32Array.from(p, (v) => 8 * v) : Float32Array.from(p)
          })
          expectPlain(kernel, grid, typed)
        }),
        { numRuns: 300 },
      )
    },
  )

  test('permutations of up to five axes', () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 20 }))
    const axes = fc.array(size, { minLength: 1, maxLength: 5 }).filter((shape) => sizeOf(shape) <= 20_000)
    const drawn = axes.chain((shape) =>
      fc.tuple(
        fc.constant(shape),
        fc.shuffledSubarray(
          shape.map((_, i) => i),
          { minLength: shape.length },
        ),
      ),
    )
    fc.assert(
      fc.property(drawn, seed, ([shape, order], from) => {
        const own = stridesOf(shape)
        const { grid, parameters } = viewLaunch(
          order.map((axis) => shape[axis]),
          order.map((axis) => own[axis]),
          0,
        )
        expectPlain(stridedCopy, grid, [numbers(from, sizeOf(shape)), ...parameters])
      }),
      { numRuns: 400 },
    )
  })

  test('transposes, slices, broadcasts and flips of matrices larger than a tile', () => {
    const size = fc.integer({ min: 1, max: 300 })
    fc.assert(
      fc.property(
        size,
        size,
        fc.constantFrom('transpose', 'slice', 'expand', 'repeat', 'flip'),
        seed,
        (m, n, kind, from) => {
          const x = numbers(from, (m + 2) * (n + 3))
          const views = {
            transpose: [1, m + 2],
            slice: [n + 3, 1],
            expand: [0, 1],
            repeat: [1, 0],
            flip: [n + 3, -1],
          }
          const { grid, parameters } = viewLaunch([m, n], views[kind], kind === 'flip' ? n - 1 : 2)
          expectPlain(stridedCopy, grid, [x, ...parameters])
        },
      ),
      { numRuns: 200 },
    )
  })

  test('rows longer than a tile', () => {
    fc.assert(
      fc.property(fc.integer({ min: 4000, max: 13_000 }), fc.integer({ min: 1, max: 3 }), seed, (n, rows, from) => {
        const x = numbers(from, rows * n)
        const { grid, parameters } = viewLaunch([rows, n - 1], [n, 1], 1)
        expectPlain(stridedCopy, grid, [x, ...parameters])
        expectPlain(padAxis, [n, rows + 2, 1], [x, rows, 1, n, 0.5])
        expectPlain(concatPair, [1, 2 * n, rows], [x, x, n, n, 1])
      }),
      { numRuns: 50 },
    )
  })
})
