/**
 * Exercise: a mean squared error that does not broadcast.
 *
 * TODO: throw an Error that names both shapes, as `[4, 1]` and `[4]`, unless they are the same.
 */
import type { Tensor } from 'sluice'

export function meanSquaredError(predicted: Tensor, target: Tensor): Tensor {
  return predicted.sub(target).square().mean()
}
