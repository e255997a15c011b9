/**
 * Cross-entropy where the device has it as fused kernels: the logits are read once forwards, and once to write their
 * gradient, with nothing else of their size.
 *
 * A gradient that is itself recorded goes through the composition, which can be differentiated again.
 */
import { crossEntropyBackward, crossEntropyForward } from '../../kernels/fused-rows.ts'
import { isRecording, noGrad, recordAll } from '../autograd/tape.ts'
import { fuses, launchFused } from '../tensor/launch.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { composedGradients } from './composed.ts'

export function fusesCrossEntropy(logits: Tensor): boolean {
  return logits.size > 0 && fuses(crossEntropyForward, logits) && fuses(crossEntropyBackward, logits)
}

/**
 * The mean loss [] of logits [..., V] and int32 targets [...]. Ask `fusesCrossEntropy` first.
 *
 * @param compose the same function of the logits, by ordinary operations
 */
export function fusedCrossEntropy(
  logits: Tensor,
  targets: Tensor,
  ignore: number,
  compose: (logits: Tensor) => Tensor,
): Tensor {
  const sizes = [targets.size, logits.shape.at(-1)!, ignore]
  const [loss, counted, logSum] = noGrad(() =>
    launchFused(crossEntropyForward, [[], [], [targets.size]], [logits, targets, ...sizes]),
  )
  recordAll('crossEntropy', [logits], [loss], ([dy]) => [
    () => {
      if (isRecording()) return composedGradients(compose, [logits], dy!)[0]
      return launchFused(crossEntropyBackward, [logits.shape], [logits, targets, logSum, dy!, counted, ...sizes])[0]
    },
  ])
  return loss
}
