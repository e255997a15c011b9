/**
 * Exercise: a kernel that gpu.js cannot translate.
 *
 * It smooths a signal: half of a number, and a quarter of each neighbour; at the ends the number itself stands for the
 * neighbour that is missing. In JavaScript it works.
 *
 * TODO: keep what it computes, and write it so that it translates. What does it see from outside? Which of what it calls has
 * WGSL never heard of?
 */
import type { KernelThis } from 'sluice'

const weights = [0.25, 0.5, 0.25]

export function smooth(this: KernelThis, x: ArrayLike<number>, n: number): number {
  return weights.reduce((sum, weight, i) => {
    const place = Math.min(n - 1, Math.max(0, this.thread.x + i - 1))
    return sum + weight * x[place]
  }, 0)
}
