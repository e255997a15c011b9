/** Triangular systems, by forward substitution: stable in float32, where powers of the matrix are not. */
import { type Cells, defineKernel, type KernelThis } from './kernel.ts'

/**
 * One row of X, (I + strictTril(A)) X = B, given the rows before it: x[row] -= sum_{j < row} A[row, j] x[j].
 *
 * Launched for row 1, 2, ... in turn, starting from x = B; every other row is copied. With `transpose` 1 the matrix is
 * transposed and the rows come from the last to the first: x[row] -= sum_{j > row} A[j, row] x[j].
 * x [Z, rows, X], a [Z, rows, rows].
 */
export const solveUnitLowerRow = defineKernel(
  function solveUnitLowerRow(
    this: KernelThis,
    x: Cells,
    a: Cells,
    row: number,
    transpose: number,
    rows: number,
    columns: number,
  ): number {
    let value = x[(this.thread.z * rows + this.thread.y) * columns + this.thread.x]
    if (this.thread.y === row) {
      for (let j = 0; j < rows; j++) {
        if (transpose === 1) {
          if (j > row) {
            value -=
              a[(this.thread.z * rows + j) * rows + row] * x[(this.thread.z * rows + j) * columns + this.thread.x]
          }
        } else {
          if (j < row) {
            value -=
              a[(this.thread.z * rows + row) * rows + j] * x[(this.thread.z * rows + j) * columns + this.thread.x]
          }
        }
      }
    }
    return value
  },
  { x: 'array', a: 'array', row: 'integer', transpose: 'integer', rows: 'integer', columns: 'integer' },
)
