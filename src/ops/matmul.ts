/** The matrix product, in NumPy's sense, and triangular systems. */
import { solveUnitLowerAll } from '../../kernels/fused-solve.ts'
import { solveUnitLowerRow } from '../../kernels/linear.ts'
import * as kernels from '../../kernels/matmul.ts'
import type { Cotangent } from '../autograd/tape.ts'
import { noStack, SluiceError, showShape } from '../errors.ts'
import { fuses, launch, launchFused } from '../tensor/launch.ts'
import { broadcastShapes, broadcastStrides, collapse, type Shape, sameShape, sizeOf } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { neg } from './functions.ts'
import { expand, reshape } from './movement.ts'
import { example, needTensor } from './operands.ts'
import { tril } from './parts.ts'
import { type Draw, defineOp, type Operation, type Tolerance } from './record.ts'

const products: Tolerance = {
  absolute: 1e-5,
  relative: 2e-6,
  why: 'sums of at most 16 products of values up to 2: 16 x 4 x 2^-24 = 4e-6, and as much again for the order of summing',
}

/** Rows, columns and strides of the last two axes, transposed or not. */
interface Matrix {
  rows: number
  columns: number
  rowStride: number
  columnStride: number
  batch: Shape
}

function matrixOf(t: Tensor, transposed: boolean): Matrix {
  const [rows, columns] = t.shape.slice(-2)
  const batch = t.shape.slice(0, -2)
  return transposed
    ? { rows: columns, columns: rows, rowStride: 1, columnStride: columns, batch }
    : { rows, columns, rowStride: columns, columnStride: 1, batch }
}

/**
 * The batched product with transposes read in place, never copied: op(a) op(b), a [..., m, k] and b [..., k, n] once
 * transposed as flagged.
 */
const product: Operation<[a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean]> = defineOp({
  name: 'batchedProduct',
  doc: 'op(a) op(b) over the last two axes, each transposed if flagged; leading axes broadcast.',
  internal: true,
  tolerance: products,
  shape: (a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean) => {
    const [A, B] = [matrixOf(a, transposeA), matrixOf(b, transposeB)]
    return [...broadcastShapes('matmul', A.batch, B.batch), A.rows, B.columns]
  },
  forward: (shape, a, b, transposeA, transposeB) => {
    const [A, B] = [matrixOf(a, transposeA), matrixOf(b, transposeB)]
    const batch = shape.slice(0, -2)
    const walk = collapse(batch, [
      broadcastStrides(A.batch, batch).map((s) => s * A.rows * A.columns),
      broadcastStrides(B.batch, batch).map((s) => s * B.rows * B.columns),
    ])
    if (walk.shape.length > 1) {
      // Batches that broadcast against each other in turn: laid out in full, then it is one batch axis.
      const whole = (t: Tensor) => expand(t, [...batch, ...t.shape.slice(-2)])
      return product(whole(a), whole(b), transposeA, transposeB)
    }
    const [az, bz] = walk.strides.map((s) => s[0] ?? 0)
    return launch(
      kernels.matmul,
      shape,
      [a, b, A.columns, az, A.rowStride, A.columnStride, bz, B.rowStride, B.columnStride],
      [B.columns, A.rows, sizeOf(batch)],
    )
  },
  vjp: (dy, _y, a, b, transposeA, transposeB): Cotangent[] => [
    () => (transposeA ? product(b, dy, transposeB, true) : product(dy, b, false, !transposeB)),
    () => (transposeB ? product(dy, a, true, transposeA) : product(a, dy, !transposeA, false)),
  ],
  samples: (draw) => {
    const [m, k, n] = [draw.integer(1, 4), draw.integer(1, 4), draw.integer(1, 4)]
    const batch = draw.shape({ maxRank: 2, maxSize: 3 })
    const [transposeA, transposeB] = [draw.boolean(), draw.boolean()]
    const a = draw.tensor([...batch, ...(transposeA ? [k, m] : [m, k])])
    const b = draw.tensor([...draw.broadcastable(batch), ...(transposeB ? [n, k] : [k, n])])
    return [a, b, transposeA, transposeB] as [Tensor, Tensor, boolean, boolean]
  },
})

/** Which operands of a product are transposed; none unless given. */
export interface MatmulOptions {
  /** Use a with its last two axes exchanged, read in place. */
  transposeA?: boolean
  /** Use b with its last two axes exchanged, read in place. */
  transposeB?: boolean
}

export const matmul: Operation<[a: Tensor, b: Tensor, options?: MatmulOptions]> = defineOp<
  [a: Tensor, b: Tensor, options?: MatmulOptions],
  Tensor
>({
  name: 'matmul',
  doc: 'a [..., m, k] @ b [..., k, n] to [..., m, n]; leading axes broadcast. A rank-1 operand is a row on the left, a column on the right, and its axis vanishes.',
  tolerance: products,
  compose: (a, b, { transposeA = false, transposeB = false } = {}) => {
    needTensor('matmul', 'a', a)
    needTensor('matmul', 'b', b)
    if (a.rank === 0 || b.rank === 0) {
      throw new SluiceError(
        'matmul',
        `${showShape(a.shape)} @ ${showShape(b.shape)}: rank-0 operands have no rows; use mul`,
      )
    }
    const left = a.rank === 1 ? reshape(a, [1, a.size]) : a
    const right = b.rank === 1 ? reshape(b, [b.size, 1]) : b
    const flagA = transposeA && a.rank > 1
    const flagB = transposeB && b.rank > 1
    const [A, B] = [matrixOf(left, flagA), matrixOf(right, flagB)]
    if (A.columns !== B.rows) {
      const show = (t: Tensor, flag: boolean) => showShape(t.shape) + (flag ? ' transposed' : '')
      throw new SluiceError(
        'matmul',
        `${show(a, flagA)} @ ${show(b, flagB)}: inner sizes ${A.columns} and ${B.rows} differ`,
      )
    }
    const batch = broadcastShapes('matmul', A.batch, B.batch)
    let y: Tensor
    if (B.batch.length === 0 && A.batch.length > 0 && !flagA) {
      // One matrix on the right for the whole batch: a single tall product, whose gradient is one product too.
      y = reshape(product(reshape(left, [sizeOf(A.batch) * A.rows, A.columns]), right, false, flagB), [
        ...batch,
        A.rows,
        B.columns,
      ])
    } else {
      y = product(left, right, flagA, flagB)
    }
    if (a.rank === 1 || b.rank === 1) {
      const tail = [...(a.rank === 1 ? [] : [A.rows]), ...(b.rank === 1 ? [] : [B.columns])]
      y = reshape(y, [...batch, ...tail])
    }
    return y
  },
  samples: (draw: Draw) => {
    const [m, k, n] = [draw.integer(1, 4), draw.integer(1, 4), draw.integer(1, 4)]
    const batch = draw.shape({ maxRank: 2, maxSize: 3 })
    const a = draw.pick([[k], [...batch, m, k]])
    const b = draw.pick([[k], [k, n], [...draw.broadcastable(batch), k, n]])
    return [draw.tensor(a), draw.tensor(b)]
  },
  errors: [
    {
      what: 'inner sizes that differ',
      arguments: () => [example([4, 3]), example([4, 5])],
      message: /^matmul: \[4, 3\] @ \[4, 5\]: inner sizes 3 and 4 differ/,
    },
    { what: 'rank 0', arguments: () => [example([]), example([2])], message: /rank-0 operands have no rows; use mul/ },
    {
      what: 'batches that do not broadcast',
      arguments: () => [example([2, 1, 1]), example([3, 1, 1])],
      message: /\[2\] and \[3\] do not broadcast/,
    },
  ],
})

export const solveUnitLower: Operation<[a: Tensor, b: Tensor, options?: { transpose?: boolean }]> = defineOp<
  [a: Tensor, b: Tensor, options?: { transpose?: boolean }],
  [Tensor, Tensor, boolean]
>({
  name: 'solveUnitLower',
  doc: 'X with (I + strictTril(a)) X = b, by forward substitution; with `transpose`, X with (I + strictTril(a))^T X = b. a [..., C, C], b [..., C, N], leading axes equal.',
  tolerance: {
    absolute: 1e-5,
    relative: 1e-5,
    why: 'substitution over at most 5 rows of values up to 1 lets sums grow to 2^5',
  },
  prepare: (a, b, { transpose = false } = {}) => [a, b, transpose],
  shape: (a, b) => {
    needTensor('solveUnitLower', 'a', a)
    needTensor('solveUnitLower', 'b', b)
    const C = a.shape.at(-1)
    if (
      a.rank < 2 ||
      b.rank !== a.rank ||
      a.shape.at(-2) !== C ||
      b.shape.at(-2) !== C ||
      !sameShape(a.shape.slice(0, -2), b.shape.slice(0, -2))
    ) {
      throw new SluiceError(
        'solveUnitLower',
        `expected a [..., C, C] and b [..., C, N] with equal leading axes, got ${showShape(a.shape)} and ${showShape(b.shape)}`,
      )
    }
    return b.shape
  },
  forward: (shape, a, b, transpose) => {
    const [rows, columns] = shape.slice(-2)
    const batch = sizeOf(shape.slice(0, -2))
    if (b.size > 0 && fuses(solveUnitLowerAll, b)) {
      return launchFused(solveUnitLowerAll, [shape], [a, b, batch, rows, columns, transpose ? 1 : 0])[0]
    }
    let x = b.alias(shape)
    for (let step = 1; step < rows; step++) {
      const row = transpose ? rows - 1 - step : step
      const next = launch(
        solveUnitLowerRow,
        shape,
        [x, a, row, transpose ? 1 : 0, rows, columns],
        [columns, rows, batch],
      )
      x.dispose(noStack)
      x = next
    }
    return x
  },
  // X = M^-1 b: db = M^-T dX, and dM = -db X^T, of which M's own entries are the strict triangle.
  vjp: (dy, y, a, _b, transpose) => {
    const db = solveUnitLower(a, dy, { transpose: !transpose })
    const outer = () => neg(transpose ? product(y, db, false, true) : product(db, y, false, true))
    return [() => tril(outer(), -1), db]
  },
  samples: (draw) => {
    const [C, N] = [draw.integer(1, 5), draw.integer(1, 3)]
    const batch = draw.shape({ maxRank: 2, maxSize: 2 })
    return [
      draw.tensor([...batch, C, C], { low: -1, high: 1 }),
      draw.tensor([...batch, C, N]),
      { transpose: draw.boolean() },
    ]
  },
  errors: [
    {
      what: 'a matrix that is not square',
      arguments: () => [example([2, 3]), example([2, 1])],
      message: /expected a \[..., C, C\] and b \[..., C, N\]/,
    },
    {
      what: 'other leading axes',
      arguments: () => [example([4, 2, 2]), example([3, 2, 1])],
      message: /with equal leading axes/,
    },
  ],
})
