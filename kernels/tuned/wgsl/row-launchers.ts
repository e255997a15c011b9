/** The row kernels on WebGPU, each under the plain kernel whose launches it takes over or the fused one it computes. */
import {
  crossEntropyBackward,
  crossEntropyForward,
  l2NormBackward,
  l2NormForward,
  rmsNormBackward,
  rmsNormForward,
  rmsNormWeightBackward,
  softmaxBackward,
  softmaxForward,
} from '../../fused-rows.ts'
import type { FusedKernel, Kernel } from '../../kernel.ts'
import { argmaxAxis, cumsumAxis, maxAxis, minAxis, sumAxis, sumExpAxis } from '../../reduce.ts'
import { softmaxDot } from '../../softmax.ts'
import { crossEntropyBackwardLauncher, crossEntropyForwardLauncher } from './cross-entropy.ts'
import type { FusedLauncher, Launcher } from './program.ts'
import {
  argmaxAxisLauncher,
  maxAxisLauncher,
  minAxisLauncher,
  softmaxDotLauncher,
  sumAxisLauncher,
  sumExpAxisLauncher,
} from './reduce.ts'
import {
  l2NormBackwardLauncher,
  l2NormForwardLauncher,
  rmsNormBackwardLauncher,
  rmsNormForwardLauncher,
  rmsNormWeightBackwardLauncher,
} from './rms-norm.ts'
import { cumsumAxisLauncher } from './scan.ts'
import { softmaxBackwardLauncher, softmaxForwardLauncher } from './softmax.ts'

export const rowLaunchers: readonly (readonly [Kernel, Launcher])[] = [
  [sumAxis, sumAxisLauncher],
  [maxAxis, maxAxisLauncher],
  [minAxis, minAxisLauncher],
  [argmaxAxis, argmaxAxisLauncher],
  [sumExpAxis, sumExpAxisLauncher],
  [softmaxDot, softmaxDotLauncher],
  [cumsumAxis, cumsumAxisLauncher],
]

export const fusedRowLaunchers: readonly (readonly [FusedKernel, FusedLauncher])[] = [
  [softmaxForward, softmaxForwardLauncher],
  [softmaxBackward, softmaxBackwardLauncher],
  [crossEntropyForward, crossEntropyForwardLauncher],
  [crossEntropyBackward, crossEntropyBackwardLauncher],
  [rmsNormForward, rmsNormForwardLauncher],
  [rmsNormBackward, rmsNormBackwardLauncher],
  [rmsNormWeightBackward, rmsNormWeightBackwardLauncher],
  [l2NormForward, l2NormForwardLauncher],
  [l2NormBackward, l2NormBackwardLauncher],
]
