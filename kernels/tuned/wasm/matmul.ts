/**
 * The tuned float32 matrix product of the cpu device, SIMD WebAssembly on one thread:
 *
 *     C[i, j] = sum over d < k of A[i, d] B[d, j], or C[i, j] += that      A [m, k], B [k, n], C [m, n]
 *
 * C is made in blocks whose operands stay in cache, and each block in register tiles. A block of B, and one of A, is first
 * copied into panels in the order in which the tiles read it, if it will be read often enough to pay; packing is also what
 * lets operands have any strides. Within a depth block the sum runs in order of d; the blocks' sums are then added in order.
 *
 * Source of the blocking: K. Goto, R. van de Geijn, "Anatomy of high-performance matrix multiplication" (2008).
 */
import { WasmModule } from './assembler.ts'
import { defineBlocks, type TileShape } from './matmul-block.ts'
import { definePack } from './matmul-pack.ts'

/** A matrix in the memory. `offset` in bytes, a multiple of 4; strides in elements, 0 allowed, so transposes are views. */
export interface MatrixView {
  readonly offset: number
  readonly rowStride: number
  readonly columnStride: number
}

/**
 * C = A B, or C += A B with `accumulate`; the sizes are integers of 0 or more, and C's columns are contiguous. C must not
 * overlap A or B. A NaN or an infinity reaches those cells of C whose sums contain it, and no others. A view that leaves
 * the memory raises `WebAssembly.RuntimeError`; C is then partly written.
 */
export type Matmul = (
  m: number,
  n: number,
  k: number,
  a: MatrixView,
  b: MatrixView,
  c: { readonly offset: number; readonly rowStride: number },
  accumulate: boolean,
) => void

const elementBytes = 4

/** Depth of a block: a panel of B, 256 x 8 floats, takes 8 KB of the first-level cache. */
const depthBlock = 256
/** Tiles down a block of A: 256 x 160 floats, 160 KB of the second-level cache. */
const tilesPerBlock = 32
/** Panels across a block of B: 256 x 1024 floats, 1 MB. */
const panelsPerBlock = 128
/** Copying a block pays when each of its elements is used by more rows or columns of the other operand than this. */
const packingPays = 64

const mulAddTile: TileShape = { rows: 5, vectors: 2 }

const roundUp = (size: number, multiple: number) => Math.ceil(size / multiple) * multiple

/**
 * Compiles the product over `memory`. `scratch(bytes)` gives the byte offset, a multiple of 16, of room that is free until
 * it is asked again; the memory may grow in it. It is asked once a product, for at most 1.2 MB.
 *
 * @example
 * const memory = new WebAssembly.Memory({ initial: 32 })
 * const matmul = createMatmul(memory, () => 65536)
 * new Float32Array(memory.buffer).set([1, 2, 3, 4, 5, 6]) // A = [[1, 2], [3, 4]], x = [5, 6]
 * const a = { offset: 0, rowStride: 2, columnStride: 1 }
 * matmul(2, 1, 2, a, { offset: 16, rowStride: 1, columnStride: 1 }, { offset: 24, rowStride: 1 }, false) // A x = [17, 39]
 */
export function createMatmul(
  memory: WebAssembly.Memory,
  scratch: (bytes: number) => number,
  tile: TileShape = mulAddTile,
): Matmul {
  const module = new WasmModule()
  const tileColumns = 4 * tile.vectors
  const packs = [definePack(module, 'packRows', tile.rows), definePack(module, 'packColumns', tileColumns)] as const
  const blocks = defineBlocks(module, tile)
  const compiled = module.instantiate(memory)
  const packRows = compiled(packs[0])
  const packColumns = compiled(packs[1])
  const adjacentBlock = compiled(blocks.adjacent)
  const stridedBlock = compiled(blocks.strided)

  const rowBlock = tilesPerBlock * tile.rows
  const columnBlock = panelsPerBlock * tileColumns
  const packedARow = elementBytes * tile.rows
  const panelRow = elementBytes * tileColumns
  const edgeBytes = tile.rows * panelRow
  return (m, n, k, a, b, c, accumulate) => {
    if (m === 0 || n === 0 || (k === 0 && accumulate)) return
    const aRowStep = elementBytes * a.rowStride
    const aDepthStep = elementBytes * a.columnStride
    const bDepthStep = elementBytes * b.rowStride
    const bColumnStep = elementBytes * b.columnStride
    const cRowStep = elementBytes * c.rowStride

    const packsA = n > packingPays
    const packsB = m > packingPays || b.columnStride !== 1
    const block = packsA || a.rowStride === 1 ? adjacentBlock : stridedBlock
    const deepest = elementBytes * Math.min(k, depthBlock)
    const packedBBytes = deepest * roundUp(Math.min(n, columnBlock), tileColumns)
    const packedABytes = packsA ? deepest * roundUp(Math.min(m, rowBlock), tile.rows) : 0
    const edge = scratch(edgeBytes + packedBBytes + packedABytes)
    const packedB = edge + edgeBytes
    const packedA = packedB + packedBBytes
    const aRow = packsA ? elementBytes : aRowStep
    const aDepth = packsA ? packedARow : aDepthStep

    for (let column = 0, columns = 0; column < n; column += columns) {
      columns = Math.min(columnBlock, n - column)
      // Only whole panels can be read where they lie; the columns that do not fill one are another turn, and packed.
      const inPlace = !packsB && columns >= tileColumns
      if (inPlace) columns -= columns % tileColumns
      // One turn even for k = 0: it writes the zeros.
      for (let from = 0; from === 0 || from < k; from += depthBlock) {
        const depth = Math.min(depthBlock, k - from)
        const adds = accumulate || from > 0 ? 1 : 0
        const bBlock = b.offset + from * bDepthStep + column * bColumnStep
        if (!inPlace) packColumns(bBlock, bColumnStep, bDepthStep, columns, depth, packedB)
        const bStart = inPlace ? bBlock : packedB
        const bDepth = inPlace ? bDepthStep : panelRow
        const bPanel = inPlace ? panelRow : depth * panelRow
        const aTile = packsA ? depth * packedARow : tile.rows * aRowStep
        for (let row = 0; row < m; row += rowBlock) {
          const rows = Math.min(rowBlock, m - row)
          const cBlock = c.offset + row * cRowStep + column * elementBytes
          const aBlock = a.offset + row * aRowStep + from * aDepthStep
          if (packsA) packRows(aBlock, aRowStep, aDepthStep, rows, depth, packedA)
          const aStart = packsA ? packedA : aBlock
          block(rows, columns, depth, aStart, aRow, aDepth, bStart, bDepth, cBlock, cRowStep, adds, aTile, bPanel, edge)
        }
      }
    }
  }
}
