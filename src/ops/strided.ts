/** What permute, expand, flip and slice have in common: a view of strides, copied. */
import { stridedCopy } from '../../kernels/movement.ts'
import { SluiceError, showShape } from '../errors.ts'
import { launch } from '../tensor/launch.ts'
import { collapse, type Shape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** Copies a strided view of `x` into a tensor of `shape`. */
export function copyStrided(
  operation: string,
  x: Tensor,
  shape: Shape,
  offset: number,
  strides: readonly number[],
): Tensor {
  const walk = collapse(shape, [strides])
  const rank = walk.shape.length
  if (rank > 6) {
    throw new SluiceError(
      operation,
      `${showShape(x.shape)} to ${showShape(shape)} walks ${rank} separate axes; 6 are the limit, do it in two steps`,
    )
  }
  const lead = 6 - rank
  const n = [...new Array<number>(lead).fill(1), ...walk.shape]
  const s = [...new Array<number>(lead).fill(0), ...walk.strides[0]]
  return launch(
    stridedCopy,
    shape,
    [x, offset, n[1], n[2], n[3], s[0], s[1], s[2], s[3], s[4], s[5]],
    [n[5], n[4], n[0] * n[1] * n[2] * n[3]],
    { dtype: x.dtype },
  )
}
