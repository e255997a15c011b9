/** Kernels that move cells and compute nothing. */
import { type Cells, defineKernel, type KernelThis } from './kernel.ts'

/**
 * A view of strides, copied: out[d0..d3, y, x] = x[offset + d0 s0 + d1 s1 + d2 s2 + d3 s3 + y sy + x sx].
 *
 * Permute, slice, expand and flip are this kernel. The four leading axes are folded into z, with n1..n3 their extents,
 * and unravelled by floors of floats, which are exact below 2^22; `| 0` makes integers of them again, because the place
 * itself may lie beyond what a float32 counts.
 */
export const stridedCopy = defineKernel(
  function stridedCopy(
    this: KernelThis,
    x: Cells,
    offset: number,
    n1: number,
    n2: number,
    n3: number,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    sy: number,
    sx: number,
  ): number {
    const z3 = Math.floor((this.thread.z + 0.5) / n3)
    const d3 = this.thread.z - z3 * n3
    const z2 = Math.floor((z3 + 0.5) / n2)
    const d2 = z3 - z2 * n2
    const d0 = Math.floor((z2 + 0.5) / n1)
    const d1 = z2 - d0 * n1
    return x[
      offset + (d0 | 0) * s0 + (d1 | 0) * s1 + (d2 | 0) * s2 + (d3 | 0) * s3 + this.thread.y * sy + this.thread.x * sx
    ]
  },
  {
    x: 'array',
    offset: 'integer',
    n1: 'integer',
    n2: 'integer',
    n3: 'integer',
    s0: 'integer',
    s1: 'integer',
    s2: 'integer',
    s3: 'integer',
    sy: 'integer',
    sx: 'integer',
  },
)

/** One axis padded: x [Z, n, X], out [Z, before + n + after, X], `value` outside. */
export const padAxis = defineKernel(
  function padAxis(this: KernelThis, x: Cells, n: number, before: number, inner: number, value: number): number {
    if (this.thread.y < before) return value
    if (this.thread.y >= before + n) return value
    return x[(this.thread.z * n + this.thread.y - before) * inner + this.thread.x]
  },
  { x: 'array', n: 'integer', before: 'integer', inner: 'integer', value: 'float' },
)

/** Two arrays joined on one axis: a [Z, na, X] before b [Z, nb, X]. */
export const concatPair = defineKernel(
  function concatPair(this: KernelThis, a: Cells, b: Cells, na: number, nb: number, inner: number): number {
    if (this.thread.y < na) return a[(this.thread.z * na + this.thread.y) * inner + this.thread.x]
    return b[(this.thread.z * nb + this.thread.y - na) * inner + this.thread.x]
  },
  { a: 'array', b: 'array', na: 'integer', nb: 'integer', inner: 'integer' },
)

/** The triangle at and below diagonal k kept (`lower` 1), or at and above it (`lower` 0), 0 elsewhere: x [Z, rows, columns]. */
export const triangle = defineKernel(
  function triangle(this: KernelThis, x: Cells, rows: number, columns: number, k: number, lower: number): number {
    if (lower === 1) {
      if (this.thread.x > this.thread.y + k) return 0
    } else {
      if (this.thread.x < this.thread.y + k) return 0
    }
    return x[(this.thread.z * rows + this.thread.y) * columns + this.thread.x]
  },
  { x: 'array', rows: 'integer', columns: 'integer', k: 'integer', lower: 'integer' },
)
