/**
 * Random launches of every kernel: what its operations may launch, small.
 *
 * Numbers are multiples of 1/8 of size at most 2, so that sums of a few products of them are exact in float32: kernels
 * that only move, add and multiply must give the same bits on every machine, and have the bound 0.
 */
import { readdirSync } from 'node:fs'
import fc from 'fast-check'
import type { CellKernel, Grid, Kernel, MapKernel } from '../../kernels/kernel.ts'
import type { TypedArray } from '../../src/device/device.ts'

export interface Launch {
  readonly grid: Grid
  /** float64 and int32 arrays, and numbers. */
  readonly parameters: readonly (Float64Array | Int32Array | number)[]
}

/** Largest error against float64: `bound max(1, |expected|)`. */
export interface KernelCase {
  readonly kernel: Kernel
  readonly file: string
  readonly bound: number
  readonly draw: (g: fc.GeneratorValue) => Launch
}

const integers = (min: number, max: number) => fc.integer({ min, max })
/** Mostly small; now and then large enough for whole vectors and blocks with a rest. */
const sizes = () => fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 5 }) }, fc.integer({ min: 6, max: 40 }))
const eighths = (n: number, min: number, max: number) =>
  fc
    .array(fc.integer({ min: 8 * min, max: 8 * max }), { minLength: n, maxLength: n })
    .map((list) => Float64Array.from(list, (v) => v / 8))
const indexLists = (n: number, below: number) =>
  fc.array(fc.nat({ max: below - 1 }), { minLength: n, maxLength: n }).map((list) => Int32Array.from(list))

const size = (g: fc.GeneratorValue) => g(sizes)
const values = (g: fc.GeneratorValue, n: number, min = -2, max = 2) => g(eighths, n, min, max)

/** [Z, n, X], the layout of everything that works along one axis. */
const axis = (g: fc.GeneratorValue) => ({ Z: size(g), n: size(g), X: size(g) })

type Draw = (g: fc.GeneratorValue) => Launch

/** Reductions: x [Z, n, X] to [Z, X]; more arrays of [Z, X] or [Z, n, X] before n and X. */
const reduce =
  (more: readonly ('row' | 'whole')[] = []): Draw =>
  (g) => {
    const { Z, n, X } = axis(g)
    const arrays = more.map((kind) => values(g, kind === 'row' ? Z * X : Z * n * X))
    return { grid: [X, 1, Z], parameters: [values(g, Z * n * X), ...arrays, n, X] }
  }

/** A softmax over [Z, n, X] that is causal half of the time: Z is then a multiple of T <= n, and X = 1. */
const softmax =
  (perCell: boolean, rows: number): Draw =>
  (g) => {
    const causal = g(fc.boolean)
    const n = size(g)
    const T = causal ? g(integers, 1, n) : 0
    const X = causal ? 1 : size(g)
    const Z = causal ? T * g(integers, 1, 3) : size(g)
    const arrays = Array.from({ length: rows }, (_, i) => values(g, Z * X, i === 0 ? -2 : 1, 2))
    const scale = g(integers, 1, 8) / 4
    return { grid: [X, perCell ? n : 1, Z], parameters: [values(g, Z * n * X), ...arrays, n, X, T, scale] }
  }

export const matmulLaunch: Draw = (g) => {
  const [m, k, n, batch] = [size(g), g(integers, 0, 5), size(g), g(integers, 1, 3)]
  const [transposeA, transposeB, repeatA, repeatB] = [0, 1, 2, 3].map(() => g(fc.boolean))
  const [az, bz] = [repeatA ? 0 : m * k, repeatB ? 0 : k * n]
  const [ay, ak] = transposeA ? [1, m] : [k, 1]
  const [bk, bx] = transposeB ? [1, k] : [n, 1]
  const a = values(g, repeatA ? m * k : batch * m * k)
  const b = values(g, repeatB ? k * n : batch * k * n)
  return { grid: [n, m, batch], parameters: [a, b, k, az, ay, ak, bz, bk, bx] }
}

const cells: Record<string, Draw> = {
  gather: (g) => {
    const { Z, n, X } = axis(g)
    const m = size(g)
    return { grid: [X, m, Z], parameters: [values(g, Z * n * X), g(indexLists, Z * m * X, n), n, m, X] }
  },
  scatterAdd: (g) => {
    const { Z, n, X } = axis(g)
    const m = g(integers, 0, 5)
    const indices = g(indexLists, Z * m * X, n)
    return { grid: [X, n, Z], parameters: [values(g, Z * n * X), indices, values(g, Z * m * X), m, n, X] }
  },
  embedding: (g) => {
    const [V, C, m] = [size(g), size(g), size(g)]
    return { grid: [C, m, 1], parameters: [values(g, V * C), g(indexLists, m, V), C] }
  },
  embeddingGradient: (g) => {
    const [V, C, m] = [size(g), size(g), g(integers, 0, 5)]
    return { grid: [C, V, 1], parameters: [values(g, m * C), g(indexLists, m, V), m, C] }
  },
  oneHot: (g) => {
    const [m, n] = [size(g), size(g)]
    return { grid: [n, m, 1], parameters: [g(indexLists, m, n + 2)] }
  },
  topKIndex: (g) => {
    const { Z, n, X } = axis(g)
    return { grid: [X, g(integers, 1, n), Z], parameters: [values(g, Z * n * X), n, X] }
  },
  solveUnitLowerRow: (g) => {
    const [Z, rows, columns] = [size(g), size(g), size(g)]
    const row = g(integers, 0, rows - 1)
    const transpose = g(integers, 0, 1)
    const a = values(g, Z * rows * rows)
    return { grid: [columns, rows, Z], parameters: [values(g, Z * rows * columns), a, row, transpose, rows, columns] }
  },
  matmul: matmulLaunch,
  stridedCopy: (g) => {
    const extents = Array.from({ length: 6 }, () => g(integers, 1, 3))
    extents[5] = size(g)
    const strides = Array.from({ length: 6 }, () => g(integers, -3, 3))
    const reach = (sign: number) =>
      strides.reduce((sum, s, i) => sum + (Math.sign(s) === sign ? Math.abs(s) * (extents[i] - 1) : 0), 0)
    const offset = reach(-1)
    const [n0, n1, n2, n3, Y, X] = extents
    const x = values(g, offset + reach(1) + 1)
    return { grid: [X, Y, n0 * n1 * n2 * n3], parameters: [x, offset, n1, n2, n3, ...strides] }
  },
  padAxis: (g) => {
    const { Z, n, X } = axis(g)
    const [before, after] = [g(integers, 0, 3), g(integers, 0, 3)]
    const value = g(integers, -8, 8) / 8
    return { grid: [X, before + n + after, Z], parameters: [values(g, Z * n * X), n, before, X, value] }
  },
  concatPair: (g) => {
    const { Z, n, X } = axis(g)
    const nb = size(g)
    return { grid: [X, n + nb, Z], parameters: [values(g, Z * n * X), values(g, Z * nb * X), n, nb, X] }
  },
  triangle: (g) => {
    const { Z, n, X } = axis(g)
    const parameters = [values(g, Z * n * X), n, X, g(integers, -5, 5), g(integers, 0, 1)]
    return { grid: [X, n, Z], parameters }
  },
  sumAxis: (g) => {
    const { Z, X } = axis(g)
    const n = g(integers, 0, 5)
    return { grid: [X, 1, Z], parameters: [values(g, Z * n * X), n, X] }
  },
  maxAxis: reduce(),
  minAxis: reduce(),
  argmaxAxis: reduce(),
  sumExpAxis: reduce(['row']),
  logSumShift: (g) => {
    const n = size(g)
    return { grid: [n, 1, 1], parameters: [values(g, n, 1, 2), values(g, n)] }
  },
  cumsumAxis: (g) => {
    const { Z, n, X } = axis(g)
    return { grid: [X, n, Z], parameters: [values(g, Z * n * X), n, X, g(integers, 0, 1)] }
  },
  rmsScale: (g) => {
    const [N, C] = [size(g), size(g)]
    return { grid: [N, 1, 1], parameters: [values(g, N * C), C, g(integers, 1, 8) / 8] }
  },
  rmsNormCell: (g) => {
    const [N, C] = [size(g), size(g)]
    return { grid: [C, N, 1], parameters: [values(g, N * C), values(g, N), values(g, C), C, g(integers, 0, 1)] }
  },
  rmsNormDot: (g) => {
    const [N, C] = [size(g), size(g)]
    const arrays = [values(g, N * C, 0), values(g, N * C, 0), values(g, C, 0)]
    return { grid: [N, 1, 1], parameters: [...arrays, C, g(integers, 0, 1)] }
  },
  rmsNormInputGradient: (g) => {
    const [N, C] = [size(g), size(g)]
    const arrays = [values(g, N * C), values(g, N * C), values(g, C), values(g, N), values(g, N)]
    return { grid: [C, N, 1], parameters: [...arrays, C, g(integers, 0, 1)] }
  },
  rmsNormWeightTerm: (g) => {
    const [N, C] = [size(g), size(g)]
    return { grid: [C, N, 1], parameters: [values(g, N * C), values(g, N * C), values(g, N), C] }
  },
  rope: (g) => {
    const [B, T, H, half] = [g(integers, 1, 2), size(g), g(integers, 1, 3), g(integers, 1, 2)]
    const D = 2 * half + g(integers, 0, 2)
    const angles = [values(g, T * half), values(g, T * half)]
    const sign = g(fc.boolean) ? 1 : -1
    return { grid: [D, H, B * T], parameters: [values(g, B * T * H * D), ...angles, T, H, D, half, sign] }
  },
  softmaxMax: softmax(false, 0),
  softmaxExp: softmax(true, 1),
  logSoftmaxCell: (g) => {
    const { Z, n, X } = axis(g)
    return { grid: [X, n, Z], parameters: [values(g, Z * n * X), values(g, Z * X), values(g, Z * X, 1, 2), n, X] }
  },
  softmaxDot: reduce(['whole']),
  softmaxGradient: (g) => {
    const { Z, n, X } = axis(g)
    const arrays = [values(g, Z * n * X), values(g, Z * n * X), values(g, Z * X)]
    return { grid: [X, n, Z], parameters: [...arrays, n, X, g(integers, 1, 8) / 4] }
  },
  crossEntropyRow: (g) => {
    const [N, V] = [size(g), size(g)]
    return { grid: [N, 1, 1], parameters: [values(g, N * V), g(indexLists, N, V), V, g(integers, -1, V - 1)] }
  },
}

/**
 * Kernels with an exponential, a logarithm or a quotient. Arguments are at most 8, with an error of 8 2^-24 that the
 * exponential makes a relative one; at most 40 terms of one sign are added: 50 roundings, 3e-6, and as much again for libm.
 */
const INEXACT = 6e-6
const inexact = new Set([
  'rmsScale',
  'rmsNormDot',
  'sumExpAxis',
  'logSumShift',
  'softmaxExp',
  'logSoftmaxCell',
  'crossEntropyRow',
])

/**
 * Map kernels are at most about 60 operations (erf's series, all terms of one sign; the later ones vanish), and only
 * AdamW's subtracts what is large: 2 x 4 / (1/2) = 16, five roundings of which are 5e-6.
 */
const MAP = 8e-6

/** Every operand anywhere between contiguous, broadcast and with gaps; constants in [1/2, 2]. */
const mapLaunch =
  (kernel: MapKernel): Draw =>
  (g) => {
    const grid: Grid = [size(g), g(integers, 1, 3), g(integers, 1, 3)]
    const [X, Y, Z] = grid
    const operands = Array.from({ length: kernel.operands }, () => {
      const contiguous = [X * Y, X, 1]
      const strides = contiguous.map((s) => [s, 0, s + 1][g(integers, 0, 2)])
      const reach = strides[0] * (Z - 1) + strides[1] * (Y - 1) + strides[2] * (X - 1)
      return [values(g, reach + 1), ...strides]
    })
    const constants = Array.from({ length: kernel.constants }, () => g(integers, 4, 16) / 8)
    return { grid, parameters: [...operands.flat(), ...constants] }
  }

/** Fused kernels have no plain function: their tests compare them with the composition they stand for. */
const isKernel = (value: unknown): value is Kernel =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind !== 'fused'

/** Fails the kernel's own tests, not the others. */
const missing =
  (file: string, name: string): Draw =>
  () => {
    throw new Error(`kernels/${file} has a kernel ${name} of which test/device/launches.ts draws no launches; add it`)
  }

function caseOf(file: string, kernel: Kernel): KernelCase {
  if (kernel.kind === 'map') return { file, kernel, bound: MAP, draw: mapLaunch(kernel) }
  const draw = cells[kernel.name] ?? missing(file, kernel.name)
  return { file, kernel, bound: inexact.has(kernel.name) ? INEXACT : 0, draw }
}

/** Every exported kernel of every module in `kernels/`. */
export async function everyKernel(): Promise<KernelCase[]> {
  const folder = new URL('../../kernels/', import.meta.url)
  const found: KernelCase[] = []
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.ts'))) {
    const module: Record<string, unknown> = await import(new URL(file, folder).href)
    for (const kernel of Object.values(module).filter(isKernel)) found.push(caseOf(file, kernel))
  }
  return found
}

/** The case of one kernel. */
export function launchesOf(kernel: CellKernel): KernelCase {
  return caseOf('', kernel)
}

export const cellCount = ([X, Y, Z]: Grid): number => X * Y * Z

/** Parameters as a float32 device holds them. */
export function inFloat32(parameters: Launch['parameters']): (TypedArray | number)[] {
  return parameters.map((p) => (p instanceof Float64Array ? Float32Array.from(p) : p))
}

/** Fails unless every cell is within `bound max(1, |expected|)`; equal infinities agree, and so do two NaN. */
export function expectCells(got: ArrayLike<number>, expected: ArrayLike<number>, bound: number, what: string): void {
  if (got.length !== expected.length) throw new Error(`${what}: ${got.length} cells, expected ${expected.length}`)
  for (let i = 0; i < got.length; i++) {
    const [a, b] = [got[i], expected[i]]
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue
    const allowed = bound * Math.max(1, Math.abs(b))
    if (!(Math.abs(a - b) <= allowed)) throw new Error(`${what}: cell ${i} is ${a}, expected ${b} within ${allowed}`)
  }
}
