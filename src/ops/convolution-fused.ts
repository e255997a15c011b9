/**
 * The causal convolution where the device has it as fused kernels: one launch, with a gradient by hand.
 *
 * A gradient that is itself recorded goes through the composition, which can be differentiated again.
 */
import { causalConvolutionBackward, causalConvolutionForward, MOST_TAPS } from '../../kernels/fused-convolution.ts'
import { isRecording, noGrad, recordAll } from '../autograd/tape.ts'
import { fuses, launchFused } from '../tensor/launch.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { composedGradients } from './composed.ts'

/** x [B, T, C], weight [C, W], bias [C] and state [B, W - 1, C] if there are any. */
export interface ConvolutionOperands {
  readonly x: Tensor
  readonly weight: Tensor
  readonly bias: Tensor | undefined
  readonly state: Tensor | undefined
}

const present = ({ x, weight, bias, state }: ConvolutionOperands): Tensor[] =>
  [x, weight, bias, state].filter((t) => t !== undefined)

/** Whether fused kernels compute it: the device has them, there are at most 16 taps, and no operand is empty. */
export function fusesConvolution(operands: ConvolutionOperands): boolean {
  const given = present(operands)
  if (operands.weight.shape[1] > MOST_TAPS || given.some((t) => t.size === 0 || t.dtype === 'int32')) return false
  return fuses(causalConvolutionForward, operands.x) && fuses(causalConvolutionBackward, operands.x)
}

/**
 * The convolution by fused kernels. Ask `fusesConvolution` first.
 *
 * @param compose the same function of the same operands, by ordinary operations
 */
export function fusedConvolution(
  operands: ConvolutionOperands,
  compose: (operands: ConvolutionOperands) => Tensor,
): Tensor {
  const { x, weight, bias, state } = operands
  const [B, T, C] = x.shape
  const W = weight.shape[1]
  const sizes = [B, T, C, W]
  const [hasBias, hasState] = [bias ? 1 : 0, state ? 1 : 0]
  // Where there is none, any tensor takes its place and is not read.
  const arrays = [x, weight, bias ?? weight, state ?? x]
  const [out] = noGrad(() => launchFused(causalConvolutionForward, [x.shape], [...arrays, ...sizes, hasBias, hasState]))
  const inputs = present(operands)
  recordAll('causalConv1d', inputs, [out], ([dout]) => {
    if (isRecording()) {
      return composedGradients(
        (xIn, weightIn, ...rest) =>
          compose({
            x: xIn,
            weight: weightIn,
            bias: bias ? rest[0] : undefined,
            state: state ? rest[hasBias] : undefined,
          }),
        inputs,
        dout!,
      )
    }
    const shapes = [x.shape, weight.shape, [C], state?.shape ?? [1]]
    const given = [dout!, x, weight, state ?? x, ...sizes, hasState]
    const [dx, dweight, dbias, dstate] = launchFused(causalConvolutionBackward, shapes, given)
    return [dx, dweight, ...(bias ? [dbias] : []), ...(state ? [dstate] : [])]
  })
  return out
}
