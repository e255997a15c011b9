/**
 * The inner kernels of the matrix product: one tile of C kept in registers, and the sweep of tiles over a block of C.
 *
 *     C[r, c] = sum over d < depth of A[r, d] B[d, c], + R[r, c] where there is an addend R, which may be C itself
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

const operands = ['depth', 'a', 'aRowStep', 'aDepthStep', 'b', 'bDepthStep', 'c', 'cRowStep'] as const
const addends = ['accumulate', 'addend', 'addendRowStep'] as const
const sweep = ['aTileStep', 'bPanelStep', 'edge'] as const

/** Parameters of a block whose addend is C itself. */
export const blockParameters = ['rows', 'columns', ...operands, 'accumulate', ...sweep] as const

const range = (length: number) => Array.from({ length }, (_, index) => index)

function defineTile(module: WasmModule, { rows, vectors }: TileShape, layout: RowLayout) {
  return module.function(`tile_${layout}_${rows}`, integers(...operands, ...addends), (f, parameters) => {
    const { depth, a, aRowStep, aDepthStep, b, bDepthStep, c, cRowStep, accumulate, addend, addendRowStep } = parameters
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

    const write = (adds: boolean) => () => {
      for (const [row, rowSums] of sums.entries()) {
        if (row > 0) {
          f.advance(c, cRowStep)
          if (adds) f.advance(addend, addendRowStep)
        }
        for (const [v, sum] of rowSums.entries()) {
          const at = vectorBytes * v
          f.store(c, adds ? f32x4.add(v128.load(addend, at), sum) : sum, at)
        }
      }
    }
    f.if(accumulate, write(true), write(false))
  })
}

/** Brings the part of a tile that lies inside C from the edge buffer, whose rows are whole, to C. */
function defineCopyEdge(module: WasmModule, { vectors }: TileShape) {
  const parameters = integers('rows', 'columns', 'edge', 'c', 'cRowStep', ...addends)
  return module.function('copyEdge', parameters, (f, given) => {
    const { rows, columns, edge, c, cRowStep, accumulate, addend, addendRowStep } = given
    const from = f.local('i32')
    const to = f.local('i32')
    const plus = f.local('i32')
    const advance = (bytes: number) => {
      for (const pointer of [from, to, plus]) f.advance(pointer, bytes)
    }
    f.times(rows, () => {
      f.set(from, edge)
      f.set(to, c)
      f.set(plus, addend)
      f.times(i32.shr_u(columns, 2), () => {
        const overwrite = () => f.store(to, v128.load(from))
        f.if(accumulate, () => f.store(to, f32x4.add(v128.load(plus), v128.load(from))), overwrite)
        advance(vectorBytes)
      })
      f.times(i32.and(columns, 3), () => {
        const overwrite = () => f.store(to, f32.load(from))
        f.if(accumulate, () => f.store(to, f32.add(f32.load(plus), f32.load(from))), overwrite)
        advance(elementBytes)
      })
      f.advance(edge, vectorBytes * vectors)
      f.advance(c, cRowStep)
      f.advance(addend, addendRowStep)
    })
  })
}

type CopyEdge = ReturnType<typeof defineCopyEdge>

function defineBlock(module: WasmModule, shape: TileShape, layout: RowLayout, copyEdge: CopyEdge) {
  const tileColumns = 4 * shape.vectors
  const tileBytes = vectorBytes * shape.vectors
  /** The last rows of a block get a tile of their own height: tiles[height - 1]. */
  const tiles = range(shape.rows).map((row) => defineTile(module, { ...shape, rows: row + 1 }, layout))
  const parameters = integers('rows', 'columns', ...operands, ...addends, ...sweep)

  return module.function(`block_${layout}`, parameters, (f, locals) => {
    const { rows, columns, aTileStep, bPanelStep, edge, ...tile } = locals
    const { a, b, c, cRowStep, accumulate, addend, addendRowStep } = tile
    const tileA = f.local('i32')
    const tileC = f.local('i32')
    const tileAddend = f.local('i32')
    const rowsLeft = f.local('i32')

    const wholeTile = (height: number) =>
      f.call(tiles[height - 1]!, { ...tile, a: tileA, c: tileC, addend: tileAddend })
    const edgeTile = (height: number) => {
      f.call(tiles[height - 1]!, { ...tile, a: tileA, c: edge, cRowStep: tileBytes, accumulate: 0 })
      const adds = { accumulate, addend: tileAddend, addendRowStep }
      f.call(copyEdge, { rows: height, columns, edge, c: tileC, cRowStep, ...adds })
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
      f.set(tileAddend, addend)
      f.set(rowsLeft, rows)
      f.while(i32.gt_s(rowsLeft, 0), () => {
        tallest(make, shape.rows)
        f.advance(tileA, aTileStep)
        f.advance(tileC, i32.mul(cRowStep, shape.rows))
        f.advance(tileAddend, i32.mul(addendRowStep, shape.rows))
        f.advance(rowsLeft, -shape.rows)
      })
    }

    f.while(i32.gt_s(columns, 0), () => {
      f.if(i32.ge_u(columns, tileColumns), sweepRows(wholeTile), sweepRows(edgeTile))
      f.advance(b, bPanelStep)
      f.advance(c, tileBytes)
      f.advance(addend, tileBytes)
      f.advance(columns, -tileColumns)
    })
  })
}

/**
 * A block of C, `rows` x `columns`, tile by tile: down the rows within a panel of B, which stays in the first-level cache,
 * then on to the next panel. B's last panel must be readable to its full width; `edge` is room for one tile, where the
 * tiles of that panel are made if the columns do not fill it. The addend is read only with `accumulate`.
 */
export function defineBlocks(module: WasmModule, shape: TileShape) {
  const copyEdge = defineCopyEdge(module, shape)
  return {
    adjacent: defineBlock(module, shape, 'adjacent', copyEdge),
    strided: defineBlock(module, shape, 'strided', copyEdge),
  }
}
