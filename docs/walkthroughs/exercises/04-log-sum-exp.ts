/**
 * Exercise: a gradient that is right for some shapes.
 *
 * `logSumExp` is the logarithm of the sum of exponentials over the last axis, and that axis goes: [.., n] gives [..].
 * Subtracting the largest number first keeps the exponentials small.
 *
 * TODO: mend the vjp. The first message shows for which shapes it is wrong. When that is mended, there is a second fault,
 * which needs large numbers; the forward pass shows how to avoid it.
 */
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
  vjp: (dy, _y, x) => {
    const weights = x.exp().div(x.exp().sum())
    return [weights.mul(dy.reshape([...dy.shape, 1]))]
  },
  samples: (draw: Draw): [Tensor] => [draw.tensor(draw.shape({ minRank: 1 }))],
})
