/**
 * The matrix product on WebGPU: out[z, i, j] = act(sum over k of op(a)[z, i, k] op(b)[z, k, j] + bias[j]).
 *
 * What a product takes is chosen here: one row or column goes to the matrix-vector program; else a tile and a split of k
 * (`matmul-tiles.ts`), and for each operand how it can be read. Workgroups are numbered in one line, so that batches and
 * matrices of any size fit WebGPU's limit of workgroups.
 */
import type { Epilogue } from '../../fused-linear.ts'
import { noEpilogue, sumProgram } from './matmul-epilogue.ts'
import { type Layout, tileProgram } from './matmul-program.ts'
import { type Choice, chooseTile, vectorSplits } from './matmul-tiles.ts'
import { vectorOutputs, vectorProgram } from './matmul-vector.ts'
import { type Encoder, folded, type Launcher } from './program.ts'

/** One operand: strides in elements over the batch, over its rows (of op(a)) or columns (of op(b)), and over k. */
export interface Operand<Buffer> {
  readonly buffer: Buffer
  readonly batch: number
  readonly across: number
  readonly depth: number
}

export interface Product<Buffer> {
  readonly m: number
  readonly n: number
  readonly k: number
  readonly batch: number
  readonly a: Operand<Buffer>
  readonly b: Operand<Buffer>
  /** [batch, m, n] */
  readonly out: Buffer
  readonly epilogue: Epilogue
  /** [n], where the epilogue has one. */
  readonly bias?: Buffer
  /** [batch, m, n], where the epilogue saves it. */
  readonly preactivation?: Buffer
}

/** Encodes a product; `choice`, if given, is taken instead of the tile and split of least estimated cost. */
export function encodeProduct<Buffer>(encoder: Encoder<Buffer>, product: Product<Buffer>, choice?: Choice): void {
  if (choice === undefined && (product.m === 1 || product.n === 1)) encodeVector(encoder, product)
  else encodeTiles(encoder, product, choice ?? chooseTile(product))
}

/** Launches of the plain kernel `matmul`. */
export const launchMatmul: Launcher = (encoder, output, grid, parameters) => {
  encodeProduct(encoder, productOf(output, grid, parameters))
}

/** A launch of the plain kernel `matmul` as a product. */
export function productOf<Buffer>(
  out: Buffer,
  [n, m, batch]: readonly [number, number, number],
  [a, b, ...numbers]: readonly (Buffer | number)[],
): Product<Buffer> {
  const [k, az, ay, ak, bz, bk, bx] = numbers as number[]
  return {
    m,
    n,
    k,
    batch,
    a: { buffer: a as Buffer, batch: az, across: ay, depth: ak },
    b: { buffer: b as Buffer, batch: bz, across: bx, depth: bk },
    out,
    epilogue: noEpilogue,
  }
}

/** Vectors of 4 can be read where the contiguous axis has whole ones and every other stride is a multiple of 4. */
function layoutOf({ batch, across, depth }: Operand<unknown>, extent: number, k: number): Layout {
  const whole = (...numbers: number[]) => k > 0 && numbers.every((x) => x % 4 === 0)
  if (depth === 1) return { along: 'k', isVector: whole(k, across, batch) }
  return { along: 'across', isVector: across === 1 && whole(extent, depth, batch) }
}

function encodeTiles<Buffer>(encoder: Encoder<Buffer>, product: Product<Buffer>, { tile, splits }: Choice): void {
  const { m, n, k, batch, a, b } = product
  const layouts = { a: layoutOf(a, m, k), b: layoutOf(b, n, k) }
  const isWide = n % 4 === 0
  const tilesDown = Math.ceil(m / tile.rows)
  const tilesAcross = Math.ceil(n / tile.columns)
  // Whole steps, so that parts begin where vectors do.
  const part = Math.max(1, Math.ceil(k / splits / tile.depth)) * tile.depth
  const parts = Math.max(1, Math.ceil(k / part))
  const count = tilesDown * tilesAcross * batch * parts
  const strides = (x: 'a' | 'b') => {
    const unit = layouts[x].isVector ? 4 : 1
    // The contiguous axis of vectors is not walked by its stride.
    const [across, depth] = [product[x].across, product[x].depth].map((s) => Math.floor(s / unit))
    return { [`${x}Batch`]: product[x].batch / unit, [`${x}Across`]: across, [`${x}Depth`]: depth }
  }
  finish(encoder, product, isWide, parts, (epilogue, results) => {
    encoder.dispatch(
      tileProgram({ tile, ...layouts, isWide, epilogue, isHalf: encoder.precision === 'float16' }),
      { a: a.buffer, b: b.buffer, ...results },
      { m, n, k, batch, splits: parts, part, tilesDown, tilesAcross, count, ...strides('a'), ...strides('b') },
      folded(count),
    )
  })
}

function encodeVector<Buffer>(encoder: Encoder<Buffer>, product: Product<Buffer>): void {
  const { m, n, k, batch } = product
  // With one column, op(a) is the matrix; with one row, op(b).
  const [matrix, vector, size] = n === 1 ? [product.a, product.b, m] : [product.b, product.a, n]
  const along = matrix.depth === 1 ? 'k' : 'across'
  const across = Math.ceil(size / vectorOutputs[along])
  const part = Math.max(1, Math.ceil(k / vectorSplits(across * batch, k)))
  const parts = Math.max(1, Math.ceil(k / part))
  const count = across * batch * parts
  finish(encoder, product, false, parts, (epilogue, results) => {
    encoder.dispatch(
      vectorProgram(along, epilogue),
      { matrix: matrix.buffer, vector: vector.buffer, ...results },
      {
        size,
        k,
        batch,
        splits: parts,
        part,
        across,
        count,
        columns: n,
        matrixBatch: matrix.batch,
        matrixAcross: matrix.across,
        matrixDepth: matrix.depth,
        vectorBatch: vector.batch,
        vectorDepth: vector.depth,
      },
      folded(count),
    )
  })
}

/** Runs `multiply` with the epilogue, or, where k is split, without it into parts that a second pass adds. */
function finish<Buffer>(
  encoder: Encoder<Buffer>,
  { m, n, batch, out, epilogue, bias, preactivation }: Product<Buffer>,
  isWide: boolean,
  parts: number,
  multiply: (epilogue: Epilogue, results: Record<string, Buffer>) => void,
): void {
  const results: Record<string, Buffer> = { out }
  if (bias !== undefined) results.bias = bias
  if (preactivation !== undefined) results.preactivation = preactivation
  if (parts === 1) {
    multiply(epilogue, results)
    return
  }
  const partial = encoder.scratch(parts * batch * m * n)
  multiply(noEpilogue, { out: partial })
  const unit = isWide ? 4 : 1
  const size = (batch * m * n) / unit
  encoder.dispatch(
    sumProgram(epilogue, isWide),
    { partial, ...results },
    { size, columns: n / unit, splits: parts },
    folded(Math.ceil(size / 256)),
  )
}
