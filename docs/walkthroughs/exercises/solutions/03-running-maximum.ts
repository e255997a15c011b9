/** A running maximum and its gradient: walk through the times, remember whose the maximum is, and add where it is ours. */
import type { KernelThis } from 'sluice'

export function runningMaximum(this: KernelThis, x: ArrayLike<number>): number {
  let largest = x[0]
  for (let s = 0; s < this.thread.x + 1; s++) {
    if (x[s] > largest) largest = x[s]
  }
  return largest
}

export function runningMaximumGradient(
  this: KernelThis,
  x: ArrayLike<number>,
  dy: ArrayLike<number>,
  T: number,
): number {
  let largest = x[0]
  let owner = 0
  let sum = 0
  for (let t = 0; t < T; t++) {
    if (x[t] > largest) {
      largest = x[t]
      owner = t
    }
    if (owner === this.thread.x) sum = sum + dy[t]
  }
  return sum
}
