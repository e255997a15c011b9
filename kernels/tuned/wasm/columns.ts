/** Columns of [outer, n, inner], where a task's items are chunks of neighbouring columns, or segments of such chunks. */
import type { FunctionBuilder } from './assembler.ts'
import { i32, type Local, type Operand, select, type Value } from './instructions.ts'
import type { Row } from './rows.ts'

/** Columns of an item: enough that whole cache lines are read, few enough that there are several items. */
export const chunk = 256

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

export const bytes = (floats: Operand<'i32'>): Value<'i32'> => i32.shl(floats, 2)

/** x, but at least 0 and at most `most`. */
export function clamped(x: Value<'i32'>, most: Local<'i32'> | number): Value<'i32'> {
  const limit: Value<'i32'> = typeof most === 'number' ? i32.const(most) : most
  return select(i32.gt_s(x, limit), limit, select(i32.lt_s(x, 0), i32.const(0), x))
}
