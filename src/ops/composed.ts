/**
 * The gradient of a fused kernel by its composition: the same function, written with ordinary operations, is run again
 * and differentiated by the tape. It is the second-order path of operations whose first order has kernels of its own.
 */
import { gradients, identity, isRecording, nextNodeId, withRecording } from '../autograd/tape.ts'
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
  // Tracked inputs stay joined to their history, so that the result can be differentiated again. Each is a handle of its
  // own, since one tensor may be given twice, or be made from another.
  const fresh = inputs.map((t) => {
    if (createGraph && t.isTracked) return identity(t)
    const leaf = t.detach()
    leaf.requiresGrad = true
    return leaf
  })
  // What is older, such as a cotangent that `compose` uses, is taken as given.
  const since = nextNodeId()
  const output = withRecording(true, () => compose(...fresh))
  return gradients(output, fresh, { cotangent, createGraph, since })
}
