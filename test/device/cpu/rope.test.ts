/** Rotary positions on the cpu device, against the plain kernel in float64. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Grid } from '../../../kernels/kernel.ts'
import { rope } from '../../../kernels/rope.ts'
import { ropeKernels } from '../../../kernels/tuned/wasm/rope.ts'
import { runPlain } from '../../../src/device/plain.ts'
import { cellCount } from '../launches.ts'
import { launcherOf, numbers, runBoth } from './run-launcher.ts'
import { variants } from './variants.ts'

const u = 2 ** -24

describe.each(variants)('rope on the cpu device, relaxed $relaxed', (features) => {
  const launcher = launcherOf(rope, ropeKernels, features)

  // Two products and their sum: 2 u of the products' sizes, to first order, and no cosine is larger than 1.
  test('turns by the table, forward and back', () => {
    const few = fc.integer({ min: 1, max: 3 })
    const half = fc.integer({ min: 0, max: 20 })
    const rest = fc.constantFrom(0, 0, 1, 5)
    const property = fc.property(
      fc.tuple(few, fc.integer({ min: 1, max: 9 }), few, half, rest),
      fc.constantFrom(1, -1),
      fc.integer({ min: 0, max: 1e9 }),
      ([B, T, H, half, rest], sign, seed) => {
        const D = Math.max(1, 2 * half + rest)
        const angles = numbers(seed, T * half, 1e5)
        const [cos, sin] = [angles.map(Math.cos), angles.map(Math.sin)]
        const grid: Grid = [D, H, B * T]
        const x = numbers(seed + 1, cellCount(grid))
        const sizes = [T, H, D, half]
        const parameters = [x, cos, sin, ...sizes, sign]
        const [got] = runBoth(launcher, { outputs: [new Float32Array(x.length)], parameters, grid })
        const expected = new Float64Array(x.length)
        runPlain(rope, expected, grid, parameters)
        const isOff = (value: number, i: number) => {
          const d = i % D
          const other = d < half ? x[i + half] : d < 2 * half ? x[i - half] : 0
          return !(Math.abs(value - expected[i]) <= 2.01 * u * (Math.abs(x[i]) + Math.abs(other)))
        }
        expect(got.findIndex(isOff)).toBe(-1)
      },
    )
    fc.assert(property, { numRuns: 300 })
  })
})
