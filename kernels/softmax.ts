/**
 * Softmax over one axis of x [Z, n, X], scaled and optionally causal: y = e^(s x - m) / sum, m = max s x.
 *
 * Causal rows need X = 1, so that the axis is the last. Row z is query i = z mod T of a [.., T, n] block and sees keys
 * j <= i + n - T: the last query sees all of them. Keys beyond the limit are exactly 0.
 */
import { type Cells, defineKernel, type KernelThis } from './kernel.ts'

/** How many leading keys row z may see; T = 0 means all n. */
function visible(z: number, T: number, n: number): number {
  if (T === 0) return n
  return z - Math.floor((z + 0.5) / T) * T + 1 + n - T
}

export const softmaxMax = defineKernel(
  function softmaxMax(this: KernelThis, x: Cells, n: number, inner: number, T: number, scale: number): number {
    const limit = visible(this.thread.z, T, n)
    let m = x[this.thread.z * n * inner + this.thread.x] * scale
    for (let i = 0; i < n; i++) {
      if (i < limit) {
        const v = x[(this.thread.z * n + i) * inner + this.thread.x] * scale
        if (v > m) {
          m = v
        } else {
          if (!(v <= m)) m = v + m
        }
      }
    }
    return m
  },
  { x: 'array', n: 'integer', inner: 'integer', T: 'integer', scale: 'float' },
  [visible],
)

/** e^(s x - m), 0 beyond the causal limit: to be divided by its sum. */
export const softmaxExp = defineKernel(
  function softmaxExp(
    this: KernelThis,
    x: Cells,
    max: Cells,
    n: number,
    inner: number,
    T: number,
    scale: number,
  ): number {
    if (this.thread.y >= visible(this.thread.z, T, n)) return 0
    const v = x[(this.thread.z * n + this.thread.y) * inner + this.thread.x] * scale
    return Math.exp(v - max[this.thread.z * inner + this.thread.x])
  },
  { x: 'array', max: 'array', n: 'integer', inner: 'integer', T: 'integer', scale: 'float' },
  [visible],
)

/** s x - m - log sum. */
export const logSoftmaxCell = defineKernel(
  function logSoftmaxCell(this: KernelThis, x: Cells, max: Cells, sum: Cells, n: number, inner: number): number {
    const v = x[(this.thread.z * n + this.thread.y) * inner + this.thread.x]
    const m = max[this.thread.z * inner + this.thread.x]
    return v - m - Math.log(sum[this.thread.z * inner + this.thread.x])
  },
  { x: 'array', max: 'array', sum: 'array', n: 'integer', inner: 'integer' },
)

/** sum over the axis of dy y: [Z, X]. */
export const softmaxDot = defineKernel(
  function softmaxDot(this: KernelThis, dy: Cells, y: Cells, n: number, inner: number): number {
    let sum = 0
    for (let i = 0; i < n; i++) {
      sum += dy[(this.thread.z * n + i) * inner + this.thread.x] * y[(this.thread.z * n + i) * inner + this.thread.x]
    }
    return sum
  },
  { dy: 'array', y: 'array', n: 'integer', inner: 'integer' },
)

/** dx = s y (dy - dot): where y is 0, so beyond the causal limit, the gradient is exactly 0. */
export const softmaxGradient = defineKernel(
  function softmaxGradient(
    this: KernelThis,
    dy: Cells,
    y: Cells,
    dot: Cells,
    n: number,
    inner: number,
    scale: number,
  ): number {
    const p = y[(this.thread.z * n + this.thread.y) * inner + this.thread.x]
    const d = dy[(this.thread.z * n + this.thread.y) * inner + this.thread.x]
    return scale * p * (d - dot[this.thread.z * inner + this.thread.x])
  },
  { dy: 'array', y: 'array', dot: 'array', n: 'integer', inner: 'integer', scale: 'float' },
)

/** Cross-entropy of one row: log sum e^x - x[target], 0 where the target is to be ignored. logits [N, V], targets [N]. */
export const crossEntropyRow = defineKernel(
  function crossEntropyRow(this: KernelThis, logits: Cells, targets: Cells, V: number, ignore: number): number {
    const target = targets[this.thread.x]
    if (target === ignore) return 0
    let m = logits[this.thread.x * V]
    for (let i = 0; i < V; i++) {
      const v = logits[this.thread.x * V + i]
      if (v > m) {
        m = v
      } else {
        if (!(v <= m)) m = v + m
      }
    }
    let sum = 0
    let picked = 0
    // Another name than i: gpu.js lifts the counters of such loops into the function, where WGSL allows a name once.
    for (let j = 0; j < V; j++) {
      const v = logits[this.thread.x * V + j] - m
      sum += Math.exp(v)
      if (j === target) picked = v
    }
    return Math.log(sum) - picked
  },
  { logits: 'array', targets: 'array', V: 'integer', ignore: 'integer' },
)
