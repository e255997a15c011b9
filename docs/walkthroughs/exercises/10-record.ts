/**
 * Exercise: an operation, from kernel to rule.
 *
 * softsign(x) = x / (1 + |x|) squeezes every number between -1 and 1, more gently than tanh. Its slope is 1 / (1 +
 * |x|)².
 *
 * TODO: the kernel, and the rule, written with operations on tensors so that it can be differentiated again. In
 * terms of y, the result, |y| = |x| / (1 + |x|).
 */
import { defineOp, elementwise, launchMap, type Tensor } from 'sluice'

const softsignKernel = elementwise(function softsign(x: number): number {
  return x
})

export const softsign = defineOp({
  name: 'softsign',
  doc: 'x / (1 + |x|), elementwise.',
  shape: (x: Tensor) => x.shape,
  forward: (shape, x) => launchMap(softsignKernel, shape, [x]),
  vjp: (dy) => [dy],
  samples: (draw) => [draw.tensor(draw.shape(), { away: [0] })],
})
