/**
 * Exercise: a kernel of your own.
 *
 * TODO: delay every row of a signal by `k` steps: y[t] = x[t - k], and 0 where there was nothing yet. `this.thread.x` is
 * the time t, `this.thread.y` the row; x is flat, and a row has T numbers. k is 0 or more.
 */
import type { KernelThis } from 'sluice'

export function shift(this: KernelThis, x: ArrayLike<number>, T: number, k: number): number {
  return x[this.thread.y * T + this.thread.x] * k
}
