/** The same smoothing with its weights in the text, no function in a function, and places computed inside the brackets. */
import type { KernelThis } from 'sluice'

export function smooth(this: KernelThis, x: ArrayLike<number>, n: number): number {
  let before = x[this.thread.x]
  let after = x[this.thread.x]
  if (this.thread.x > 0) before = x[this.thread.x - 1]
  if (this.thread.x < n - 1) after = x[this.thread.x + 1]
  return 0.25 * before + 0.5 * x[this.thread.x] + 0.25 * after
}
