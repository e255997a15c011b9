/**
 * Triangular systems by substitution: kernels/fused-solve.ts. (I + strictTril(A)) X = B, or its transpose.
 *
 * x[row] = b[row] - sum_j a[row, j] x[j] over the rows that were found before: rows above, in order; for the transpose the rows
 * below, from the last one up. Columns are independent: an item is up to sixteen columns of one system, four vectors of
 * sums that take a row of X each time an element of A is read. The computed X solves a system whose A is off by at most
 * rows u |A| (Higham 2002, theorem 8.5), u = 2^-24.
 */
import { solveUnitLowerAll } from '../../fused-solve.ts'
import type { FusedKernel } from '../../kernel.ts'
import { type Features, type FunctionBuilder, integers, WasmModule } from './assembler.ts'
import { f32, f32x4, i32, type Local, type Operand, select, type Value, v128 } from './instructions.ts'
import { type Launcher, lazily, type Place, task, withRange } from './task.ts'
import { vectorBytes } from './vectors.ts'

/** Columns of an item: as many sums as hide the time that one addition to them takes. */
const COLUMNS = 16

interface System {
  readonly a: Value<'i32'>
  /** First of the columns that are solved. */
  readonly b: Value<'i32'>
  readonly x: Value<'i32'>
  readonly rows: Value<'i32'>
  readonly rowBytes: Value<'i32'>
  readonly transpose: Value<'i32'>
}

/** How a row's columns are kept while they are computed: in vectors, or one alone. */
interface Columns<T extends 'v128' | 'f32'> {
  readonly type: T
  readonly offsets: readonly number[]
  load(pointer: Operand<'i32'>, offset: number): Value<T>
  loadFactor(pointer: Operand<'i32'>): Value<T>
  /** sum - factor x. */
  subtract(f: FunctionBuilder, sum: Local<T>, factor: Local<T>, x: Value<T>): Value<T>
}

const vectors = (count: number): Columns<'v128'> => ({
  type: 'v128',
  offsets: Array.from({ length: count }, (_, i) => i * vectorBytes),
  load: v128.load,
  loadFactor: (pointer) => f32x4.neg(v128.load32_splat(pointer)),
  subtract: (f, sum, factor, x) => f.madd(factor, x, sum),
})

const single: Columns<'f32'> = {
  type: 'f32',
  offsets: [0],
  load: f32.load,
  loadFactor: (pointer) => f32.neg(f32.load(pointer)),
  subtract: (_f, sum, factor, x) => f32.add(sum, f32.mul(factor, x)),
}

function solveColumns<T extends 'v128' | 'f32'>(f: FunctionBuilder, columns: Columns<T>, system: System): void {
  const { a, b, x, rows, rowBytes, transpose } = system
  const aBytes = i32.shl(rows, 2)
  const sums = columns.offsets.map(() => f.local(columns.type))
  const factor = f.local(columns.type)
  const [row, done, found, element] = [0, 1, 2, 3].map(() => f.local('i32'))
  f.set(done, 0)
  f.while(i32.lt_u(done, rows), () => {
    f.set(row, select(transpose, i32.sub(i32.sub(rows, 1), done), done))
    const at = (start: Value<'i32'>) => i32.add(start, i32.mul(row, rowBytes))
    sums.forEach((sum, i) => {
      f.set(sum, columns.load(at(b), columns.offsets[i]) as Operand<T>)
    })
    // The first row found and its factor: a[row, 0], or a[row + 1, row] of the transpose.
    const next = i32.add(row, 1)
    f.set(found, i32.add(x, select(transpose, i32.mul(next, rowBytes), i32.const(0))))
    f.set(element, i32.add(a, select(transpose, i32.add(i32.mul(next, aBytes), i32.shl(row, 2)), i32.mul(row, aBytes))))
    const step = f.local('i32', select(transpose, aBytes, i32.const(4)))
    f.times(done, () => {
      f.set(factor, columns.loadFactor(element) as Operand<T>)
      sums.forEach((sum, i) => {
        const x = columns.load(found, columns.offsets[i])
        f.set(sum, columns.subtract(f, sum, factor, x) as Operand<T>)
      })
      f.advance(found, rowBytes)
      f.advance(element, step)
    })
    f.set(found, at(x))
    sums.forEach((sum, i) => {
      f.store(found, sum, columns.offsets[i])
    })
    f.advance(done, 1)
  })
}

function defineSolve(features: Features) {
  const parameters = { ...integers('a', 'b', 'x', 'rows', 'columns', 'blocks', 'transpose'), ...withRange }
  return new WasmModule(features).function('solveUnitLower', parameters, (f, p) => {
    const rowBytes = f.local('i32', i32.shl(p.columns, 2))
    const item = f.local('i32', p.from)
    const [z, column, left, offset, a, b, x] = Array.from({ length: 7 }, () => f.local('i32'))
    f.times(i32.sub(p.to, p.from), () => {
      f.set(z, i32.div_u(item, p.blocks))
      f.set(column, i32.mul(i32.rem_u(item, p.blocks), COLUMNS))
      f.set(offset, i32.add(i32.mul(i32.mul(z, p.rows), rowBytes), i32.shl(column, 2)))
      f.set(b, i32.add(p.b, offset))
      f.set(x, i32.add(p.x, offset))
      f.set(a, i32.add(p.a, i32.shl(i32.mul(z, i32.mul(p.rows, p.rows)), 2)))
      f.set(left, i32.sub(p.columns, column))
      const system = { a, b, x, rows: p.rows, rowBytes, transpose: p.transpose }
      const move = (columns: number) => {
        for (const pointer of [b, x]) f.advance(pointer, 4 * columns)
        f.advance(left, -columns)
      }
      f.if(
        i32.ge_u(left, COLUMNS),
        () => solveColumns(f, vectors(COLUMNS / 4), system),
        () => {
          f.while(i32.ge_u(left, 4), () => {
            solveColumns(f, vectors(1), system)
            move(4)
          })
          f.while(left, () => {
            solveColumns(f, single, system)
            move(1)
          })
        },
      )
      f.advance(item, 1)
    })
  })
}

export function solveKernels(features: Features): [FusedKernel, Launcher][] {
  const kernel = lazily(() => defineSolve(features))
  return [
    [
      solveUnitLowerAll,
      ([x], _grid, parameters) => {
        const [a, b, batch, rows, columns, transpose] = parameters as [Place, Place, ...number[]]
        const blocks = Math.ceil(columns / COLUMNS)
        return [
          task(
            kernel(),
            { a: a.offset, b: b.offset, x: x.offset, rows, columns, blocks, transpose },
            { items: batch * blocks, cost: batch * rows * rows * columns },
          ),
        ]
      },
    ],
  ]
}
