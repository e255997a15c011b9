/**
 * Packing: copies a block of an operand into panels, so that the tile kernel (matmul-block.ts) reads it front to back.
 *
 * The block has `lanes` lines (rows of A or columns of B) of `depth` elements. A panel takes `width` of the lines and
 * interleaves them: panel[d, l] = line l, element d, a plain [depth, width] array. Zeros fill up the last panel, lest stale
 * denormals slow the tiles down. Two steps, strides in bytes, say where the elements lie: one line after another, and one
 * element of a line after another.
 */
import { type FunctionBuilder, integers, type WasmModule } from './assembler.ts'
import { f32, i32, i32x4, type Value, v128 } from './instructions.ts'

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
    /** A row of the panel is contiguous in the source. */
    const copyRows = () => {
      const from = f.local('i32', source)
      const to = f.local('i32', target)
      f.times(depth, () => {
        for (let v = 0; v < vectors; v++) f.store(to, v128.load(from, 16 * v), 16 * v)
        for (const l of remainingLanes) f.store(to, f32.load(from, elementBytes * l), elementBytes * l)
        f.advance(from, depthStep)
        f.advance(to, rowBytes)
      })
    }

    /** A line is contiguous in the source: four elements of four lines at a time, transposed in registers. */
    const transposeLines = () => {
      const line = f.local('i32', source)
      const takeLine = () => {
        const from = f.local('i32', line)
        f.advance(line, laneStep)
        return from
      }
      for (let v = 0; v < vectors; v++) {
        const lines = [takeLine(), takeLine(), takeLine(), takeLine()] as const
        const to = f.local('i32', i32.add(target, 16 * v))
        const advance = (elements: number) => {
          for (const from of lines) f.advance(from, elementBytes * elements)
          f.advance(to, rowBytes * elements)
        }
        f.times(i32.shr_u(depth, 2), () => {
          const [a, b, c, d] = lines
          const load = (from: Value<'i32'>) => f.local('v128', v128.load(from))
          const rows = transpose4(f, [load(a), load(b), load(c), load(d)])
          for (const [i, row] of rows.entries()) f.store(to, row, rowBytes * i)
          advance(4)
        })
        f.times(i32.and(depth, 3), () => {
          for (const [l, from] of lines.entries()) f.store(to, f32.load(from), elementBytes * l)
          advance(1)
        })
      }
      for (const l of remainingLanes) copyLine(takeLine(), i32.add(target, elementBytes * l))
    }

    /** One line, or zeros, to one column of the panel. */
    const copyLine = (line: Value<'i32'> | undefined, panelColumn: Value<'i32'>) => {
      const from = f.local('i32', line ?? 0)
      const to = f.local('i32', panelColumn)
      f.times(depth, () => {
        f.store(to, line ? f32.load(from) : f32.const(0))
        f.advance(from, depthStep)
        f.advance(to, rowBytes)
      })
    }

    /** Any steps, and any number of lines: what is missing of `width` is zero. */
    const copyLines = () => {
      const line = f.local('i32', source)
      const lane = f.local('i32', 0)
      f.times(width, () => {
        const panelColumn = i32.add(target, i32.mul(lane, elementBytes))
        f.if(
          i32.lt_u(lane, lanes),
          () => copyLine(line, panelColumn),
          () => copyLine(undefined, panelColumn),
        )
        f.advance(line, laneStep)
        f.advance(lane, 1)
      })
    }

    f.while(i32.gt_s(lanes, 0), () => {
      const whole = i32.ge_u(lanes, width)
      f.if(i32.and(whole, i32.eq(laneStep, elementBytes)), copyRows, () =>
        f.if(i32.and(whole, i32.eq(depthStep, elementBytes)), transposeLines, copyLines),
      )
      f.advance(source, i32.mul(laneStep, width))
      f.advance(target, i32.mul(depth, rowBytes))
      f.advance(lanes, -width)
    })
  })
}
