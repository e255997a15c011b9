/** The adjoint of broadcasting, which the tape applies once for every rule. */
import { normalAxes, type Shape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { reshape } from './movement.ts'
import { sum } from './reduce.ts'

/** Sums `t` over the axes along which `shape` was broadcast to it: the adjoint of `expand`. */
export function sumTo(t: Tensor, shape: Shape): Tensor {
  const lead = t.rank - shape.length
  const repeated = t.shape.flatMap((n, axis) => (axis < lead || (shape[axis - lead] === 1 && n !== 1) ? [axis] : []))
  return reshape(sum(t, { axis: normalAxes('sum', repeated, t.rank) }), shape)
}
