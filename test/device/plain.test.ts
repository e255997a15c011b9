/** The loops that run plain kernels directly, against three nested loops written out. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { clamp, sub } from '../../kernels/elementwise.ts'
import { type Cells, defineKernel, elementwise, type Grid, type KernelThis } from '../../kernels/kernel.ts'
import { runPlain } from '../../src/device/plain.ts'

const mix = elementwise(function mix(a: number, b: number, c: number, k: number): number {
  return a + 100 * b - 10000 * c + k
}, 3)

const extent = fc.integer({ min: 1, max: 4 })
const grids = fc.tuple(extent, extent, extent)

/** How an operand lies, an axis each: it walks, repeats, skips a cell, or goes backwards. */
const walks = ['walks', 'repeats', 'skips', 'backwards'] as const
const patterns = fc.tuple(...[0, 1, 2].map(() => fc.constantFrom(...walks)))

interface Operand {
  data: Float64Array
  base: number
  strides: number[]
}

function operand([X, Y, Z]: Grid, pattern: readonly (typeof walks)[number][], seed: number): Operand {
  const strides = [X * Y, X, 1].map((s, i) => ({ walks: s, repeats: 0, skips: 2 * s, backwards: -s })[pattern[i]])
  const reach = strides.map((s, i) => s * ([Z, Y, X][i] - 1))
  const base = -reach.filter((r) => r < 0).reduce((a, b) => a + b, 0)
  const length = base + reach.filter((r) => r > 0).reduce((a, b) => a + b, 0) + 1
  return { data: Float64Array.from({ length }, (_, i) => ((i + seed) * 7) % 31), base, strides }
}

/** A view that starts at the base, since a launch's operand starts at element 0; backwards is for cell kernels only. */
const forward = fc.tuple(...[0, 1, 2].map(() => fc.constantFrom('walks', 'repeats', 'skips' as const)))

function naive(scalar: (...numbers: number[]) => number, [X, Y, Z]: Grid, operands: Operand[], constants: number[]) {
  const cells: number[] = []
  for (let z = 0; z < Z; z++) {
    for (let y = 0; y < Y; y++) {
      for (let x = 0; x < X; x++) {
        const at = operands.map(({ data, base, strides: [sz, sy, sx] }) => data[base + z * sz + y * sy + x * sx])
        cells.push(scalar(...at, ...constants))
      }
    }
  }
  return cells
}

describe('plain loops', () => {
  test.each([
    [clamp, 1],
    [sub, 2],
    [mix, 3],
  ] as const)('a map kernel walks every broadcast: %#', (kernel, count) => {
    fc.assert(
      fc.property(
        grids,
        fc.array(forward, { minLength: count, maxLength: count }),
        fc.array(fc.integer({ min: -20, max: 20 }), { minLength: kernel.constants, maxLength: kernel.constants }),
        (grid, how, constants) => {
          const operands = how.map((pattern, i) => operand(grid, pattern, i))
          const output = new Float64Array(grid[0] * grid[1] * grid[2]).fill(Number.NaN)
          runPlain(kernel, output, grid, [...operands.flatMap(({ data, strides }) => [data, ...strides]), ...constants])
          const scalar = kernel.scalar as (...numbers: number[]) => number
          expect([...output]).toEqual(naive(scalar, grid, operands, constants))
        },
      ),
      { numRuns: 500 },
    )
  })

  test('a cell kernel sees its coordinates, and fills the output x fastest', () => {
    const view = defineKernel(
      function view(this: KernelThis, a: Cells, base: number, sz: number, sy: number, sx: number): number {
        return a[base + this.thread.z * sz + this.thread.y * sy + this.thread.x * sx]
      },
      { a: 'array', base: 'integer', sz: 'integer', sy: 'integer', sx: 'integer' },
    )
    fc.assert(
      fc.property(grids, patterns, (grid, pattern) => {
        const from = operand(grid, pattern, 3)
        const output = new Float64Array(grid[0] * grid[1] * grid[2]).fill(Number.NaN)
        runPlain(view, output, grid, [from.data, from.base, ...from.strides])
        expect([...output]).toEqual(naive((x) => x, grid, [from], []))
      }),
      { numRuns: 200 },
    )
  })

  test('no cells, no calls', () => {
    const never = defineKernel(
      function never(this: KernelThis, a: Cells): number {
        return (a as unknown as () => number)()
      },
      { a: 'array' },
    )
    runPlain(never, new Float64Array(0), [0, 3, 2], [new Float64Array(0)])
    expect(() => runPlain(never, new Float64Array(1), [1, 1, 1], [new Float64Array(1)])).toThrow(TypeError)
  })
})
