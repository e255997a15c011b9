/** With t = tanh(x / c): the slope by x is 1 - t², and that by c is t - (x / c) (1 - t²). */
import { type Draw, defineOp, type Operation, type Tensor } from 'sluice'

export const softcap: Operation<[x: Tensor, c: Tensor]> = defineOp({
  name: 'exerciseSoftcap',
  doc: 'c tanh(x / c), elementwise; c is positive.',
  shape: (x: Tensor, c: Tensor) => x.add(c).shape,
  forward: (_shape, x, c) => x.div(c).tanh().mul(c),
  vjp: (dy, _y, x, c) => {
    const t = x.div(c).tanh()
    const slope = t.square().neg().add(1)
    return [dy.mul(slope), dy.mul(t.sub(x.div(c).mul(slope)))]
  },
  samples: (draw: Draw): [Tensor, Tensor] => {
    const shape = draw.shape()
    return [draw.tensor(shape), draw.tensor(draw.broadcastable(shape), { low: 0.5, high: 2 })]
  },
})
