/**
 * The inner kernels of the matrix product: one tile of C kept in registers, and the sweep of tiles over a block of C.
 *
 *     C[r, c] (+)= sum over d < depth of A[r, d] B[d, c]
 *
 * A tile is `rows` rows by `vectors` vectors of four columns. Its sums, the vectors of B and the broadcast element of A
 * must fit the machine's vector registers: x64 leaves 15, and without a fused multiply-add each product needs one more, so
 * 5 x 2 (10 + 2 + 1 + 1) is the largest that does not spill; spilling halves the speed. Steps are strides in bytes.
 */
import { integers, type WasmModule } from './assembler.ts'
import { f32, f32x4, i32, v128 } from './instructions.ts'

export interface TileShape {
  readonly rows: number
  readonly vectors: number
}

/** How the rows of A lie: side by side in memory (a packed or a transposed A: one pointer serves all), or anywhere. */
type RowLayout = 'adjacent' | 'strided'

const elementBytes = 4
const vectorBytes = 16

const operands = ['depth', 'a', 'aRowStep', 'aDepthStep', 'b', 'bDepthStep', 'c', 'cRowStep', 'accumulate'] as const

const range = (length: number) => Array.from({ length }, (_, index) => index)

function defineTile(module: WasmModule, { rows, vectors }: TileShape, layout: RowLayout) {
  return module.function(`tile_${layout}_${rows}`, integers(...operands), (f, parameters) => {
    const { depth, a, aRowStep, aDepthStep, b, bDepthStep, c, cRowStep, accumulate } = parameters
    const sums = range(rows).map(() => range(vectors).map(() => f.local('v128')))
    const bVectors = range(vectors).map(() => f.local('v128'))
    const aElement = f.local('v128')
    const aRows = layout === 'adjacent' ? [a] : range(rows).map(() => f.local('i32', a))
    for (let row = 1; row < aRows.length; row++) f.set(aRows[row]!, i32.add(aRows[row - 1]!, aRowStep))
    const loadA = (row: number) =>
      layout === 'adjacent' ? v128.load32_splat(a, elementBytes * row) : v128.load32_splat(aRows[row]!)

    f.times(depth, () => {
      for (const [v, vector] of bVectors.entries()) f.set(vector, v128.load(b, vectorBytes * v))
      for (const [row, rowSums] of sums.entries()) {
        f.set(aElement, loadA(row))
        for (const [v, sum] of rowSums.entries()) f.set(sum, f.madd(aElement, bVectors[v]!, sum))
      }
      for (const pointer of aRows) f.advance(pointer, aDepthStep)
      f.advance(b, bDepthStep)
    })

    const write = (accumulating: boolean) => () => {
      for (const [row, rowSums] of sums.entries()) {
        if (row > 0) f.advance(c, cRowStep)
        for (const [v, sum] of rowSums.entries()) {
          const at = vectorBytes * v
          f.store(c, accumulating ? f32x4.add(v128.load(c, at), sum) : sum, at)
        }
      }
    }
    f.if(accumulate, write(true), write(false))
  })
}

/** Brings the part of a tile that lies inside C from the edge buffer, whose rows are whole, to C. */
function defineCopyEdge(module: WasmModule, { vectors }: TileShape) {
  const parameters = integers('rows', 'columns', 'edge', 'c', 'cRowStep', 'accumulate')
  return module.function('copyEdge', parameters, (f, { rows, columns, edge, c, cRowStep, accumulate }) => {
    f.times(rows, () => {
      const from = f.local('i32', edge)
      const to = f.local('i32', c)
      f.times(columns, () => {
        const overwrite = () => f.store(to, f32.load(from))
        f.if(accumulate, () => f.store(to, f32.add(f32.load(to), f32.load(from))), overwrite)
        f.advance(from, elementBytes)
        f.advance(to, elementBytes)
      })
      f.advance(edge, vectorBytes * vectors)
      f.advance(c, cRowStep)
    })
  })
}

type CopyEdge = ReturnType<typeof defineCopyEdge>

function defineBlock(module: WasmModule, shape: TileShape, layout: RowLayout, copyEdge: CopyEdge) {
  const tileColumns = 4 * shape.vectors
  const tileBytes = vectorBytes * shape.vectors
  /** The last rows of a block get a tile of their own height: tiles[height - 1]. */
  const tiles = range(shape.rows).map((row) => defineTile(module, { ...shape, rows: row + 1 }, layout))
  const parameters = integers('rows', 'columns', ...operands, 'aTileStep', 'bPanelStep', 'edge')

  return module.function(`block_${layout}`, parameters, (f, locals) => {
    const { rows, columns, aTileStep, bPanelStep, edge, ...tile } = locals
    const { a, b, c, cRowStep, accumulate } = tile
    const tileA = f.local('i32')
    const tileC = f.local('i32')
    const rowsLeft = f.local('i32')

    const wholeTile = (height: number) => f.call(tiles[height - 1]!, { ...tile, a: tileA, c: tileC })
    const edgeTile = (height: number) => {
      f.call(tiles[height - 1]!, { ...tile, a: tileA, c: edge, cRowStep: tileBytes, accumulate: 0 })
      f.call(copyEdge, { rows: height, columns, edge, c: tileC, cRowStep, accumulate })
    }
    /** The tallest tile that the remaining rows fill. */
    const tallest = (make: (height: number) => void, height: number): void => {
      const shorter = () => tallest(make, height - 1)
      if (height === 1) make(1)
      else f.if(i32.ge_u(rowsLeft, height), () => make(height), shorter)
    }
    const sweepRows = (make: (height: number) => void) => () => {
      f.set(tileA, a)
      f.set(tileC, c)
      f.set(rowsLeft, rows)
      f.while(i32.gt_s(rowsLeft, 0), () => {
        tallest(make, shape.rows)
        f.advance(tileA, aTileStep)
        f.advance(tileC, i32.mul(cRowStep, shape.rows))
        f.advance(rowsLeft, -shape.rows)
      })
    }

    f.while(i32.gt_s(columns, 0), () => {
      f.if(i32.ge_u(columns, tileColumns), sweepRows(wholeTile), sweepRows(edgeTile))
      f.advance(b, bPanelStep)
      f.advance(c, tileBytes)
      f.advance(columns, -tileColumns)
    })
  })
}

/**
 * A block of C, `rows` x `columns`, tile by tile: down the rows within a panel of B, which stays in the first-level cache,
 * then on to the next panel. B's last panel must be readable to its full width; `edge` is room for one tile, where the
 * tiles of that panel are made if the columns do not fill it.
 */
export function defineBlocks(module: WasmModule, shape: TileShape) {
  const copyEdge = defineCopyEdge(module, shape)
  return {
    adjacent: defineBlock(module, shape, 'adjacent', copyEdge),
    strided: defineBlock(module, shape, 'strided', copyEdge),
  }
}
