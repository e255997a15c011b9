/**
 * Rotary position embedding, rotate-half form (Su et al. 2021; Qwen3's layout): pairs (x_i, x_{i + h}), i < h = dims / 2, are
 * turned by the angle of their position: x_i cos - x_{i+h} sin and x_{i+h} cos + x_i sin. Dimensions past `dims` pass.
 *
 * x [B, T, H, D]; the grid is [D, H, B T]; cos and sin [T, h]. `sign` -1 turns back, which is the adjoint.
 */
import { type Cells, defineKernel, type KernelThis } from './kernel.ts'

export const rope = defineKernel(
  function rope(
    this: KernelThis,
    x: Cells,
    cos: Cells,
    sin: Cells,
    T: number,
    H: number,
    D: number,
    half: number,
    sign: number,
  ): number {
    const value = x[(this.thread.z * H + this.thread.y) * D + this.thread.x]
    if (this.thread.x >= 2 * half) return value
    const t = this.thread.z - Math.floor((this.thread.z + 0.5) / T) * T
    if (this.thread.x < half) {
      const other = x[(this.thread.z * H + this.thread.y) * D + this.thread.x + half]
      return value * cos[(t | 0) * half + this.thread.x] - sign * other * sin[(t | 0) * half + this.thread.x]
    }
    const other = x[(this.thread.z * H + this.thread.y) * D + this.thread.x - half]
    return (
      value * cos[(t | 0) * half + this.thread.x - half] + sign * other * sin[(t | 0) * half + this.thread.x - half]
    )
  },
  {
    x: 'array',
    cos: 'array',
    sin: 'array',
    T: 'integer',
    H: 'integer',
    D: 'integer',
    half: 'integer',
    sign: 'float',
  },
)
