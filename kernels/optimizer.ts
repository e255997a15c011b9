/** Optimizer updates, elementwise: one new value a cell. */
import { elementwise } from './kernel.ts'

/** Exponential moving average: beta old + (1 - beta) x. */
export const movingAverage = elementwise(function movingAverage(old: number, x: number, beta: number): number {
  return beta * old + (1 - beta) * x
}, 2)

/** Exponential moving average of the square: beta old + (1 - beta) x^2. */
export const movingAverageOfSquare = elementwise(function movingAverageOfSquare(
  old: number,
  x: number,
  beta: number,
): number {
  return beta * old + (1 - beta) * x * x
}, 2)

/**
 * AdamW's step (Loshchilov and Hutter 2019, algorithm 2): p (1 - lr decay) - lr (m / c1) / (sqrt(v / c2) + eps), with
 * c1 = 1 - beta1^t and c2 = 1 - beta2^t.
 */
export const adamWStep = elementwise(function adamWStep(
  p: number,
  m: number,
  v: number,
  rate: number,
  decay: number,
  correction1: number,
  correction2: number,
  eps: number,
): number {
  return p * (1 - rate * decay) - (rate * (m / correction1)) / (Math.sqrt(v / correction2) + eps)
}, 3)
