/** A delay: one place is read, and none where there was nothing yet. */
import type { KernelThis } from 'sluice'

export function shift(this: KernelThis, x: ArrayLike<number>, T: number, k: number): number {
  if (this.thread.x < k) return 0
  return x[this.thread.y * T + this.thread.x - k]
}
