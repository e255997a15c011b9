/**
 * Kernels of the cpu device that are loops of JavaScript, each under the plain kernel whose launches it takes over. A property test holds
 * every pair together (`test/device/tuned.test.ts`).
 */
import { embeddingGradient, scatterAdd } from '../../../kernels/indexing.ts'
import type { Grid, Kernel } from '../../../kernels/kernel.ts'
import { solveUnitLowerRow } from '../../../kernels/linear.ts'
import { concatPair, padAxis, stridedCopy } from '../../../kernels/movement.ts'
import { cumsumAxis, sumAxis } from '../../../kernels/reduce.ts'
import type { CpuBuffer } from './cpu.ts'
import { tunedConcatPair, tunedPadAxis, tunedStridedCopy, tunedSumAxis } from './direct-movement.ts'

export type DirectKernel = (output: CpuBuffer, grid: Grid, parameters: readonly (CpuBuffer | number)[]) => void

export function directKernels(): Map<Kernel, DirectKernel> {
  return new Map<Kernel, DirectKernel>([
    [stridedCopy, tunedStridedCopy],
    [padAxis, tunedPadAxis],
    [concatPair, tunedConcatPair],
    [sumAxis, tunedSumAxis],
    [cumsumAxis, tunedCumsumAxis],
    [scatterAdd, tunedScatterAdd],
    [embeddingGradient, tunedEmbeddingGradient],
    [solveUnitLowerRow, tunedSolveUnitLowerRow],
  ])
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

/** One pass along the axis, with a float64 sum a column; the plain kernel starts again for every cell. */
const tunedCumsumAxis: DirectKernel = (output, [inner, n, outer], parameters) => {
  const x = (parameters[0] as CpuBuffer).values
  const reverse = parameters[3] === 1
  const out = output.values
  const sums = new Float64Array(inner)
  for (let z = 0; z < outer; z++) {
    sums.fill(0)
    for (let step = 0; step < n; step++) {
      const row = (z * n + (reverse ? n - 1 - step : step)) * inner
      for (let i = 0; i < inner; i++) {
        sums[i] += x[row + i]
        out[row + i] = sums[i]
      }
    }
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
