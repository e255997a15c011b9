/**
 * Copies of strided views: out [Z, Y, X], whose cell (z, y, x) comes from the place of z plus y sy + x sx; z counts four axes
 * d0..d3 with strides of their own. An item is a tile of `tileY` rows of out by `tileX` columns.
 *
 * How a tile is copied depends on where its cells lie:
 *
 *  - `rows`: along x one after another, so rows are copied as runs;
 *  - `repeated`: along x always the same one, so rows are filled;
 *  - `transposed`: along y one after another, so blocks of 4 x 4 are read as columns and turned in registers;
 *  - `scattered`: anywhere, one after the other.
 */
import { type Features, type FunctionBuilder, integers, WasmModule } from './assembler.ts'
import { i32, i32x4, type Local, select, type Value, v128 } from './instructions.ts'
import { copyRun, fillRun } from './runs.ts'
import { withRange } from './task.ts'
import { vectorBytes } from './vectors.ts'

const parameters = {
  ...integers('x', 'out', 'n1', 'n2', 'n3', 's0', 's1', 's2', 's3', 'sy', 'sx'),
  ...integers('Y', 'X', 'tileY', 'tileX', 'outZ', 'outY'),
  ...withRange,
}

/** A tile where it lies: the byte offsets of its first cell, what separates its cells in bytes, and its extents. */
interface Tile {
  readonly from: Local<'i32'>
  readonly to: Local<'i32'>
  readonly rows: Local<'i32'>
  readonly columns: Local<'i32'>
  readonly sy: Value<'i32'>
  readonly sx: Value<'i32'>
  readonly outY: Value<'i32'>
}

const least = (a: Value<'i32'>, b: Value<'i32'>) => select(i32.lt_u(a, b), a, b)
const quotient = (a: Value<'i32'>, b: Value<'i32'>) => i32.div_u(i32.add(a, i32.sub(b, 1)), b)

/** Walks the tiles of a call. Divisions find the first one; from there on its numbers are counted up. */
function defineCopy(module: WasmModule, name: string, copyTile: (f: FunctionBuilder, tile: Tile) => void) {
  return module.function(name, parameters, (f, p) => {
    const item = f.local('i32', p.from)
    /** Takes the last of the numbers that `item` is made of. */
    const split = (count: Value<'i32'>) => {
      const number = f.local('i32', i32.rem_u(item, count))
      f.set(item, i32.div_u(item, count))
      return number
    }
    const x0 = split(quotient(p.X, p.tileX))
    f.set(x0, i32.mul(x0, p.tileX))
    const y0 = split(quotient(p.Y, p.tileY))
    f.set(y0, i32.mul(y0, p.tileY))
    const out = f.local('i32', i32.add(p.out, i32.mul(item, p.outZ)))
    const [d3, d2, d1] = [p.n3, p.n2, p.n1].map(split)
    const x = f.local('i32', i32.add(p.x, i32.mul(item, p.s0)))
    for (const [d, stride] of [
      [d1, p.s1],
      [d2, p.s2],
      [d3, p.s3],
    ] as const) {
      f.advance(x, i32.mul(d, stride))
    }
    // From the end of an axis back to its start and one on along the axis before it.
    const back = (stride: Value<'i32'>, n: Value<'i32'>, before: Value<'i32'>) =>
      f.local('i32', i32.sub(before, i32.mul(stride, n)))
    const back3 = back(p.s3, p.n3, p.s2)
    const back2 = back(p.s2, p.n2, p.s1)
    const back1 = back(p.s1, p.n1, p.s0)

    const [from, to, rows, columns] = [0, 1, 2, 3].map(() => f.local('i32'))
    f.times(i32.sub(p.to, p.from), () => {
      f.set(rows, least(i32.sub(p.Y, y0), p.tileY))
      f.set(columns, least(i32.sub(p.X, x0), p.tileX))
      f.set(from, i32.add(x, i32.add(i32.mul(y0, p.sy), i32.mul(x0, p.sx))))
      f.set(to, i32.add(out, i32.add(i32.mul(y0, p.outY), i32.shl(x0, 2))))
      copyTile(f, { from, to, rows, columns, sy: p.sy, sx: p.sx, outY: p.outY })

      const wrap = (at: Local<'i32'>, end: Value<'i32'>, then: () => void) =>
        f.if(i32.ge_u(at, end), () => {
          f.set(at, 0)
          then()
        })
      f.advance(x0, p.tileX)
      wrap(x0, p.X, () => {
        f.advance(y0, p.tileY)
        wrap(y0, p.Y, () => {
          f.advance(out, p.outZ)
          f.advance(x, p.s3)
          f.advance(d3, 1)
          wrap(d3, p.n3, () => {
            f.advance(x, back3)
            f.advance(d2, 1)
            wrap(d2, p.n2, () => {
              f.advance(x, back2)
              f.advance(d1, 1)
              wrap(d1, p.n1, () => f.advance(x, back1))
            })
          })
        })
      })
    })
  })
}

/** Runs `copyRow` for each row of the tile, with pointers of its own at the row's first cell and where it goes. */
function eachRow(
  f: FunctionBuilder,
  { from, to, rows, sy, outY }: Tile,
  copyRow: (from: Local<'i32'>, to: Local<'i32'>) => void,
): void {
  const [read, write] = [f.local('i32'), f.local('i32')]
  f.times(rows, () => {
    f.set(read, from)
    f.set(write, to)
    copyRow(read, write)
    f.advance(from, sy)
    f.advance(to, outY)
  })
}

function copyScattered(f: FunctionBuilder, tile: Tile): void {
  eachRow(f, tile, (read, write) => {
    f.times(tile.columns, () => {
      f.store(write, i32.load(read))
      f.advance(read, tile.sx)
      f.advance(write, 4)
    })
  })
}

/** Four columns read as vectors, and the four rows that they make. */
function transpose(f: FunctionBuilder, columns: readonly Value<'v128'>[]): Value<'v128'>[] {
  const [a, b, c, d] = columns.map((column) => f.local('v128', column))
  const [ab, cd] = [
    [a, b],
    [c, d],
  ].map(([one, other]) => ({
    low: f.local('v128', i32x4.shuffle(one, other, [0, 4, 1, 5])),
    high: f.local('v128', i32x4.shuffle(one, other, [2, 6, 3, 7])),
  }))
  return [
    i32x4.shuffle(ab.low, cd.low, [0, 1, 4, 5]),
    i32x4.shuffle(ab.low, cd.low, [2, 3, 6, 7]),
    i32x4.shuffle(ab.high, cd.high, [0, 1, 4, 5]),
    i32x4.shuffle(ab.high, cd.high, [2, 3, 6, 7]),
  ]
}

function copyTransposed(f: FunctionBuilder, tile: Tile): void {
  const { from, to, rows, columns, sx, outY } = tile
  const [read, left] = [f.local('i32'), f.local('i32')]
  f.while(i32.ge_u(rows, 4), () => {
    f.set(read, from)
    // Where each of the four rows goes.
    const writes = [0, 1, 2, 3].map((row) => f.local('i32', i32.add(to, i32.mul(outY, row))))
    f.set(left, columns)
    f.while(i32.ge_u(left, 4), () => {
      const block = [0, 1, 2, 3].map(() => {
        const column = f.local('v128', v128.load(read))
        f.advance(read, sx)
        return column
      })
      transpose(f, block).forEach((row, i) => {
        f.store(writes[i], row)
        f.advance(writes[i], vectorBytes)
      })
      f.advance(left, -4)
    })
    f.while(left, () => {
      writes.forEach((write, row) => {
        f.store(write, i32.load(read, 4 * row))
        f.advance(write, 4)
      })
      f.advance(read, sx)
      f.advance(left, -1)
    })
    f.advance(from, vectorBytes)
    f.advance(to, i32.shl(outY, 2))
    f.advance(rows, -4)
  })
  copyScattered(f, tile)
}

/** The four ways as functions of one module. */
export function defineStridedCopies(features: Features) {
  const module = new WasmModule(features)
  const scattered = defineCopy(module, 'copyScattered', copyScattered)
  const transposed = defineCopy(module, 'copyTransposed', copyTransposed)
  const rows = defineCopy(module, 'copyRows', (f, tile) => {
    eachRow(f, tile, (read, write) => copyRun(f, write, read, tile.columns))
  })
  const repeated = defineCopy(module, 'copyRepeated', (f, tile) => {
    const value = f.local('v128')
    eachRow(f, tile, (read, write) => {
      f.set(value, v128.load32_splat(read))
      fillRun(f, write, tile.columns, value, i32.load(read))
    })
  })
  return { scattered, transposed, rows, repeated }
}
