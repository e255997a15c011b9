/** Moving cells: kernels/movement.ts. Copies of strided views, of which padding and joining are made too, and triangles. */
import type { Grid, Kernel } from '../../kernel.ts'
import { concatPair, padAxis, stridedCopy, triangle } from '../../movement.ts'
import { type Callee, type Features, floats, integers, WasmModule } from './assembler.ts'
import { f32x4, i32, type Local, select } from './instructions.ts'
import { copyRun, fillRun } from './runs.ts'
import { defineStridedCopies } from './strided-copy.ts'
import { type Launcher, lazily, type Place, type Task, type TaskArgument, task, withRange } from './task.ts'

/** Operations that moving one cell counts as: it takes about as long as computing so many. */
const cellCost = 4
/** Cells of a tile that is copied row by row. */
const tileCells = 4096
/** Rows and columns of a tile that is transposed: its columns are lines of the cache, read once, that the first level holds. */
const transposedTile = { Y: 16, X: 128 }

/** A strided view, in elements, and where it is copied to; see strided-copy.ts. */
interface Copy {
  /** Byte offset. */
  readonly x: number
  /** Byte offset. */
  readonly out: number
  /** Extents of d0..d3, y and x. */
  readonly extents: readonly number[]
  readonly strides: readonly number[]
  /** Elements between one row of the output and the next; the row's own length unless given. */
  readonly outY?: number
}

function definePutters(features: Features) {
  const module = new WasmModule(features)
  return {
    float: module.function('putFloat', { ...floats('value'), ...integers('place') }, (f, { value, place }) =>
      f.store(place, value),
    ),
    integer: module.function('putInteger', integers('value', 'place'), (f, { value, place }) => f.store(place, value)),
  }
}

/** x [Z, rows, columns], an item a row of it. */
function defineTriangle(features: Features): Callee<typeof triangleParameters> {
  return new WasmModule(features).function('triangle', triangleParameters, (f, p) => {
    const row = f.local('i32', i32.rem_u(p.from, p.rows))
    const bytes = f.local('i32', i32.shl(p.columns, 2))
    const read = f.local('i32')
    const to = f.local('i32', i32.add(p.out, i32.mul(p.from, bytes)))
    const x = f.local('i32', i32.add(p.x, i32.mul(p.from, bytes)))
    const zeros = f.local('v128', f32x4.splat(0))
    const zero = i32.const(0)
    const [edge, first, end] = [0, 1, 2].map(() => f.local('i32'))
    const clamp = (at: Local<'i32'>) => {
      f.set(at, select(i32.lt_s(at, 0), zero, at))
      f.set(at, select(i32.gt_s(at, p.columns), p.columns, at))
    }
    f.times(i32.sub(p.to, p.from), () => {
      // Columns `first` to before `end` are kept.
      f.set(edge, i32.add(row, i32.add(p.k, p.lower)))
      clamp(edge)
      f.set(first, select(p.lower, zero, edge))
      f.set(end, select(p.lower, edge, p.columns))
      fillRun(f, to, first, zeros, zero)
      f.set(read, i32.add(x, i32.shl(first, 2)))
      copyRun(f, to, read, i32.sub(end, first))
      fillRun(f, to, i32.sub(p.columns, end), zeros, zero)
      f.advance(x, bytes)
      f.advance(row, 1)
      f.if(i32.ge_u(row, p.rows), () => f.set(row, 0))
    })
  })
}
const triangleParameters = { ...integers('x', 'out', 'rows', 'columns', 'k', 'lower'), ...withRange }

export function movementKernels(features: Features): [Kernel, Launcher][] {
  const copies = lazily(() => defineStridedCopies(features))
  const putters = lazily(() => definePutters(features))
  const triangles = lazily(() => defineTriangle(features))

  /** The task of a copy; none where nothing is copied. */
  const copy = ({ x, out, extents, strides, outY = extents[5] }: Copy): Task[] => {
    const [n0, n1, n2, n3, Y, X] = extents
    const [s0, s1, s2, s3, sy, sx] = strides.map((stride) => 4 * stride)
    const cells = n0 * n1 * n2 * n3 * Y * X
    if (cells === 0) return []
    const { rows, repeated, transposed, scattered } = copies()
    const isRow = sx === 4 || X === 1
    const callee = isRow ? rows : sx === 0 ? repeated : sy === 4 ? transposed : scattered
    const tileX = Math.min(X, callee === transposed ? transposedTile.X : tileCells)
    const tileY = Math.min(Y, callee === transposed ? transposedTile.Y : Math.max(1, Math.floor(tileCells / tileX)))
    const items = n0 * n1 * n2 * n3 * Math.ceil(Y / tileY) * Math.ceil(X / tileX)
    const sizes = { Y, X, tileY, tileX, outZ: 4 * outY * Y, outY: 4 * outY }
    const given = { x, out, n1, n2, n3, s0, s1, s2, s3, sy, sx, ...sizes }
    return [task<typeof callee.parameters>(callee, given, { items, cost: cellCost * cells })]
  }
  /** Copies [outer, width], contiguous, into columns of rows that are `total` long, from column `at` on. */
  const copyColumns = (x: number, out: number, outer: number, width: number, total: number, at: number) =>
    copy({ x, out: out + 4 * at, extents: [1, 1, 1, 1, outer, width], strides: [0, 0, 0, 0, width, 1], outY: total })

  const launchStridedCopy: Launcher = ([out], [X, Y, Z], parameters) => {
    const [x, offset, n1, n2, n3, ...strides] = parameters as [Place, ...number[]]
    const extents = [Z / (n1 * n2 * n3), n1, n2, n3, Y, X]
    return copy({ x: x.offset + 4 * offset, out: out.offset, extents, strides })
  }

  const launchConcatPair: Launcher = ([out], [, total, outer], parameters) => {
    const [a, b, na, nb, inner] = parameters as [Place, Place, number, number, number]
    const row = total * inner
    return [
      ...copyColumns(a.offset, out.offset, outer, na * inner, row, 0),
      ...copyColumns(b.offset, out.offset, outer, nb * inner, row, na * inner),
    ]
  }

  const launchPadAxis: Launcher = ([out], [, total, outer], parameters, workspace) => {
    const [x, n, before, inner, value] = parameters as [Place, number, number, number, TaskArgument]
    const row = total * inner
    const place = workspace.floats(1)
    const fill = (at: number, width: number) =>
      copy({
        x: place,
        out: out.offset + 4 * at,
        extents: [1, 1, 1, 1, outer, width],
        strides: [0, 0, 0, 0, 0, 0],
        outY: row,
      })
    return [
      out.dtype === 'int32'
        ? task(putters().integer, { value: Math.trunc(value as number), place }, { cost: 1 })
        : task(putters().float, { value, place }, { cost: 1 }),
      ...fill(0, before * inner),
      ...copyColumns(x.offset, out.offset, outer, n * inner, row, before * inner),
      ...fill((before + n) * inner, row - (before + n) * inner),
    ]
  }

  const launchTriangle: Launcher = ([out], [columns, rows, Z]: Grid, parameters) => {
    const [x, , , k, lower] = parameters as [Place, ...number[]]
    const given = { x: x.offset, out: out.offset, rows, columns, k, lower }
    return [task(triangles(), given, { items: Z * rows, cost: cellCost * Z * rows * columns })]
  }

  return [
    [stridedCopy, launchStridedCopy],
    [concatPair, launchConcatPair],
    [padAxis, launchPadAxis],
    [triangle, launchTriangle],
  ]
}
