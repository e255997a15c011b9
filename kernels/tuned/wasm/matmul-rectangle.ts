/**
 * A rectangle of C of any size, cut into blocks whose operands stay in cache (matmul-block.ts).
 *
 * B is copied into panels first if it is read often enough to pay; A is read where it lies, unless its strides would have
 * every element in a cache line of its own. Within a depth block the sum runs in order of d; the blocks' sums are then
 * added in order. So a cell of C does not depend on the rectangle that it is in.
 *
 * Source of the blocking: K. Goto, R. van de Geijn, "Anatomy of high-performance matrix multiplication" (2008).
 */
import { integers, type WasmModule } from './assembler.ts'
import { i32, type Local, type Operand, select, type Value } from './instructions.ts'
import type { defineActivate } from './matmul-activation.ts'
import type { defineAddRectangle } from './matmul-add.ts'
import type { defineBlocks, TileShape } from './matmul-block.ts'
import type { definePack } from './matmul-pack.ts'

const elementBytes = 4

/** Depth of a block at most: a panel of B stays in the first-level cache, 256 x 8 floats 8 KB, 256 x 16 floats 16 KB. */
const deepestBlock = 256
/** Rows of a block of A: 256 x 160 floats, 160 KB of the second-level cache. */
const rowsPerBlock = 160
/** Columns of a block of B: 256 x 512 floats, 512 KB. */
const columnsPerBlock = 512

const roundUp = (size: number, multiple: number) => Math.ceil(size / multiple) * multiple

/** Depth blocks of one size, lest a small one be left over. At least 1. */
export const depthBlockOf = (k: number): number => Math.ceil(k / Math.max(1, Math.ceil(k / deepestBlock))) || 1

/** Room that the tiles at the edge of C need. */
export const edgeBytes = ({ rows, vectors }: TileShape): number => roundUp(16 * rows * vectors, 64)

/** Rows of a block, in whole tiles. */
const rowBlockOf = ({ rows }: TileShape): number => rowsPerBlock - (rowsPerBlock % rows)

/** How many bytes of scratch memory a rectangle needs, and where in it the packed A begins. */
export function rectangleRoom(tile: TileShape, m: number, n: number, k: number, packsA: boolean) {
  const depthBytes = elementBytes * depthBlockOf(k)
  const aRoom = edgeBytes(tile) + depthBytes * roundUp(Math.min(n, columnsPerBlock), 4 * tile.vectors)
  const aBytes = packsA ? depthBytes * roundUp(Math.min(m, rowBlockOf(tile)), tile.rows) : 0
  return { aRoom, bytes: aRoom + aBytes }
}

/** Sizes, operands and steps in bytes; the addend is read with `accumulate` and may be C, or a row with a step of 0. */
export const matrixParameters = integers(
  ...(['m', 'n', 'k', 'a', 'aRowStep', 'aDepthStep', 'b', 'bDepthStep', 'bColumnStep'] as const),
  ...(['c', 'cRowStep', 'accumulate', 'addend', 'addendRowStep'] as const),
)

/** The activation is applied to a block whose sums are complete, in cache; its results lie `resultOffset` bytes after C. */
export const finishParameters = integers('activation', 'resultOffset')

export const blockingParameters = integers('packsA', 'packsB', 'depthBlock', 'aRoom')

interface Parts {
  readonly tile: TileShape
  readonly packRows: ReturnType<typeof definePack>
  readonly packColumns: ReturnType<typeof definePack>
  readonly blocks: ReturnType<typeof defineBlocks>
  readonly activate: ReturnType<typeof defineActivate>
  readonly addRectangle: ReturnType<typeof defineAddRectangle>
}

export function defineRectangle(module: WasmModule, parts: Parts) {
  const { tile, packRows, packColumns, blocks, activate, addRectangle } = parts
  const tileColumns = 4 * tile.vectors
  const panelRow = elementBytes * tileColumns
  const packedARow = elementBytes * tile.rows
  const rowBlock = rowBlockOf(tile)
  const parameters = { ...matrixParameters, ...finishParameters, ...blockingParameters, scratch: 'i32' } as const

  return module.function('rectangle', parameters, (f, given) => {
    const { m, n, k, a, aRowStep, aDepthStep, b, bDepthStep, bColumnStep, c, cRowStep, addend, addendRowStep } = given
    const { accumulate, activation, resultOffset, packsA, packsB, depthBlock, aRoom, scratch } = given
    const names = ['columns', 'depth', 'depthLeft', 'rows', 'rowsLeft', 'aBlock', 'bBlock', 'aRows', 'cRows'] as const
    const local = Object.fromEntries(names.map((name) => [name, f.local('i32')])) as Record<
      (typeof names)[number],
      Local<'i32'>
    >
    const { columns, depth, depthLeft, rows, rowsLeft, aBlock, bBlock, aRows, cRows } = local
    const [adds, plus, plusRowStep, plusRows] = [0, 0, 0, 0].map(() => f.local('i32'))
    const isInPlace = f.local('i32')
    const addsLater = f.local('i32', i32.and(i32.and(accumulate, i32.lt_u(depthBlock, k)), i32.ne(addend, c)))
    const addendRows = f.local('i32')
    const packedB = f.local('i32', i32.add(scratch, edgeBytes(tile)))
    const packedA = f.local('i32', i32.add(scratch, aRoom))
    const least = (x: Value<'i32'>, limit: Operand<'i32'>) =>
      select(i32.lt_u(x, limit), x, typeof limit === 'number' ? i32.const(limit) : limit)

    const bStart = f.local('i32')
    const bDepth = f.local('i32')
    const bPanelStep = f.local('i32')
    const placeB = () => {
      f.if(
        isInPlace,
        () => {
          f.set(bStart, bBlock)
          f.set(bDepth, bDepthStep)
          f.set(bPanelStep, panelRow)
        },
        () => {
          const lines = { source: bBlock, laneStep: bColumnStep, depthStep: bDepthStep, lanes: columns }
          f.call(packColumns, { ...lines, depth, target: packedB })
          f.set(bStart, packedB)
          f.set(bDepth, panelRow)
          f.set(bPanelStep, i32.mul(depth, panelRow))
        },
      )
    }

    const block = () => {
      const shared = {
        ...{ rows, columns, depth, b: bStart, bDepthStep: bDepth, bPanelStep, c: cRows, cRowStep, edge: scratch },
        ...{ accumulate: adds, addend: plusRows, addendRowStep: plusRowStep },
      }
      const inPlace = { ...shared, a: aRows, aRowStep, aDepthStep, aTileStep: i32.mul(aRowStep, tile.rows) }
      f.if(
        packsA,
        () => {
          const lines = { source: aRows, laneStep: aRowStep, depthStep: aDepthStep, lanes: rows }
          f.call(packRows, { ...lines, depth, target: packedA })
          const packed = { a: packedA, aRowStep: elementBytes, aDepthStep: packedARow }
          f.call(blocks.adjacent, { ...shared, ...packed, aTileStep: i32.mul(depth, packedARow) })
        },
        () =>
          f.if(
            i32.eq(aRowStep, elementBytes),
            () => f.call(blocks.adjacent, inPlace),
            () => f.call(blocks.strided, inPlace),
          ),
      )
    }

    const sweepRows = () => {
      f.set(aRows, aBlock)
      f.set(cRows, c)
      f.set(plusRows, plus)
      f.set(addendRows, addend)
      f.set(rowsLeft, m)
      f.while(rowsLeft, () => {
        f.set(rows, least(rowsLeft, rowBlock))
        block()
        f.if(i32.and(addsLater, i32.eq(depth, depthLeft)), () => {
          f.call(addRectangle, { rows, columns, c: cRows, cRowStep, addend: addendRows, addendRowStep })
        })
        f.if(i32.and(i32.ne(activation, 0), i32.eq(depth, depthLeft)), () => {
          f.call(activate, {
            ...{ activation, source: cRows, target: i32.add(cRows, resultOffset), rows, columns, rowStep: cRowStep },
            room: scratch,
          })
        })
        f.advance(aRows, i32.mul(rows, aRowStep))
        f.advance(cRows, i32.mul(rows, cRowStep))
        f.advance(plusRows, i32.mul(rows, plusRowStep))
        f.advance(addendRows, i32.mul(rows, addendRowStep))
        f.set(rowsLeft, i32.sub(rowsLeft, rows))
      })
    }

    f.while(n, () => {
      f.set(columns, least(n, columnsPerBlock))
      // Only whole panels can be read where they lie; the columns that do not fill one are another turn, and packed.
      f.set(isInPlace, i32.and(i32.eqz(packsB), i32.ge_u(columns, tileColumns)))
      f.if(isInPlace, () => f.set(columns, i32.sub(columns, i32.rem_u(columns, tileColumns))))
      f.set(adds, i32.and(accumulate, i32.eqz(addsLater)))
      f.set(plus, addend)
      f.set(plusRowStep, addendRowStep)
      f.set(aBlock, a)
      f.set(bBlock, b)
      f.set(depthLeft, k)
      // One turn even for k = 0: it writes the zeros.
      f.loop(() => {
        f.set(depth, least(depthLeft, depthBlock))
        placeB()
        sweepRows()
        f.set(adds, 1)
        f.set(plus, c)
        f.set(plusRowStep, cRowStep)
        f.advance(aBlock, i32.mul(depth, aDepthStep))
        f.advance(bBlock, i32.mul(depth, bDepthStep))
        f.set(depthLeft, i32.sub(depthLeft, depth))
      }, depthLeft)
      f.advance(b, i32.mul(columns, bColumnStep))
      f.advance(c, i32.mul(columns, elementBytes))
      f.advance(addend, i32.mul(columns, elementBytes))
      f.set(n, i32.sub(n, columns))
    })
  })
}
