/** Moving whole rows at a time, where the plain kernels work out the address of every cell. */
import type { TypedArray } from '../device.ts'
import type { CpuBuffer } from './cpu.ts'
import type { DirectKernel } from './direct.ts'

/** Copies `length` cells that lie `stride` apart; a short row by itself, since making a view of it costs more. */
function copyRow(out: TypedArray, at: number, x: TypedArray, from: number, length: number, stride: number): void {
  if (stride === 1 && length > 16) {
    out.set(x.subarray(from, from + length), at)
  } else if (stride === 0) {
    out.fill(x[from], at, at + length)
  } else {
    for (let i = 0; i < length; i++) out[at + i] = x[from + i * stride]
  }
}

export const tunedStridedCopy: DirectKernel = (output, [X, Y, Z], parameters) => {
  const x = (parameters[0] as CpuBuffer).values
  const [offset, n1, n2, n3, s0, s1, s2, s3, sy, sx] = parameters.slice(1) as number[]
  const out = output.values
  const n0 = Z / (n1 * n2 * n3)
  let at = 0
  for (let d0 = 0; d0 < n0; d0++) {
    for (let d1 = 0; d1 < n1; d1++) {
      for (let d2 = 0; d2 < n2; d2++) {
        for (let d3 = 0; d3 < n3; d3++) {
          let from = offset + d0 * s0 + d1 * s1 + d2 * s2 + d3 * s3
          for (let y = 0; y < Y; y++) {
            copyRow(out, at, x, from, X, sx)
            at += X
            from += sy
          }
        }
      }
    }
  }
}

export const tunedPadAxis: DirectKernel = (output, [, total, outer], parameters) => {
  const x = (parameters[0] as CpuBuffer).values
  const [n, before, inner, value] = parameters.slice(1) as number[]
  const out = output.values
  out.fill(value)
  for (let z = 0; z < outer; z++) {
    const from = z * n * inner
    copyRow(out, (z * total + before) * inner, x, from, n * inner, 1)
  }
}

export const tunedConcatPair: DirectKernel = (output, [, total, outer], parameters) => {
  const [a, b] = (parameters as CpuBuffer[]).slice(0, 2).map((buffer) => buffer.values)
  const [na, nb, inner] = parameters.slice(2) as number[]
  const out = output.values
  for (let z = 0; z < outer; z++) {
    const at = z * total * inner
    copyRow(out, at, a, z * na * inner, na * inner, 1)
    copyRow(out, at + na * inner, b, z * nb * inner, nb * inner, 1)
  }
}
