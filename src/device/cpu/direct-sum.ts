/** Sums of whole rows at a time, where the plain kernel works out the address of every cell. */
import type { CpuBuffer } from './cpu.ts'
import type { DirectKernel } from './direct.ts'

/** Down the columns, row by row, so that memory is read in order; sums are kept in float64, as the plain kernel's are. */
export const tunedSumAxis: DirectKernel = (output, [, , outer], parameters) => {
  const x = (parameters[0] as CpuBuffer).values
  const [n, inner] = parameters.slice(1) as number[]
  const out = output.values
  if (inner === 1) {
    for (let z = 0; z < outer; z++) {
      let sum = 0
      const end = (z + 1) * n
      for (let i = z * n; i < end; i++) sum += x[i]
      out[z] = sum
    }
    return
  }
  const sums = new Float64Array(inner)
  for (let z = 0; z < outer; z++) {
    sums.fill(0)
    let at = z * n * inner
    for (let i = 0; i < n; i++) {
      for (let c = 0; c < inner; c++) sums[c] += x[at++]
    }
    out.set(sums, z * inner)
  }
}
