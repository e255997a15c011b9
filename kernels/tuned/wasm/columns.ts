/**
 * Columns of [outer, n, inner], where a task's items are chunks of neighbouring columns, or segments of such chunks.
 *
 * They are gone down row by row, so that memory is read in order, which is several times as fast as a few columns at a
 * time; what is kept of the columns meanwhile lies in scratch memory.
 */
import type { FunctionBuilder } from './assembler.ts'
import { i32, type Local, type Operand, select, type Value } from './instructions.ts'
import { goDown, type Row, type RowVector } from './rows.ts'

/** Columns of an item: memory is read 4 KiB at a time, and what is kept of each column stays in the first cache. */
export const chunk = 1024

export const chunksOf = (inner: number): number => Math.ceil(inner / chunk)

export interface ColumnItems {
  readonly n: Local<'i32'>
  readonly inner: Local<'i32'>
  /** Where the axis is cut into segments: how many there are, and how long they are. */
  readonly segments?: Local<'i32'>
  readonly length?: Local<'i32'>
  readonly from: Local<'i32'>
  readonly to: Local<'i32'>
}

/** Where an item begins: byte offsets in arrays of these shapes. */
export interface ColumnItem {
  /** [outer, n, inner] */
  readonly cells: Local<'i32'>
  /** [outer, inner] */
  readonly each: Local<'i32'>
  /** [outer, segments, inner] */
  readonly part: Local<'i32'>
  /** Rows of the item. */
  readonly count: Local<'i32'>
}

/** The body for each item; `row` is then as long as the item has columns. Consecutive items are next to each other. */
export function eachChunk(
  f: FunctionBuilder,
  { n, inner, segments, length, from, to }: ColumnItems,
  row: Row,
  body: (item: ColumnItem) => void,
): void {
  const [item, segment, column, z, first, cells, each, part, count] = Array.from({ length: 9 }, () => f.local('i32'))
  const chunks = f.local('i32', i32.div_u(i32.add(inner, chunk - 1), chunk))
  f.set(item, from)
  f.times(i32.sub(to, from), () => {
    f.set(segment, i32.div_u(item, chunks))
    f.set(column, i32.mul(i32.rem_u(item, chunks), chunk))
    f.set(z, segments ? i32.div_u(segment, segments) : segment)
    f.set(first, segments && length ? i32.mul(i32.rem_u(segment, segments), length) : 0)
    f.set(count, clamped(i32.sub(n, first), length ?? n))
    row.resize(clamped(i32.sub(inner, column), chunk))
    f.set(cells, bytes(i32.add(i32.mul(i32.add(i32.mul(z, n), first), inner), column)))
    f.set(each, bytes(i32.add(i32.mul(z, inner), column)))
    f.set(part, bytes(i32.add(i32.mul(segment, inner), column)))
    body({ cells, each, part, count })
    f.advance(item, 1)
  })
}

/** Bytes of scratch memory in which `keepColumns` keeps a chunk. */
export const keptBytes = 2 * 4 * chunk

/**
 * Goes down the rows of an item, keeping a few vectors for every four columns.
 *
 * @param kept the locals that hold them for the columns at hand: at first what they hold when this is stated
 * @param pointers what the walks along a row read and write
 * @param scratch where they are kept, the first `step` bytes the first ones
 * @param add goes on by 1 to 4 rows, which are so many bytes from the first; the first of them has this number
 * @param finish takes the result
 */
export function keepColumns(
  f: FunctionBuilder,
  row: Row,
  { kept, pointers, scratch, step, before }: Keeping,
  { count, stride }: { readonly count: Operand<'i32'>; readonly stride: Operand<'i32'> },
  add: (vector: RowVector, distances: readonly Local<'i32'>[], index: Local<'i32'>) => void,
  finish?: (vector: RowVector) => void,
): void {
  const places = kept.map((_, i) => f.local('i32', i === 0 ? scratch : i32.add(scratch, step)))
  const save = (vector: RowVector) => {
    for (const [i, place] of places.entries()) vector.storeWhole(place, kept[i])
  }
  const restore = (vector: RowVector) => {
    for (const [i, place] of places.entries()) f.set(kept[i], vector.load(place))
  }
  row.walk(1, places, ([vector]) => save(vector))
  goDown(f, count, stride, (distances, index) => {
    before?.(distances)
    row.walk(1, [...pointers, ...places], ([vector]) => {
      restore(vector)
      add(vector, distances, index)
      save(vector)
    })
  })
  if (finish) {
    row.walk(1, [...pointers, ...places], ([vector]) => {
      restore(vector)
      finish(vector)
    })
  }
}

interface Keeping {
  /** One or two. */
  readonly kept: readonly Local<'v128'>[]
  readonly pointers: readonly Local<'i32'>[]
  readonly scratch: Local<'i32'>
  readonly step: Operand<'i32'>
  /** What is done with rows before they are walked along. */
  readonly before?: (distances: readonly Local<'i32'>[]) => void
}

export const bytes = (floats: Operand<'i32'>): Value<'i32'> => i32.shl(floats, 2)

/** x, but at least 0 and at most `most`. */
export function clamped(x: Value<'i32'>, most: Local<'i32'> | number): Value<'i32'> {
  const limit: Value<'i32'> = typeof most === 'number' ? i32.const(most) : most
  return select(i32.gt_s(x, limit), limit, select(i32.lt_s(x, 0), i32.const(0), x))
}
