/**
 * The gradient of a fused kernel by its composition: the same function, written with ordinary operations, is run again
 * and differentiated by the tape. It is the second-order path of operations whose first order has kernels of its own.
 */
import { gradients, isRecording, withRecording } from '../autograd/tape.ts'
import type { Tensor } from '../tensor/tensor.ts'

/**
 * Vector-Jacobian product of `compose` at `inputs`, recorded if recording is on.
 *
 * @param cotangent of the shape that `compose` gives
 */
export function composedGradients(
  compose: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  cotangent: Tensor,
): Tensor[] {
  const createGraph = isRecording()
  // Tracked inputs stay joined to their history, so that the result can be differentiated again.
  const fresh = inputs.map((t) => {
    if (createGraph && t.isTracked) return t
    const leaf = t.detach()
    leaf.requiresGrad = true
    return leaf
  })
  const output = withRecording(true, () => compose(...fresh))
  return gradients(output, fresh, { cotangent, createGraph })
}
