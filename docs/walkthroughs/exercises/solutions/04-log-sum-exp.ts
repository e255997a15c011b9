/** The slope by each number is its share of the sum, e^(x - y): of its own row, and never above 1. */
import { type Draw, defineOp, type Operation, type Tensor } from 'sluice'

export const logSumExp: Operation<[x: Tensor]> = defineOp({
  name: 'exerciseLogSumExp',
  doc: 'log(sum e^x) over the last axis.',
  shape: (x: Tensor) => x.shape.slice(0, -1),
  forward: (shape, x) => {
    const largest = x.max({ axis: -1, keepdim: true })
    const sum = x.sub(largest).exp().sum({ axis: -1, keepdim: true })
    return sum.log().add(largest).reshape(shape)
  },
  vjp: (dy, y, x) => {
    const column = [...y.shape, 1]
    return [x.sub(y.reshape(column)).exp().mul(dy.reshape(column))]
  },
  samples: (draw: Draw): [Tensor] => [draw.tensor(draw.shape({ minRank: 1 }))],
})
