/**
 * Kernels that compute each cell of a matrix from cells at the same place of others, one number of its row, and one of its
 * column: y[i, j] = f(x[i, j], a[i], w[j]).
 */
import { type Callee, type Features, type FunctionBuilder, WasmModule } from './assembler.ts'
import { f32x4, i32, type Local, type Value, v128 } from './instructions.ts'
import { eachItem, Row, rowBytes } from './rows.ts'
import { type Place, type Task, type TaskArgument, task, withRange } from './task.ts'

/**
 * What an operand is: `cells` [rows, n]; `row` [rows]; `columns` [rows / period, n], where a row's are those of its period,
 * so that a period of all rows is an array [n]; `float`, a number.
 */
type OperandKind = 'cells' | 'row' | 'columns' | 'float'
type Operands = Readonly<Record<string, OperandKind>>
type Vectors<P extends Operands> = { readonly [K in keyof P]: Value<'v128'> }

export interface RowMap {
  readonly callee: Callee
  readonly operands: Operands
  /** Operations a cell. */
  readonly cost: number
}

/** @param state states what comes before all loops, and gives the expression of a vector of cells */
export function defineRowMap<const P extends Operands>(
  features: Features,
  name: string,
  operands: P,
  cost: number,
  state: (f: FunctionBuilder) => (operands: Vectors<P>) => Value<'v128'>,
): RowMap {
  const entries = Object.entries(operands)
  const parameters: Readonly<Record<string, 'i32' | 'f32'>> = {
    ...Object.fromEntries(entries.map(([key, kind]) => [key, kind === 'float' ? 'f32' : 'i32'])),
    ...{ out: 'i32', n: 'i32', period: 'i32' },
    ...withRange,
  }
  const callee = new WasmModule(features).function(name, parameters, (f, given) => {
    const p = given as Readonly<Record<string, Local<'i32'>>>
    const expression = state(f)
    const of = (wanted: OperandKind) => entries.filter(([, kind]) => kind === wanted).map(([key]) => key)
    const vectors: Record<string, Value<'v128'>> = {}
    for (const key of of('float')) vectors[key] = f.local('v128', f32x4.splat(given[key] as Local<'f32'>))
    const splats = of('row').map((key) => [p[key], (vectors[key] = f.local('v128'))] as const)
    const cells = of('cells')
    // Those of the row's period are found anew for every row.
    const columns = of('columns').map((key) => [key, p[key], f.local('i32')] as const)
    const row = new Row(f)
    const stride = rowBytes(f, p.n)
    const index = f.local('i32', p.from)
    row.resize(p.n)
    const moving = [
      ...[...cells.map((key) => p[key]), p.out].map((pointer) => [pointer, stride] as const),
      ...splats.map(([pointer]) => [pointer, 4] as const),
    ]
    eachItem(f, p.from, p.to, moving, () => {
      for (const [pointer, splat] of splats) f.set(splat, v128.load32_splat(pointer))
      for (const [, start, here] of columns) f.set(here, i32.add(start, i32.mul(i32.div_u(index, p.period), stride)))
      const walked = [...cells.map((key) => p[key]), ...columns.map(([, , here]) => here), p.out]
      row.walk(2, walked, (places) => {
        for (const place of places) {
          for (const key of cells) vectors[key] = place.load(p[key])
          for (const [key, , here] of columns) vectors[key] = place.load(here)
          place.store(p.out, expression(vectors as Vectors<P>))
        }
      })
      f.advance(index, 1)
    })
  })
  return { callee, operands, cost }
}

/**
 * The task of a map.
 *
 * @param given one for each operand, in order
 * @param period rows that share their columns' numbers; all unless given
 */
export function rowMapTask(
  { callee, operands, cost }: RowMap,
  given: readonly (Place | TaskArgument)[],
  out: Place,
  [rows, n]: readonly [rows: number, n: number],
  period = rows,
): Task {
  const values: Record<string, TaskArgument> = {}
  for (const [i, [key, kind]] of Object.entries(operands).entries()) {
    values[key] = kind === 'float' ? (given[i] as TaskArgument) : (given[i] as Place).offset
  }
  return task(callee, { ...values, out: out.offset, n, period }, { items: rows, cost: cost * rows * n })
}
