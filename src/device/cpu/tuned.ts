/** The tuned kernels of the cpu device: kernels/tuned/wasm, each under the kernel whose launches it takes over. */
import type { FusedKernel, Kernel } from '../../../kernels/kernel.ts'
import { argmaxKernels } from '../../../kernels/tuned/wasm/argmax.ts'
import type { Features } from '../../../kernels/tuned/wasm/assembler.ts'
import { attentionKernels } from '../../../kernels/tuned/wasm/attention.ts'
import { clipKernels } from '../../../kernels/tuned/wasm/clip.ts'
import { convolutionKernels } from '../../../kernels/tuned/wasm/convolution.ts'
import { crossEntropyKernels } from '../../../kernels/tuned/wasm/cross-entropy.ts'
import { cumsumKernels } from '../../../kernels/tuned/wasm/cumsum.ts'
import { deltaKernels } from '../../../kernels/tuned/wasm/delta.ts'
import { readingFloats } from '../../../kernels/tuned/wasm/from-integers.ts'
import { indexingKernels } from '../../../kernels/tuned/wasm/indexing.ts'
import { linearLaunchers } from '../../../kernels/tuned/wasm/linear.ts'
import { logSumKernels } from '../../../kernels/tuned/wasm/log-sum.ts'
import { matmulKernels } from '../../../kernels/tuned/wasm/matmul.ts'
import { movementKernels } from '../../../kernels/tuned/wasm/movement.ts'
import { normKernels } from '../../../kernels/tuned/wasm/norm.ts'
import { optimizerKernels } from '../../../kernels/tuned/wasm/optimizer.ts'
import { reduceKernels } from '../../../kernels/tuned/wasm/reduce.ts'
import { rmsNormKernels } from '../../../kernels/tuned/wasm/rms-norm.ts'
import { rmsNormWeightKernels } from '../../../kernels/tuned/wasm/rms-norm-weight.ts'
import { ropeKernels } from '../../../kernels/tuned/wasm/rope.ts'
import { softmaxKernels } from '../../../kernels/tuned/wasm/softmax.ts'
import { solveKernels } from '../../../kernels/tuned/wasm/solve.ts'
import type { Launcher } from '../../../kernels/tuned/wasm/task.ts'

type Tuned = [Kernel | FusedKernel, Launcher]

/** Gives the launcher of a kernel, if it is tuned. */
export function tunedKernels(features: Features): Map<Kernel | FusedKernel, Launcher> {
  const make = (families: readonly ((features: Features) => Tuned[])[]) =>
    families.flatMap((family) => family(features))
  const overFloats = make([
    reduceKernels,
    argmaxKernels,
    cumsumKernels,
    normKernels,
    rmsNormKernels,
    rmsNormWeightKernels,
    softmaxKernels,
    logSumKernels,
    ropeKernels,
  ])
  return new Map([
    ...make([
      matmulKernels,
      linearLaunchers,
      movementKernels,
      indexingKernels,
      clipKernels,
      optimizerKernels,
      solveKernels,
      deltaKernels,
      convolutionKernels,
      attentionKernels,
    ]),
    ...readingFloats(features, overFloats),
    ...readingFloats(features, crossEntropyKernels(features), ['targets']),
  ])
}
