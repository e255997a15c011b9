/**
 * Kernels of the cpu device that are loops of JavaScript, each under the plain kernel whose launches it takes over. A property test holds
 * every pair together (`test/device/tuned.test.ts`).
 */
import type { Grid, Kernel } from '../../../kernels/kernel.ts'
import { matmul } from '../../../kernels/matmul.ts'
import { createMatmul } from '../../../kernels/tuned/wasm/matmul.ts'
import type { Arena } from './arena.ts'
import type { CpuBuffer } from './cpu.ts'

export type DirectKernel = (output: CpuBuffer, grid: Grid, parameters: readonly (CpuBuffer | number)[]) => void

export function directKernels(arena: Arena): Map<Kernel, DirectKernel> {
  return new Map<Kernel, DirectKernel>([[matmul, tunedMatmul(arena)]])
}

/** SIMD WebAssembly, one product a batch entry; the plain kernel's strides pass straight through. */
function tunedMatmul(arena: Arena): DirectKernel {
  let scratchOffset = 0
  let scratchBytes = 0
  const scratch = (bytes: number): number => {
    if (bytes > scratchBytes) {
      // Taken before the old one is given back: when memory runs out, the old one is still ours.
      const offset = arena.take(bytes)
      if (scratchBytes > 0) arena.give(scratchOffset, scratchBytes)
      scratchOffset = offset
      scratchBytes = bytes
    }
    return scratchOffset
  }
  const product = createMatmul(arena.memory, scratch)
  return (output, [n, m, batch], parameters) => {
    const [a, b] = parameters as [CpuBuffer, CpuBuffer]
    const [k, az, ay, ak, bz, bk, bx] = parameters.slice(2) as number[]
    for (let z = 0; z < batch; z++) {
      product(
        m,
        n,
        k,
        { offset: a.offset + 4 * z * az, rowStride: ay, columnStride: ak },
        { offset: b.offset + 4 * z * bz, rowStride: bk, columnStride: bx },
        { offset: output.offset + 4 * z * m * n, rowStride: n },
        false,
      )
    }
  }
}
