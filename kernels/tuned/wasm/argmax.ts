/** Index of the largest over one axis: the first of ties, the first NaN if there is one (kernels/reduce.ts). */
import type { Kernel } from '../../kernel.ts'
import { argmaxAxis } from '../../reduce.ts'
import { type Features, integers, WasmModule } from './assembler.ts'
import { chunk, chunksOf, eachChunk, keepColumns, keptBytes } from './columns.ts'
import { extremumFold } from './folds.ts'
import { f32, f32x4, i32, i32x4, v128 } from './instructions.ts'
import { eachItem, Row, rowBytes } from './rows.ts'
import { type Launcher, lazily, type Place, task, withRange, withScratch } from './task.ts'

/** The largest of a row first, then where it is: the second walk ends there. */
function defineRows(module: WasmModule) {
  const parameters = { ...integers('x', 'out', 'n', 'toFloat'), ...withRange }
  return module.function('argmaxRows', parameters, (f, { x, out, n, toFloat, from, to }) => {
    const row = new Row(f)
    const largest = extremumFold(f, 'max')
    const found = f.local('v128')
    const lanes = f.local('i32')
    const cursor = f.local('i32')
    const index = f.local('i32')
    const vector = f.local('v128')
    row.resize(n)
    eachItem(
      f,
      from,
      to,
      [
        [x, rowBytes(f, n)],
        [out, 4],
      ],
      () => {
        largest.reset()
        row.walk(4, [x], (vectors) => largest.add(vectors.map((v) => v.own(v.load(x), largest.neutral))))
        f.set(found, f32x4.splat(largest.number()))
        f.set(cursor, x)
        f.loop(() => {
          f.set(vector, v128.load(cursor))
          // If a NaN is the largest, the first is sought; if none is, no NaN comes before the largest.
          f.set(lanes, i32x4.bitmask(v128.or(f32x4.eq(vector, found), f32x4.ne(vector, vector))))
          f.advance(cursor, 16)
        }, i32.eqz(lanes))
        f.set(index, i32.add(i32.sub(i32.shr_u(i32.sub(cursor, x), 2), 4), i32.ctz(lanes)))
        f.if(
          toFloat,
          () => f.store(out, f32.convert_i32_s(index)),
          () => f.store(out, index),
        )
      },
    )
  })
}

/** As the plain kernel goes, a lane a column: an item is a chunk of columns. */
function defineColumns(module: WasmModule) {
  const parameters = { ...integers('x', 'out', 'n', 'inner', 'toFloat'), ...withScratch }
  return module.function('argmaxColumns', parameters, (f, { x, out, n, inner, toFloat, scratch, from, to }) => {
    const row = new Row(f)
    const stride = rowBytes(f, inner)
    const [at, target] = [f.local('i32'), f.local('i32')]
    const [largest, index, value, isLarger] = [0, 1, 2, 3].map(() => f.local('v128'))
    const keeping = { kept: [largest, index], pointers: [at, target], scratch, step: 4 * chunk }
    eachChunk(f, { n, inner, from, to }, row, ({ cells, each, count }) => {
      f.set(at, i32.add(x, cells))
      f.set(target, i32.add(out, each))
      // Index 0 is right where nothing is larger: in a column of -Infinity alone.
      f.set(largest, f32x4.splat(-Infinity))
      f.set(index, i32x4.splat(0))
      keepColumns(
        f,
        row,
        keeping,
        { count, stride },
        (vector, distances, first) => {
          distances.forEach((distance, i) => {
            f.set(value, vector.load(at, distance))
            const isFirstNaN = v128.and(f32x4.ne(value, value), f32x4.eq(largest, largest))
            f.set(isLarger, v128.or(f32x4.gt(value, largest), isFirstNaN))
            f.set(largest, v128.bitselect(value, largest, isLarger))
            f.set(index, v128.bitselect(i32x4.splat(i32.add(first, i)), index, isLarger))
          })
        },
        (vector) => {
          f.if(toFloat, () => f.set(index, f32x4.convert_i32x4_s(index)))
          vector.store(target, index)
        },
      )
    })
  })
}

export function argmaxKernels(features: Features): [Kernel, Launcher][] {
  const kernels = lazily(() => {
    const module = new WasmModule(features)
    return { rows: defineRows(module), columns: defineColumns(module) }
  })
  const launcher: Launcher = ([out], [inner, , outer], parameters) => {
    const [x, n] = parameters as [Place, number]
    const given = { x: x.offset, out: out.offset, n, toFloat: out.dtype === 'float32' ? 1 : 0 }
    const cost = 4 * outer * n * inner
    return inner === 1
      ? [task(kernels().rows, given, { items: outer, cost })]
      : [task(kernels().columns, { ...given, inner }, { items: outer * chunksOf(inner), cost, scratch: keptBytes })]
  }
  return [[argmaxAxis, launcher]]
}
