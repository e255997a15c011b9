/**
 * Exercise: the gradient of a running maximum.
 *
 * y[t] is the largest of x[0], …, x[t], as `runningMaximum` computes it. A change of x[s] reaches y[t] where x[s] is that
 * largest number: with slope 1 there, and 0 elsewhere. Of equal numbers the first one counts.
 *
 * TODO: the gradient by x[s], where s is `this.thread.x`: the sum of dy[t] over all t whose largest number is x[s].
 */
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
  return x[this.thread.x] * dy[T - 1]
}
