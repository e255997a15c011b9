/**
 * The float32 matrix product of the cpu device, C[z] = A[z] B[z] with what may follow it: how its launches become tasks.
 */
import type { Activation } from '../../fused-linear.ts'
import type { Kernel } from '../../kernel.ts'
import { matmul } from '../../matmul.ts'
import type { Features } from './assembler.ts'
import { activationNumber } from './matmul-activation.ts'
import type { TileShape } from './matmul-block.ts'
import { depthBlockOf, rectangleRoom } from './matmul-rectangle.ts'
import { type ProductFunctions, productFunctions } from './product.ts'
import { type Launcher, type Place, type Task, task } from './task.ts'

/** The matrices of a batch in a buffer: strides in elements, 0 allowed. `across` are A's rows and B's columns. */
export interface Operand {
  readonly offset: number
  readonly batch: number
  readonly across: number
  readonly depth: number
}

export interface Product {
  readonly batch: number
  readonly m: number
  readonly n: number
  readonly k: number
  readonly a: Operand
  readonly b: Operand
  /** Where the sums go, [batch, m, n]. */
  readonly sums: Place
  /** Added to the sums: [batch, m, n], which may be `sums` itself, or a row of n for all. */
  readonly addend?: { readonly place: Place; readonly isRow: boolean }
  readonly activation?: Activation
  /** Where the activation's results go; it may be `sums`. */
  readonly out?: Place
}

const elementBytes = 4

/** So few rows are multiplied without copying B, if its elements lie well for that. */
const fewRows = 4
/** Columns that they are multiplied with at a time: by rows of B, or by its columns. */
const fewColumns = { byRows: 32, byColumns: 8 }
/**
 * Copying a block pays when each of its elements is used by more rows or columns of the other operand than this. The wider
 * tiles read A faster than they compute, so rows of it that are contiguous can stay where they are for longer.
 */
const packingPays = { a: 64, rowsOfA: 256, b: 32 }
/** To copy an element takes about as long as so many products. */
const packingCost = 5
/** Work is divided for as many threads as this; fewer have several parts. */
const manyThreads = 8

/** A batch that shares B is one matrix of more rows; a single column is a row of the transposed product. */
function simplified(product: Product): Product {
  const { batch, m, n, a, b, addend } = product
  if (batch > 1 && b.batch === 0 && a.batch === m * a.across) return simplified({ ...product, batch: 1, m: batch * m })
  if (n === 1 && m > 1 && !addend?.isRow) return { ...product, m: 1, n: m, a: b, b: a }
  return product
}

function fewStrips({ n, b }: Product) {
  const strip = b.across === 1 ? fewColumns.byRows : fewColumns.byColumns
  return { strips: Math.ceil(n / strip), strip, byColumns: 1 }
}

/** Strips of columns or of rows: what keeps many threads the least busy, with equal shares, and copying the least. */
function stripsOf(tile: TileShape, { batch, m, n }: Product, packsA: boolean, packsB: boolean) {
  if (batch >= 4 * manyThreads) return { strips: 1, strip: n, byColumns: 1 }
  const divided = (size: number, strip: number) => {
    const strips = Math.ceil(size / strip)
    const share = Math.ceil((batch * strips) / manyThreads)
    return { strips, strip, share, matrices: Math.ceil(share / strips) }
  }
  const columns = divided(n, 4 * tile.vectors)
  const rows = divided(m, tile.rows)
  const columnsTime = columns.share * columns.strip * m + (packsA ? packingCost * columns.matrices * m : 0)
  const rowsTime = rows.share * rows.strip * n + (packsB ? packingCost * rows.matrices * n : 0)
  return columnsTime <= rowsTime ? { ...columns, byColumns: 1 } : { ...rows, byColumns: 0 }
}

/** The product as a task. Its arguments are one literal, which is made quickly: small products are launched often. */
export function productTask(functions: ProductFunctions, given: Product): Task {
  const product = simplified(given)
  const { batch, m, n, k, a, b, sums, addend, activation = 'identity', out = sums } = product
  const { tile, multiply, multiplyFew } = functions
  const { relaxed } = functions.module.features
  const isFew = (m === 1 && b.across === 1) || (m <= fewRows && a.depth === 1 && b.depth === 1)
  const packsA = !isFew && n > (a.depth === 1 && relaxed ? packingPays.rowsOfA : packingPays.a)
  const packsB = !isFew && (b.across !== 1 || m > packingPays.b)
  const { strips, strip, byColumns } = isFew ? fewStrips(product) : stripsOf(tile, product, packsA, packsB)
  const { aRoom, bytes } = rectangleRoom(tile, m, n, k, packsA)
  const isRow = addend?.isRow === true
  const parameters = {
    m,
    n,
    k,
    a: a.offset,
    aRowStep: elementBytes * a.across,
    aDepthStep: elementBytes * a.depth,
    b: b.offset,
    bDepthStep: elementBytes * b.depth,
    bColumnStep: elementBytes * b.across,
    c: sums.offset,
    cRowStep: elementBytes * n,
    accumulate: addend ? 1 : 0,
    addend: addend ? addend.place.offset : 0,
    addendRowStep: isRow ? 0 : elementBytes * n,
    activation: activationNumber(activation),
    resultOffset: out.offset - sums.offset,
    aBatchStep: elementBytes * a.batch,
    bBatchStep: elementBytes * b.batch,
    cBatchStep: elementBytes * m * n,
    addendBatchStep: isRow ? 0 : elementBytes * m * n,
    strips,
    strip,
    byColumns,
    packsA: packsA ? 1 : 0,
    packsB: packsB ? 1 : 0,
    depthBlock: depthBlockOf(k),
    aRoom,
  }
  const options = { items: batch * strips, cost: 2 * batch * m * n * k, scratch: bytes }
  return isFew ? task(multiplyFew, parameters, options) : task(multiply, parameters, options)
}

export function matmulKernels(features: Features): [Kernel, Launcher][] {
  return [
    [
      matmul,
      ([sums], [n, m, batch], parameters) => {
        const [a, b] = parameters as Place[]
        const [k, az, ay, ak, bz, bk, bx] = parameters.slice(2) as number[]
        return [
          productTask(productFunctions(features), {
            ...{ batch, m, n, k, sums },
            a: { offset: a.offset, batch: az, across: ay, depth: ak },
            b: { offset: b.offset, batch: bz, across: bx, depth: bk },
          }),
        ]
      },
    ],
  ]
}
