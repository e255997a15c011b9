/**
 * The tuned kernels of the webgpu device, each under the plain kernel whose launches it takes over, and the fused ones.
 * A property holds every plain kernel and its tuned one together (`test/webgpu/`).
 */
import type { FusedKernel, Kernel } from '../../../kernels/kernel.ts'
import type { FusedLauncher, Launcher } from '../../../kernels/tuned/wgsl/program.ts'

export const tunedKernels: ReadonlyMap<Kernel, Launcher> = new Map<Kernel, Launcher>([])

export const fusedKernels: ReadonlyMap<FusedKernel, FusedLauncher> = new Map<FusedKernel, FusedLauncher>([])
