/** Triangular systems on the cpu device: what the computed solution leaves over. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { solveUnitLowerAll } from '../../../kernels/fused-solve.ts'
import { solveKernels } from '../../../kernels/tuned/wasm/solve.ts'
import { launcherOf, numbers, runBoth } from './run-launcher.ts'
import { variants } from './variants.ts'

const u = 2 ** -24

describe.each(variants)('solveUnitLower on the cpu device, relaxed $relaxed', (features) => {
  const launcher = launcherOf(solveUnitLowerAll, solveKernels, features)

  // Higham 2002, theorem 8.5: |b - M x| <= gamma_rows |M| |x|, gamma_n = n u / (1 - n u).
  test('the residual is bounded by the sizes of the matrix and the solution', () => {
    const extent = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 10, max: 70 }))
    const property = fc.property(
      fc.integer({ min: 1, max: 3 }),
      extent,
      extent,
      fc.constantFrom(0, 1),
      fc.integer({ min: 0, max: 1e9 }),
      (batch, rows, columns, transpose, seed) => {
        const a = numbers(seed, batch * rows * rows, 0.2)
        const b = numbers(seed + 1, batch * rows * columns)
        const [x] = runBoth(launcher, {
          outputs: [new Float32Array(b.length)],
          parameters: [a, b, batch, rows, columns, transpose],
        })
        let worst = 0
        for (let z = 0; z < batch; z++) {
          for (let i = 0; i < rows; i++) {
            for (let c = 0; c < columns; c++) {
              const at = (row: number) => (z * rows + row) * columns + c
              let left = b[at(i)] - x[at(i)]
              let size = Math.abs(x[at(i)])
              for (let j = transpose ? i + 1 : 0; j < (transpose ? rows : i); j++) {
                const term = a[z * rows * rows + (transpose ? j * rows + i : i * rows + j)] * x[at(j)]
                left -= term
                size += Math.abs(term)
              }
              worst = Math.max(worst, Math.abs(left) / (size + 1e-30))
            }
          }
        }
        expect(worst).toBeLessThanOrEqual(1.01 * rows * u)
      },
    )
    fc.assert(property, { numRuns: 200 })
  })
})
