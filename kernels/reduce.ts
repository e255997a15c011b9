/**
 * Reductions over one axis: x [Z, n, X] to [Z, X], with y always 0 and `inner` = X.
 *
 * A grid is [X, 1, Z] for a reduction and [X, n, Z] for a running sum.
 */
import { type Cells, defineKernel, type KernelThis } from './kernel.ts'

export const sumAxis = defineKernel(
  function sumAxis(this: KernelThis, x: Cells, n: number, inner: number): number {
    let sum = 0
    for (let i = 0; i < n; i++) {
      sum += x[(this.thread.z * n + i) * inner + this.thread.x]
    }
    return sum
  },
  { x: 'array', n: 'integer', inner: 'integer' },
)

/** The largest; NaN if there is one, since v + m keeps it when neither comparison holds. */
export const maxAxis = defineKernel(
  function maxAxis(this: KernelThis, x: Cells, n: number, inner: number): number {
    let m = x[this.thread.z * n * inner + this.thread.x]
    for (let i = 0; i < n; i++) {
      const v = x[(this.thread.z * n + i) * inner + this.thread.x]
      if (v > m) {
        m = v
      } else {
        if (!(v <= m)) m = v + m
      }
    }
    return m
  },
  { x: 'array', n: 'integer', inner: 'integer' },
)

export const minAxis = defineKernel(
  function minAxis(this: KernelThis, x: Cells, n: number, inner: number): number {
    let m = x[this.thread.z * n * inner + this.thread.x]
    for (let i = 0; i < n; i++) {
      const v = x[(this.thread.z * n + i) * inner + this.thread.x]
      if (v < m) {
        m = v
      } else {
        if (!(v >= m)) m = v + m
      }
    }
    return m
  },
  { x: 'array', n: 'integer', inner: 'integer' },
)

/** Index of the largest, the first of ties; of the first NaN if there is one. */
export const argmaxAxis = defineKernel(
  function argmaxAxis(this: KernelThis, x: Cells, n: number, inner: number): number {
    let best = 0
    let m = x[this.thread.z * n * inner + this.thread.x]
    for (let i = 0; i < n; i++) {
      const v = x[(this.thread.z * n + i) * inner + this.thread.x]
      if (v > m) {
        m = v
        best = i
      } else {
        // v is NaN and m is not: nothing beats it afterwards, since no comparison with NaN holds.
        if (!(v <= m) && m <= m) {
          m = v
          best = i
        }
      }
    }
    return best
  },
  { x: 'array', n: 'integer', inner: 'integer' },
)

/** sum over the axis of e^(scale (x - max)), max [Z, X]; an infinite max is taken as 0, so that no inf - inf arises. */
export const sumExpAxis = defineKernel(
  function sumExpAxis(this: KernelThis, x: Cells, max: Cells, n: number, inner: number): number {
    let shift = max[this.thread.z * inner + this.thread.x]
    if (shift - shift !== 0) shift = 0
    let sum = 0
    for (let i = 0; i < n; i++) {
      sum += Math.exp(x[(this.thread.z * n + i) * inner + this.thread.x] - shift)
    }
    return sum
  },
  { x: 'array', max: 'array', n: 'integer', inner: 'integer' },
)

/** log(sum) + max, where max [Z, X] is what `sumExpAxis` subtracted. */
export const logSumShift = defineKernel(
  function logSumShift(this: KernelThis, sum: Cells, max: Cells): number {
    const shift = max[this.thread.x]
    if (shift - shift !== 0) return Math.log(sum[this.thread.x])
    return Math.log(sum[this.thread.x]) + shift
  },
  { sum: 'array', max: 'array' },
)

/** Running sum along the axis, from its start, or from its end (`reverse` 1); y is the position. */
export const cumsumAxis = defineKernel(
  function cumsumAxis(this: KernelThis, x: Cells, n: number, inner: number, reverse: number): number {
    let sum = 0
    for (let i = 0; i < n; i++) {
      if (reverse === 1) {
        if (i >= this.thread.y) sum += x[(this.thread.z * n + i) * inner + this.thread.x]
      } else {
        if (i <= this.thread.y) sum += x[(this.thread.z * n + i) * inner + this.thread.x]
      }
    }
    return sum
  },
  { x: 'array', n: 'integer', inner: 'integer', reverse: 'integer' },
)
