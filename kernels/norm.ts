/**
 * Root-mean-square normalisation of rows: y = x r (w + c), r = 1 / sqrt(mean(x^2) + eps).
 *
 * x [N, C]; w [C]; c is 0, or 1 for a zero-centred weight. With g = dy (w + c) the adjoint is
 * dx = r (g - x r^2 mean(g x)) and dw = sum over rows of dy x r.
 */
import { type Cells, defineKernel, type KernelThis } from './kernel.ts'

/** r, one a row. */
export const rmsScale = defineKernel(
  function rmsScale(this: KernelThis, x: Cells, C: number, eps: number): number {
    let sum = 0
    for (let i = 0; i < C; i++) {
      sum += x[this.thread.x * C + i] * x[this.thread.x * C + i]
    }
    return 1 / Math.sqrt(sum / C + eps)
  },
  { x: 'array', C: 'integer', eps: 'float' },
)

export const rmsNormCell = defineKernel(
  function rmsNormCell(this: KernelThis, x: Cells, scale: Cells, weight: Cells, C: number, centre: number): number {
    return x[this.thread.y * C + this.thread.x] * scale[this.thread.y] * (weight[this.thread.x] + centre)
  },
  { x: 'array', scale: 'array', weight: 'array', C: 'integer', centre: 'float' },
)

/** mean(g x), one a row. */
export const rmsNormDot = defineKernel(
  function rmsNormDot(this: KernelThis, dy: Cells, x: Cells, weight: Cells, C: number, centre: number): number {
    let sum = 0
    for (let i = 0; i < C; i++) {
      sum += dy[this.thread.x * C + i] * (weight[i] + centre) * x[this.thread.x * C + i]
    }
    return sum / C
  },
  { dy: 'array', x: 'array', weight: 'array', C: 'integer', centre: 'float' },
)

/** dx. */
export const rmsNormInputGradient = defineKernel(
  function rmsNormInputGradient(
    this: KernelThis,
    dy: Cells,
    x: Cells,
    weight: Cells,
    scale: Cells,
    dot: Cells,
    C: number,
    centre: number,
  ): number {
    const r = scale[this.thread.y]
    const g = dy[this.thread.y * C + this.thread.x] * (weight[this.thread.x] + centre)
    return r * (g - x[this.thread.y * C + this.thread.x] * r * r * dot[this.thread.y])
  },
  {
    dy: 'array',
    x: 'array',
    weight: 'array',
    scale: 'array',
    dot: 'array',
    C: 'integer',
    centre: 'float',
  },
)

/** dy x r, before the sum over rows. */
export const rmsNormWeightTerm = defineKernel(
  function rmsNormWeightTerm(this: KernelThis, dy: Cells, x: Cells, scale: Cells, C: number): number {
    return dy[this.thread.y * C + this.thread.x] * x[this.thread.y * C + this.thread.x] * scale[this.thread.y]
  },
  { dy: 'array', x: 'array', scale: 'array', C: 'integer' },
)
