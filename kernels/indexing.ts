/**
 * Kernels that read or write through a tensor of indices, which the operation has checked to be in range.
 *
 * An index read from an array is a float on the GPU; `| 0` makes an integer of it, so that the place is computed in
 * integers.
 */
import { type Cells, defineKernel, type KernelThis } from './kernel.ts'

/** out[z, y, x] = x[z, indices[z, y, x], x]: x [Z, n, X], indices [Z, m, X]. */
export const gather = defineKernel(
  function gather(this: KernelThis, x: Cells, indices: Cells, n: number, m: number, inner: number): number {
    return x[
      (this.thread.z * n + (indices[(this.thread.z * m + this.thread.y) * inner + this.thread.x] | 0)) * inner +
        this.thread.x
    ]
  },
  { x: 'array', indices: 'array', n: 'integer', m: 'integer', inner: 'integer' },
)

/** out = x, plus every source whose index names the cell: x [Z, n, X], indices and source [Z, m, X]; y runs over n. */
export const scatterAdd = defineKernel(
  function scatterAdd(
    this: KernelThis,
    x: Cells,
    indices: Cells,
    source: Cells,
    m: number,
    n: number,
    inner: number,
  ): number {
    let sum = x[(this.thread.z * n + this.thread.y) * inner + this.thread.x]
    for (let j = 0; j < m; j++) {
      if (indices[(this.thread.z * m + j) * inner + this.thread.x] === this.thread.y) {
        sum += source[(this.thread.z * m + j) * inner + this.thread.x]
      }
    }
    return sum
  },
  { x: 'array', indices: 'array', source: 'array', m: 'integer', n: 'integer', inner: 'integer' },
)

/** out[y, x] = table[indices[y], x]: table [V, C]. */
export const embedding = defineKernel(
  function embedding(this: KernelThis, table: Cells, indices: Cells, C: number): number {
    return table[(indices[this.thread.y] | 0) * C + this.thread.x]
  },
  { table: 'array', indices: 'array', C: 'integer' },
)

/** out[v, x] = sum over the positions j with indices[j] = v of dy[j, x]: dy [m, C]. */
export const embeddingGradient = defineKernel(
  function embeddingGradient(this: KernelThis, dy: Cells, indices: Cells, m: number, C: number): number {
    let sum = 0
    for (let j = 0; j < m; j++) {
      if (indices[j] === this.thread.y) sum += dy[j * C + this.thread.x]
    }
    return sum
  },
  { dy: 'array', indices: 'array', m: 'integer', C: 'integer' },
)

/** 1 where x is the row's index, else 0. */
export const oneHot = defineKernel(
  function oneHot(this: KernelThis, indices: Cells): number {
    if (indices[this.thread.y] === this.thread.x) return 1
    return 0
  },
  { indices: 'array' },
)

/**
 * Index of the y-th largest of x [Z, n, X], ties in order of position: the element that exactly y others precede.
 * NaN comes first, as in NumPy's descending sorts it would come last of ascending ones.
 */
export const topKIndex = defineKernel(
  function topKIndex(this: KernelThis, x: Cells, n: number, inner: number): number {
    let found = 0
    for (let i = 0; i < n; i++) {
      const v = x[(this.thread.z * n + i) * inner + this.thread.x]
      let before = 0
      for (let j = 0; j < n; j++) {
        const w = x[(this.thread.z * n + j) * inner + this.thread.x]
        // Not w <= v: w is larger, or one of the two is NaN.
        if (!(w <= v)) {
          if (w > v) {
            before += 1
          } else {
            // w NaN and v a number: before. v NaN: only an earlier NaN is before.
            if (!(w <= w)) {
              if (v <= v) before += 1
              else if (j < i) before += 1
            }
          }
        } else {
          if (w === v) {
            if (j < i) before += 1
          }
        }
      }
      if (before === this.thread.y) found = i
    }
    return found
  },
  { x: 'array', n: 'integer', inner: 'integer' },
)
