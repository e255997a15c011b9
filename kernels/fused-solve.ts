/** Triangular systems in one launch; a composition of row steps elsewhere, see kernels/linear.ts. */
import { defineFused } from './kernel.ts'

/**
 * X with (I + strictTril(A)) X = B, or with (I + strictTril(A))^T X = B if `transpose` is 1.
 * a [batch, rows, rows], b and x [batch, rows, columns].
 */
export const solveUnitLowerAll = defineFused(
  'solveUnitLowerAll',
  { a: 'array', b: 'array', batch: 'integer', rows: 'integer', columns: 'integer', transpose: 'integer' },
  { x: 'new' },
)
