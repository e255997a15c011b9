/** Running sums over one axis, kept in float64 and rounded once a cell: kernels/reduce.ts. */
import type { Kernel } from '../../kernel.ts'
import { cumsumAxis } from '../../reduce.ts'
import { type Features, integers, WasmModule } from './assembler.ts'
import { chunk, chunksOf, eachChunk, keepColumns, keptBytes } from './columns.ts'
import { f32x4, f64x2, i32, i32x4, type Operand, select } from './instructions.ts'
import { eachItem, Row, type RowVector, rowBytes } from './rows.ts'
import { type Launcher, lazily, type Place, task, withRange, withScratch } from './task.ts'

const firstHalf = (x: Operand<'v128'>) => i32x4.shuffle(x, x, [0, 1, 0, 1])
const lastHalf = (x: Operand<'v128'>) => i32x4.shuffle(x, x, [2, 3, 2, 3])
const rounded = (low: Operand<'v128'>, high: Operand<'v128'>) =>
  i32x4.shuffle(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), [0, 1, 4, 5])

/**
 * A vector of the row [a b c d] becomes [a, a + b, a + b + c, a + b + c + d], to which what came before is added; only that
 * addition waits for the vector before.
 */
function defineRows(module: WasmModule) {
  const parameters = { ...integers('x', 'out', 'n', 'reverse'), ...withRange }
  return module.function('cumsumRows', parameters, (f, { x, out, n, reverse, from, to }) => {
    const row = new Row(f)
    const [values, low, high, before] = [0, 1, 2, 3].map(() => f.local('v128'))
    const nothing = f.local('v128', f32x4.splat(0))
    const promote = (vector: RowVector) => {
      f.set(values, vector.own(vector.load(x)))
      f.set(low, f64x2.promote_low_f32x4(values))
      f.set(high, f64x2.promote_low_f32x4(lastHalf(values)))
    }
    const finish = (vector: RowVector) => {
      f.set(low, f64x2.add(low, before))
      f.set(high, f64x2.add(high, before))
      vector.store(out, rounded(low, high))
    }
    row.resize(n)
    const bytes = rowBytes(f, n)
    eachItem(
      f,
      from,
      to,
      [
        [x, bytes],
        [out, bytes],
      ],
      () => {
        f.set(before, nothing)
        f.if(
          reverse,
          () =>
            row.walkBack([x, out], (vector) => {
              promote(vector)
              // The upper one of each pair is added to the lower.
              f.set(low, f64x2.add(low, i32x4.shuffle(low, nothing, [2, 3, 4, 5])))
              f.set(high, f64x2.add(high, i32x4.shuffle(high, nothing, [2, 3, 4, 5])))
              f.set(low, f64x2.add(low, firstHalf(high)))
              finish(vector)
              f.set(before, firstHalf(low))
            }),
          () =>
            row.walk(1, [x, out], ([vector]) => {
              promote(vector)
              f.set(low, f64x2.add(low, i32x4.shuffle(nothing, low, [0, 1, 4, 5])))
              f.set(high, f64x2.add(high, i32x4.shuffle(nothing, high, [0, 1, 4, 5])))
              f.set(high, f64x2.add(high, lastHalf(low)))
              finish(vector)
              f.set(before, lastHalf(high))
            }),
        )
      },
    )
  })
}

/** An item is a chunk of columns: down them, or up. */
function defineColumns(module: WasmModule) {
  const parameters = { ...integers('x', 'out', 'n', 'inner', 'reverse'), ...withScratch }
  return module.function('cumsumColumns', parameters, (f, { x, out, n, inner, reverse, scratch, from, to }) => {
    const row = new Row(f)
    const [low, high, values] = [0, 1, 2].map(() => f.local('v128'))
    const [at, target, start] = [0, 1, 2].map(() => f.local('i32'))
    const stride = rowBytes(f, inner)
    f.set(start, select(reverse, i32.mul(i32.sub(n, 1), stride), i32.const(0)))
    f.if(reverse, () => f.set(stride, i32.sub(0, stride)))
    const keeping = { kept: [low, high], pointers: [at, target], scratch, step: 4 * chunk }
    eachChunk(f, { n, inner, from, to }, row, ({ cells, count }) => {
      f.set(at, i32.add(i32.add(x, cells), start))
      f.set(target, i32.add(i32.add(out, cells), start))
      f.set(low, f32x4.splat(0))
      f.set(high, f32x4.splat(0))
      keepColumns(f, row, keeping, { count, stride }, (vector, distances) => {
        for (const distance of distances) {
          f.set(values, vector.load(at, distance))
          f.set(low, f64x2.add(low, f64x2.promote_low_f32x4(values)))
          f.set(high, f64x2.add(high, f64x2.promote_low_f32x4(lastHalf(values))))
          vector.store(target, rounded(low, high), distance)
        }
      })
    })
  })
}

export function cumsumKernels(features: Features): [Kernel, Launcher][] {
  const kernels = lazily(() => {
    const module = new WasmModule(features)
    return { rows: defineRows(module), columns: defineColumns(module) }
  })
  const launcher: Launcher = ([out], [inner, , outer], parameters) => {
    const [x, n, , reverse] = parameters as [Place, number, number, number]
    const given = { x: x.offset, out: out.offset, n, reverse }
    const cost = 4 * outer * n * inner
    return inner === 1
      ? [task(kernels().rows, given, { items: outer, cost })]
      : [task(kernels().columns, { ...given, inner }, { items: outer * chunksOf(inner), cost, scratch: keptBytes })]
  }
  return [[cumsumAxis, launcher]]
}
