/**
 * Taking a tensor apart along an axis, as one operation with many results.
 *
 * Its gradient is put together once, from all parts. Slices taken one by one would each give a gradient of the whole
 * tensor's size: a loop over T steps would cost T^2.
 */
import { noGrad, recordAll } from '../autograd/tape.ts'
import { full } from '../tensor/create.ts'
import { normalAxis } from '../tensor/shape.ts'
import { scope, type Tensor } from '../tensor/tensor.ts'
import { reshape } from './movement.ts'
import { needTensor } from './operands.ts'
import { type Range, slice, stack } from './parts.ts'
import { defineOp, type Operation } from './record.ts'

export const unbind: Operation<[x: Tensor, axis: number], Tensor[]> = defineOp({
  name: 'unbind',
  doc: 'The slices of x along an axis, without that axis: a list of as many tensors as the axis is long.',
  internal: true,
  compose: (x: Tensor, axis: number) => {
    needTensor('unbind', 'x', x)
    const at = normalAxis('unbind', axis, x.rank)
    const shape = x.shape.toSpliced(at, 1)
    const before = new Array<Range>(at).fill(null)
    const parts = scope(() =>
      noGrad(() => Array.from({ length: x.shape[at] }, (_, i) => reshape(slice(x, [...before, [i, i + 1]]), shape))),
    )
    recordAll('unbind', [x], parts, (cotangents) => [
      () =>
        stack(
          parts.map((part, i) => cotangents[i] ?? full(shape, 0, { device: part.device })),
          at,
        ),
    ])
    return parts
  },
  samples: (draw) => {
    const x = draw.tensor(draw.shape({ minRank: 1 }))
    return [x, draw.integer(-x.rank, x.rank - 1)] as [Tensor, number]
  },
})
