/** softsign, from kernel to rule: 1 - |y| is 1 / (1 + |x|). */
import { defineOp, elementwise, launchMap, type Tensor } from 'sluice'

const softsignKernel = elementwise(function softsign(x: number): number {
  return x / (1 + Math.abs(x))
})

export const softsign = defineOp({
  name: 'softsign',
  doc: 'x / (1 + |x|), elementwise.',
  shape: (x: Tensor) => x.shape,
  forward: (shape, x) => launchMap(softsignKernel, shape, [x]),
  vjp: (dy, y) => [dy.mul(y.abs().neg().add(1).square())],
  samples: (draw) => [draw.tensor(draw.shape(), { away: [0] })],
})
