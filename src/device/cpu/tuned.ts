/** The tuned kernels of the cpu device: kernels/tuned/wasm, each under the kernel whose launches it takes over. */
import type { FusedKernel, Kernel } from '../../../kernels/kernel.ts'
import { argmaxKernels } from '../../../kernels/tuned/wasm/argmax.ts'
import type { Features } from '../../../kernels/tuned/wasm/assembler.ts'
import { crossEntropyKernels } from '../../../kernels/tuned/wasm/cross-entropy.ts'
import { cumsumKernels } from '../../../kernels/tuned/wasm/cumsum.ts'
import { readingFloats } from '../../../kernels/tuned/wasm/from-integers.ts'
import { logSumKernels } from '../../../kernels/tuned/wasm/log-sum.ts'
import { normKernels } from '../../../kernels/tuned/wasm/norm.ts'
import { optimizerKernels } from '../../../kernels/tuned/wasm/optimizer.ts'
import { reduceKernels } from '../../../kernels/tuned/wasm/reduce.ts'
import { rmsNormKernels } from '../../../kernels/tuned/wasm/rms-norm.ts'
import { rmsNormWeightKernels } from '../../../kernels/tuned/wasm/rms-norm-weight.ts'
import { softmaxKernels } from '../../../kernels/tuned/wasm/softmax.ts'
import type { Launcher } from '../../../kernels/tuned/wasm/task.ts'

/** Gives the launcher of a kernel, if it is tuned. */
export function tunedKernels(features: Features): Map<Kernel | FusedKernel, Launcher> {
  const overFloats = [
    reduceKernels,
    argmaxKernels,
    cumsumKernels,
    normKernels,
    rmsNormKernels,
    rmsNormWeightKernels,
    softmaxKernels,
    logSumKernels,
  ].flatMap((kernels): [Kernel | FusedKernel, Launcher][] => kernels(features))
  return new Map<Kernel | FusedKernel, Launcher>([
    ...optimizerKernels(features),
    ...readingFloats(features, overFloats),
    ...readingFloats(features, crossEntropyKernels(features), ['targets']),
  ])
}
