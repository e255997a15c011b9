/**
 * Exercise: a record with its gradient missing.
 *
 * `softcap` keeps numbers within ±c, softly: y = c tanh(x / c). Some language models do so with their attention scores.
 * x and c are tensors that broadcast.
 *
 * TODO: the vjp. dy has the shape of y; gradients may have it too, because the walk sums them back. You need the slope of y
 * by x, and that by c, in which c occurs twice.
 */
import { type Draw, defineOp, type Operation, type Tensor } from 'sluice'

export const softcap: Operation<[x: Tensor, c: Tensor]> = defineOp({
  name: 'exerciseSoftcap',
  doc: 'c tanh(x / c), elementwise; c is positive.',
  shape: (x: Tensor, c: Tensor) => x.add(c).shape,
  forward: (_shape, x, c) => x.div(c).tanh().mul(c),
  vjp: (dy, _y, _x, _c) => [dy, dy],
  samples: (draw: Draw): [Tensor, Tensor] => {
    const shape = draw.shape()
    return [draw.tensor(shape), draw.tensor(draw.broadcastable(shape), { low: 0.5, high: 2 })]
  },
})
