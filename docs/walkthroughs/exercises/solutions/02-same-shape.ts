/** A mean squared error that does not broadcast: what would fit by accident is an error. */
import type { Tensor } from 'sluice'

export function meanSquaredError(predicted: Tensor, target: Tensor): Tensor {
  const [found, wanted] = [predicted, target].map(({ shape }) => `[${shape.join(', ')}]`)
  if (found !== wanted) {
    throw new Error(`meanSquaredError: predicted has shape ${found}, target ${wanted}; reshape one of them`)
  }
  return predicted.sub(target).square().mean()
}
