/** The tuned kernels of the cpu device: kernels/tuned/wasm, each under the kernel whose launches it takes over. */
import type { FusedKernel, Kernel } from '../../../kernels/kernel.ts'
import type { Features } from '../../../kernels/tuned/wasm/assembler.ts'
import { linearLaunchers } from '../../../kernels/tuned/wasm/linear.ts'
import { matmulKernels } from '../../../kernels/tuned/wasm/matmul.ts'
import { optimizerKernels } from '../../../kernels/tuned/wasm/optimizer.ts'
import type { Launcher } from '../../../kernels/tuned/wasm/task.ts'

/** Gives the launcher of a kernel, if it is tuned. */
export function tunedKernels(features: Features): Map<Kernel | FusedKernel, Launcher> {
  return new Map<Kernel | FusedKernel, Launcher>([
    ...matmulKernels(features),
    ...linearLaunchers(features),
    ...optimizerKernels(features),
  ])
}
