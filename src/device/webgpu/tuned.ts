/**
 * The tuned kernels of the webgpu device, each under the plain kernel whose launches it takes over, and the fused ones.
 * A property holds every plain kernel and its tuned one together (`test/webgpu/`).
 */
import { causalConvolutionBackward, causalConvolutionForward } from '../../../kernels/fused-convolution.ts'
import { gatedDeltaBackward, gatedDeltaForward } from '../../../kernels/fused-delta.ts'
import { solveUnitLowerAll } from '../../../kernels/fused-solve.ts'
import { embeddingGradient, scatterAdd, topKIndex } from '../../../kernels/indexing.ts'
import type { FusedKernel, Kernel } from '../../../kernels/kernel.ts'
import { matmul } from '../../../kernels/matmul.ts'
import { attentionLaunchers } from '../../../kernels/tuned/wgsl/attention.ts'
import {
  launchCausalConvolutionBackward,
  launchCausalConvolutionForward,
} from '../../../kernels/tuned/wgsl/convolution.ts'
import { launchGatedDeltaBackward, launchGatedDeltaForward } from '../../../kernels/tuned/wgsl/delta.ts'
import { launchEmbeddingGradient } from '../../../kernels/tuned/wgsl/embedding-gradient.ts'
import { launchScatterAdd, launchTopKIndex } from '../../../kernels/tuned/wgsl/indexing.ts'
import { linearLaunchers } from '../../../kernels/tuned/wgsl/linear.ts'
import { launchMatmul } from '../../../kernels/tuned/wgsl/matmul.ts'
import { optimizerLaunchers } from '../../../kernels/tuned/wgsl/optimizer.ts'
import type { FusedLauncher, Launcher } from '../../../kernels/tuned/wgsl/program.ts'
import { fusedRowLaunchers, rowLaunchers } from '../../../kernels/tuned/wgsl/row-launchers.ts'
import { launchSolveUnitLower } from '../../../kernels/tuned/wgsl/solve.ts'

export const tunedKernels: ReadonlyMap<Kernel, Launcher> = new Map<Kernel, Launcher>([
  [matmul, launchMatmul],
  [embeddingGradient, launchEmbeddingGradient],
  [scatterAdd, launchScatterAdd],
  [topKIndex, launchTopKIndex],
  ...rowLaunchers,
])

export const fusedKernels: ReadonlyMap<FusedKernel, FusedLauncher> = new Map<FusedKernel, FusedLauncher>([
  [causalConvolutionForward, launchCausalConvolutionForward],
  [causalConvolutionBackward, launchCausalConvolutionBackward],
  [gatedDeltaForward, launchGatedDeltaForward],
  [gatedDeltaBackward, launchGatedDeltaBackward],
  [solveUnitLowerAll, launchSolveUnitLower],
  ...linearLaunchers,
  ...attentionLaunchers,
  ...optimizerLaunchers,
  ...fusedRowLaunchers,
])
