/** The tuned kernels of the cpu device: kernels/tuned/wasm, each under the kernel whose launches it takes over. */
import type { FusedKernel, Kernel } from '../../../kernels/kernel.ts'
import { argmaxKernels } from '../../../kernels/tuned/wasm/argmax.ts'
import type { Features } from '../../../kernels/tuned/wasm/assembler.ts'
import { clipKernels } from '../../../kernels/tuned/wasm/clip.ts'
import { cumsumKernels } from '../../../kernels/tuned/wasm/cumsum.ts'
import { readingFloats } from '../../../kernels/tuned/wasm/from-integers.ts'
import { indexingKernels } from '../../../kernels/tuned/wasm/indexing.ts'
import { movementKernels } from '../../../kernels/tuned/wasm/movement.ts'
import { optimizerKernels } from '../../../kernels/tuned/wasm/optimizer.ts'
import { reduceKernels } from '../../../kernels/tuned/wasm/reduce.ts'
import { ropeKernels } from '../../../kernels/tuned/wasm/rope.ts'
import { solveKernels } from '../../../kernels/tuned/wasm/solve.ts'
import type { Launcher } from '../../../kernels/tuned/wasm/task.ts'

/** Gives the launcher of a kernel, if it is tuned. */
export function tunedKernels(features: Features): Map<Kernel | FusedKernel, Launcher> {
  return new Map<Kernel | FusedKernel, Launcher>([
    ...movementKernels(features),
    ...indexingKernels(features),
    ...solveKernels(features),
    ...clipKernels(features),
    ...optimizerKernels(features),
    ...readingFloats(features, [
      ...reduceKernels(features),
      ...argmaxKernels(features),
      ...cumsumKernels(features),
      ...ropeKernels(features),
    ]),
  ])
}
