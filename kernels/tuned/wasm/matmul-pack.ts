/**
 * Packing: copies a block of an operand into panels, so that the tile kernel (matmul-block.ts) reads it front to back.
 *
 * The block has `lanes` lines (rows of A or columns of B) of `depth` elements. A panel takes `width` of the lines and
 * interleaves them: panel[d, l] = line l, element d, a plain [depth, width] array. Zeros fill up the last panel, lest stale
 * denormals slow the tiles down. Two steps, strides in bytes, say where the elements lie: one line after another, and one
 * element of a line after another.
 */
import { type FunctionBuilder, integers, type WasmModule } from './assembler.ts'
import { f32, i32, i32x4, select, type Value, v128 } from './instructions.ts'

type Vector = Value<'v128'>
type Vectors = readonly [Vector, Vector, Vector, Vector]

const elementBytes = 4

/** Four vectors a, b, c, d as the rows of a 4 x 4 matrix; its columns: a0 b0 c0 d0, then a1 b1 c1 d1, and so on. */
function transpose4(f: FunctionBuilder, [a, b, c, d]: Vectors): Vectors {
  const low = (x: Vector, y: Vector) => f.local('v128', i32x4.shuffle(x, y, [0, 4, 1, 5]))
  const high = (x: Vector, y: Vector) => f.local('v128', i32x4.shuffle(x, y, [2, 6, 3, 7]))
  const firstHalves = (x: Vector, y: Vector) => i32x4.shuffle(x, y, [0, 1, 4, 5])
  const secondHalves = (x: Vector, y: Vector) => i32x4.shuffle(x, y, [2, 3, 6, 7])
  const [ab01, cd01, ab23, cd23] = [low(a, b), low(c, d), high(a, b), high(c, d)]
  return [firstHalves(ab01, cd01), secondHalves(ab01, cd01), firstHalves(ab23, cd23), secondHalves(ab23, cd23)]
}

/** Packs lines into panels of `width`: the rows of the tile for A, its columns for B. */
export function definePack(module: WasmModule, name: string, width: number) {
  const parameters = integers('source', 'laneStep', 'depthStep', 'lanes', 'depth', 'target')
  const rowBytes = elementBytes * width
  const vectors = Math.floor(width / 4)
  const remainingLanes = Array.from({ length: width % 4 }, (_, i) => 4 * vectors + i)

  return module.function(name, parameters, (f, { source, laneStep, depthStep, lanes, depth, target }) => {
    const isRow = i32.eq(laneStep, elementBytes)
    const isLine = i32.eq(depthStep, elementBytes)
    /** The next line that is not packed, its number in the panel, and its column there. */
    const line = f.local('i32')
    const lane = f.local('i32')
    const column = f.local('i32')
    const from = f.local('i32')
    const to = f.local('i32')

    /** A row of the panel is contiguous in the source, and whole. */
    const copyRows = () => {
      f.set(from, source)
      f.set(to, target)
      f.times(depth, () => {
        for (let v = 0; v < vectors; v++) f.store(to, v128.load(from, 16 * v), 16 * v)
        for (const l of remainingLanes) f.store(to, f32.load(from, elementBytes * l), elementBytes * l)
        f.advance(from, depthStep)
        f.advance(to, rowBytes)
      })
    }

    /** Four lines, of which a row is contiguous in the source. */
    const copyFour = () => {
      f.set(from, line)
      f.set(to, column)
      f.times(depth, () => {
        f.store(to, v128.load(from))
        f.advance(from, depthStep)
        f.advance(to, rowBytes)
      })
    }

    /** Four lines that are each contiguous in the source: four elements of each at a time, transposed in registers. */
    const lines = [0, 1, 2, 3].map(() => f.local('i32'))
    const transposeFour = () => {
      f.set(lines[0], line)
      for (let l = 1; l < 4; l++) f.set(lines[l], i32.add(lines[l - 1], laneStep))
      f.set(to, column)
      const advance = (elements: number) => {
        for (const each of lines) f.advance(each, elementBytes * elements)
        f.advance(to, rowBytes * elements)
      }
      f.times(i32.shr_u(depth, 2), () => {
        const [a, b, c, d] = lines.map((each) => f.local('v128', v128.load(each)))
        for (const [i, row] of transpose4(f, [a, b, c, d]).entries()) f.store(to, row, rowBytes * i)
        advance(4)
      })
      f.times(i32.and(depth, 3), () => {
        for (const [l, each] of lines.entries()) f.store(to, f32.load(each), elementBytes * l)
        advance(1)
      })
    }

    const copyOne = () => {
      f.set(from, line)
      f.set(to, column)
      f.times(depth, () => {
        f.store(to, f32.load(from))
        f.advance(from, depthStep)
        f.advance(to, rowBytes)
      })
    }

    const clearOne = () => {
      f.set(to, column)
      f.times(depth, () => {
        f.store(to, f32.const(0))
        f.advance(to, rowBytes)
      })
    }

    const packed = (count: number) => {
      f.advance(line, i32.mul(laneStep, count))
      f.advance(lane, count)
      f.advance(column, elementBytes * count)
    }
    const packLines = () => {
      f.set(line, source)
      f.set(lane, 0)
      f.set(column, target)
      f.if(i32.or(isRow, isLine), () => {
        f.times(i32.shr_u(select(i32.lt_u(lanes, width), lanes, i32.const(width)), 2), () => {
          f.if(isRow, copyFour, transposeFour)
          packed(4)
        })
      })
      f.while(i32.lt_u(lane, width), () => {
        f.if(i32.lt_u(lane, lanes), copyOne, clearOne)
        packed(1)
      })
    }

    f.while(i32.gt_s(lanes, 0), () => {
      f.if(i32.and(isRow, i32.ge_u(lanes, width)), copyRows, packLines)
      f.advance(source, i32.mul(laneStep, width))
      f.advance(target, i32.mul(depth, rowBytes))
      f.advance(lanes, -width)
    })
  })
}
