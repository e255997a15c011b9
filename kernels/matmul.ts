/**
 * Matrix product: out[z, y, x] = sum_k a[z, y, k] b[z, k, x].
 *
 * Every operand is read through its own strides, so that transposes and a matrix shared by the whole batch cost nothing.
 */
import { type Cells, defineKernel, type KernelThis } from './kernel.ts'

export const matmul = defineKernel(
  function matmul(
    this: KernelThis,
    a: Cells,
    b: Cells,
    K: number,
    az: number,
    ay: number,
    ak: number,
    bz: number,
    bk: number,
    bx: number,
  ): number {
    let sum = 0
    for (let k = 0; k < K; k++) {
      sum += a[this.thread.z * az + this.thread.y * ay + k * ak] * b[this.thread.z * bz + k * bk + this.thread.x * bx]
    }
    return sum
  },
  {
    a: 'array',
    b: 'array',
    K: 'integer',
    az: 'integer',
    ay: 'integer',
    ak: 'integer',
    bz: 'integer',
    bk: 'integer',
    bx: 'integer',
  },
)
