/**
 * Kernels of the cpu device that are loops of JavaScript, each under the plain kernel whose launches it takes over. A property test holds
 * every pair together (`test/device/tuned.test.ts`).
 */
import { embeddingGradient, scatterAdd } from '../../../kernels/indexing.ts'
import type { Grid, Kernel } from '../../../kernels/kernel.ts'
import { solveUnitLowerRow } from '../../../kernels/linear.ts'
import { matmul } from '../../../kernels/matmul.ts'
import { concatPair, padAxis, stridedCopy } from '../../../kernels/movement.ts'
import { createMatmul } from '../../../kernels/tuned/wasm/matmul.ts'
import type { Arena } from './arena.ts'
import type { CpuBuffer } from './cpu.ts'
import { tunedConcatPair, tunedPadAxis, tunedStridedCopy } from './direct-movement.ts'

export type DirectKernel = (output: CpuBuffer, grid: Grid, parameters: readonly (CpuBuffer | number)[]) => void

export function directKernels(arena: Arena): Map<Kernel, DirectKernel> {
  return new Map<Kernel, DirectKernel>([
    [matmul, tunedMatmul(arena)],
    [stridedCopy, tunedStridedCopy],
    [padAxis, tunedPadAxis],
    [concatPair, tunedConcatPair],
    [scatterAdd, tunedScatterAdd],
    [embeddingGradient, tunedEmbeddingGradient],
    [solveUnitLowerRow, tunedSolveUnitLowerRow],
  ])
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

/** Scatters, where the plain kernel must search: O(sources) instead of O(cells x sources). */
const tunedScatterAdd: DirectKernel = (output, [inner, n, outer], parameters) => {
  const [x, indices, source] = (parameters as CpuBuffer[]).slice(0, 3).map((buffer) => buffer.values)
  const m = parameters[3] as number
  const out = output.values
  out.set(x)
  for (let z = 0; z < outer; z++) {
    for (let j = 0; j < m; j++) {
      for (let i = 0; i < inner; i++) {
        const from = (z * m + j) * inner + i
        out[(z * n + indices[from]) * inner + i] += source[from]
      }
    }
  }
}

/** Adds row by row, where the plain kernel looks through all positions for every cell. */
const tunedEmbeddingGradient: DirectKernel = (output, [C], parameters) => {
  const [dy, indices] = (parameters as CpuBuffer[]).slice(0, 2).map((buffer) => buffer.values)
  const m = parameters[2] as number
  const out = output.values
  out.fill(0)
  for (let j = 0; j < m; j++) {
    const row = indices[j] * C
    const from = j * C
    for (let i = 0; i < C; i++) out[row + i] += dy[from + i]
  }
}

/** Copies the rows at once and computes only the one that changes. */
const tunedSolveUnitLowerRow: DirectKernel = (output, [columns, rows, batch], parameters) => {
  const [x, a] = (parameters as CpuBuffer[]).slice(0, 2).map((buffer) => buffer.values)
  const [row, transpose] = parameters.slice(2) as number[]
  const out = output.values
  out.set(x)
  const [first, end] = transpose ? [row + 1, rows] : [0, row]
  for (let z = 0; z < batch; z++) {
    for (let i = 0; i < columns; i++) {
      let sum = 0
      for (let j = first; j < end; j++) {
        sum +=
          (transpose ? a[(z * rows + j) * rows + row] : a[(z * rows + row) * rows + j]) *
          x[(z * rows + j) * columns + i]
      }
      out[(z * rows + row) * columns + i] -= sum
    }
  }
}
