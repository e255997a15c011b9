/**
 * Reductions over the axis n of [Z, n, X] to [Z, X], stated by what is added up (or compared) for each cell.
 *
 * With X = 1 an item of the task goes along a row, else down columns. Long axes are cut into segments, by their extents
 * alone, so that all threads have something to do: the segments' results [Z, S, X] are reduced in turn.
 */
import { type Callee, type Features, type FunctionBuilder, floats, integers, WasmModule } from './assembler.ts'
import { bytes, chunk, chunksOf, clamped, eachChunk, keepColumns, keptBytes } from './columns.ts'
import { type FoldName, fold } from './folds.ts'
import { f32x4, i32, type Local, type Value, v128 } from './instructions.ts'
import { eachItem, Row, rowBytes, setVisible } from './rows.ts'
import { type Place, type Task, type TaskArgument, task, type Workspace, withRange, withScratch } from './task.ts'

export interface Reduction {
  readonly name: string
  readonly fold: FoldName
  /** How many arrays [Z, n, X] it reads. */
  readonly cells: number
  /** Whether it reads an array [Z, X] too, and what it takes for an entry of that. */
  readonly each?: (f: FunctionBuilder, entry: Value<'v128'>) => Value<'v128'>
  /** How many float parameters it has. */
  readonly floats: number
  /** Operations a cell. */
  readonly cost: number
  /** States what all terms share, and gives the term of a vector of cells. */
  readonly terms: (
    f: FunctionBuilder,
    floats: readonly Local<'v128'>[],
  ) => (cells: readonly Value<'v128'>[], each: Value<'v128'> | undefined) => Value<'v128'>
}

export interface ReductionKernels {
  readonly cost: number
  readonly names: ReturnType<typeof namesOf>
  readonly rows: Callee
  readonly columns: Callee
}

const numbered = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name}${i}`)

function namesOf({ cells, each, floats: floatCount }: Reduction) {
  const arrays = [...numbered('cells', cells), ...(each ? ['each'] : [])]
  return { arrays, floats: numbered('float', floatCount) }
}

export function defineReduction(features: Features, definition: Reduction): ReductionKernels {
  const module = new WasmModule(features)
  return {
    cost: definition.cost,
    names: namesOf(definition),
    rows: defineRows(module, definition),
    columns: defineColumns(module, definition),
  }
}

/** What both functions of a reduction begin with. */
function begin(f: FunctionBuilder, definition: Reduction, given: Readonly<Record<string, Local<'i32' | 'f32'>>>) {
  const p = given as Readonly<Record<string, Local<'i32'>>>
  const numbers = namesOf(definition).floats.map((name) => splatted(f, given[name] as Local<'f32'>))
  const term = definition.terms(f, numbers)
  const cells = numbered('cells', definition.cells).map((name) => p[name])
  return { p, term, cells, row: new Row(f), result: fold(f, definition.fold) }
}

/**
 * An item is a segment of a row. With T > 0 the rows are causal: row z sees its first z mod T + 1 + n - T cells.
 */
function defineRows(module: WasmModule, definition: Reduction): Callee {
  const names = namesOf(definition)
  const parameters: Readonly<Record<string, 'i32' | 'f32'>> = {
    ...integers(...names.arrays, 'out', 'n', 'length', 'segments', 'T'),
    ...floats(...names.floats),
    ...withRange,
  }
  return module.function(`${definition.name}Rows`, parameters, (f, given) => {
    const { p, term, cells, row, result } = begin(f, definition, given)
    const item = f.local('i32', p.from)
    const z = f.local('i32')
    const first = f.local('i32')
    const end = f.local('i32')
    const at = cells.map(() => f.local('i32'))
    const each = definition.each && f.local('v128')
    eachItem(f, p.from, p.to, [[p.out, 4]], () => {
      f.set(z, i32.div_u(item, p.segments))
      f.set(first, i32.mul(i32.rem_u(item, p.segments), p.length))
      setVisible(f, end, z, p.T, p.n)
      row.resize(clamped(i32.sub(end, first), p.length))
      for (const [i, base] of cells.entries()) f.set(at[i], i32.add(base, bytes(i32.add(i32.mul(z, p.n), first))))
      if (each) f.set(each, definition.each!(f, v128.load32_splat(i32.add(p.each, bytes(z)))))
      result.reset()
      row.walk(4, at, (vectors) => {
        const { neutral } = result
        result.add(
          vectors.map((vector) =>
            vector.own(
              term(
                at.map((x) => vector.load(x)),
                each,
              ),
              neutral,
            ),
          ),
        )
      })
      f.store(p.out, result.number())
      f.advance(item, 1)
    })
  })
}

/** An item is a segment of a chunk of columns. */
function defineColumns(module: WasmModule, definition: Reduction): Callee {
  const names = namesOf(definition)
  const parameters: Readonly<Record<string, 'i32' | 'f32'>> = {
    ...integers(...names.arrays, 'out', 'n', 'inner', 'length', 'segments'),
    ...floats(...names.floats),
    ...withScratch,
  }
  return module.function(`${definition.name}Columns`, parameters, (f, given) => {
    const { p, term, cells, row, result } = begin(f, definition, given)
    const at = cells.map(() => f.local('i32'))
    const [out, each] = [f.local('i32'), f.local('i32')]
    const entry = definition.each && f.local('v128')
    const stride = rowBytes(f, p.inner)
    const { n, inner, segments, length, scratch, from, to } = p
    const keeping = { kept: result.state, pointers: [...at, out, ...(entry ? [each] : [])], scratch, step: 4 * chunk }
    eachChunk(f, { n, inner, segments, length, from, to }, row, ({ cells: cell, each: entries, part, count }) => {
      for (const [i, base] of cells.entries()) f.set(at[i], i32.add(base, cell))
      f.set(out, i32.add(p.out, part))
      if (entry) f.set(each, i32.add(p.each, entries))
      result.reset()
      keepColumns(
        f,
        row,
        keeping,
        { count, stride },
        (vector, distances) => {
          if (entry) f.set(entry, definition.each!(f, vector.load(each)))
          result.add(
            distances.map((distance) =>
              term(
                at.map((x) => vector.load(x, distance)),
                entry,
              ),
            ),
          )
        },
        (vector) => vector.store(out, result.lanes()),
      )
    })
  })
}

const splatted = (f: FunctionBuilder, value: Local<'f32'>) => f.local('v128', f32x4.splat(value))

/** Cells of a row that one item reduces at most, where there are few rows. */
const longRow = 4096
/** Rows: as many keep several threads busy. */
const enoughRows = 16
/** Cells of a column that one item reduces. */
const longColumn = 64

export interface Extents {
  readonly outer: number
  readonly n: number
  readonly inner: number
  /** Rows are causal where this is not 0: see softmax.ts. */
  readonly T?: number
}

/**
 * The tasks of a reduction.
 *
 * @param merge reduces the results of segments: a plain sum, or the extremum
 */
export function reduce(
  { cost: operations, names, rows, columns }: ReductionKernels,
  merge: () => ReductionKernels,
  given: { readonly arrays: readonly Place[]; readonly floats?: readonly TaskArgument[] },
  out: number,
  { outer, n, inner, T = 0 }: Extents,
  workspace: Workspace,
): Task[] {
  const shared: Record<string, TaskArgument> = {}
  for (const [i, name] of names.arrays.entries()) shared[name] = given.arrays[i].offset
  for (const [i, name] of names.floats.entries()) shared[name] = given.floats![i]
  const length =
    inner === 1 ? (n > 2 * longRow && outer < enoughRows ? longRow : n) : n > 2 * longColumn ? longColumn : n
  const segments = n === 0 ? 1 : Math.ceil(n / length)
  const into = segments === 1 ? out : workspace.floats(outer * segments * inner)
  const cost = operations * outer * n * inner
  const first =
    inner === 1
      ? task(rows, { ...shared, out: into, n, length, segments, T }, { items: outer * segments, cost })
      : task(
          columns,
          { ...shared, out: into, n, inner, length, segments },
          { items: outer * segments * chunksOf(inner), cost, scratch: keptBytes },
        )
  if (segments === 1) return [first]
  const parts: Place = { offset: into, length: outer * segments * inner, dtype: 'float32' }
  return [first, ...reduce(merge(), merge, { arrays: [parts] }, out, { outer, n: segments, inner }, workspace)]
}
