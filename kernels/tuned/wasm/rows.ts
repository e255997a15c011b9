/**
 * Rows of n floats, walked a vector of four at a time, several times over if need be.
 *
 * A row need not be a multiple of four floats long, so the next one may begin inside a vector. What is left after the whole
 * vectors is read as a whole vector all the same, whose lanes past the end are nobody's, and written lane by lane.
 */
import type { FunctionBuilder } from './assembler.ts'
import { f32x4, i32, i32x4, type Local, type Operand, type Value, v128 } from './instructions.ts'
import { vectorBytes } from './vectors.ts'

type Pointer = Local<'i32'>

/** A vector of a row, at the same place of every buffer that the walk goes through. */
export interface RowVector {
  /** @param further bytes beyond the pointer, where other rows lie */
  load(pointer: Pointer, further?: Local<'i32'>): Value<'v128'>
  store(pointer: Pointer, value: Value<'v128'>, further?: Local<'i32'>): void
  /** All four lanes, also those past the row's end: where there is room for them. */
  storeWhole(pointer: Pointer, value: Value<'v128'>): void
  /** The lanes that belong to the row; the others are `neutral`, 0 unless given. */
  own(value: Value<'v128'>, neutral?: Value<'v128'>): Value<'v128'>
}

export class Row {
  readonly #f: FunctionBuilder
  readonly #vectors: Local<'i32'>
  readonly #rest: Local<'i32'>
  readonly #own: Local<'v128'>
  readonly #lanes: Local<'v128'>

  constructor(f: FunctionBuilder) {
    this.#f = f
    this.#vectors = f.local('i32')
    this.#rest = f.local('i32')
    this.#own = f.local('v128')
    this.#lanes = f.local('v128', v128.const([0, 1, 2, 3]))
  }

  /** From here on, rows have this many floats. */
  resize(n: Operand<'i32'>): void {
    const f = this.#f
    f.set(this.#rest, i32.and(n, 3))
    f.set(this.#vectors, i32.shr_u(n, 2))
    f.set(this.#own, i32x4.gt_s(i32x4.splat(this.#rest), this.#lanes))
  }

  /**
   * Goes through the row once: `body` states what is done with `together` vectors, with one of those that remain, and with
   * the rest. The pointers stay at the row's start.
   */
  walk(together: number, pointers: readonly Pointer[], body: (vectors: readonly RowVector[]) => void): void {
    const f = this.#f
    const cursors = new Map(pointers.map((pointer) => [pointer, f.local('i32', pointer)]))
    const advance = (vectors: number) => {
      for (const cursor of cursors.values()) f.advance(cursor, vectors * vectorBytes)
    }
    const left = f.local('i32', this.#vectors)
    if (together > 1) {
      f.while(i32.ge_u(left, together), () => {
        body(Array.from({ length: together }, (_, i) => this.#whole(cursors, i * vectorBytes)))
        advance(together)
        f.advance(left, -together)
      })
    }
    f.times(left, () => {
      body([this.#whole(cursors, 0)])
      advance(1)
    })
    f.if(this.#rest, () => body([this.#partial(cursors)]))
  }

  /** Goes through the row from its end to its start, one vector at a time. */
  walkBack(pointers: readonly Pointer[], body: (vector: RowVector) => void): void {
    const f = this.#f
    const end = i32.shl(this.#vectors, 4)
    const cursors = new Map(pointers.map((pointer) => [pointer, f.local('i32', i32.add(pointer, end))]))
    f.if(this.#rest, () => body(this.#partial(cursors)))
    f.times(this.#vectors, () => {
      for (const cursor of cursors.values()) f.advance(cursor, -vectorBytes)
      body(this.#whole(cursors, 0))
    })
  }

  #whole(cursors: ReadonlyMap<Pointer, Pointer>, offset: number): RowVector {
    return {
      load: (pointer, further) => v128.load(moved(cursors.get(pointer)!, further), offset),
      store: (pointer, value, further) => this.#f.store(moved(cursors.get(pointer)!, further), value, offset),
      storeWhole: (pointer, value) => this.#f.store(cursors.get(pointer)!, value, offset),
      own: (value) => value,
    }
  }

  #partial(cursors: ReadonlyMap<Pointer, Pointer>): RowVector {
    return {
      load: (pointer, further) => v128.load(moved(cursors.get(pointer)!, further)),
      store: (pointer, value, further) => storeFirst(this.#f, moved(cursors.get(pointer)!, further), value, this.#rest),
      storeWhole: (pointer, value) => this.#f.store(cursors.get(pointer)!, value),
      own: (value, neutral) => (neutral ? v128.bitselect(value, neutral, this.#own) : v128.and(value, this.#own)),
    }
  }
}

const moved = (pointer: Pointer, further: Local<'i32'> | undefined) => (further ? i32.add(pointer, further) : pointer)

/** Writes the first 1 to 3 lanes. */
function storeFirst(f: FunctionBuilder, place: Value<'i32'>, value: Value<'v128'>, count: Local<'i32'>): void {
  const kept = f.local('v128', value)
  const pointer = f.local('i32', place)
  f.store(pointer, f32x4.extract_lane(kept, 0))
  f.if(i32.gt_u(count, 1), () => f.store(pointer, f32x4.extract_lane(kept, 1), 4))
  f.if(i32.gt_u(count, 2), () => f.store(pointer, f32x4.extract_lane(kept, 2), 8))
}

/** The body for each item, with every pointer, given at item 0 with its step in bytes, at that item. */
export function eachItem(
  f: FunctionBuilder,
  from: Operand<'i32'>,
  to: Operand<'i32'>,
  pointers: readonly (readonly [Pointer, step: Operand<'i32'>])[],
  body: () => void,
): void {
  for (const [pointer, step] of pointers) f.advance(pointer, i32.mul(from, step))
  f.times(i32.sub(to, from), () => {
    body()
    for (const [pointer, step] of pointers) f.advance(pointer, step)
  })
}

/**
 * Goes down rows, four at a time and then one at a time.
 *
 * @param body is told how far each of its rows is from the first, in bytes, and the number of the first of them
 */
export function goDown(
  f: FunctionBuilder,
  count: Operand<'i32'>,
  stride: Operand<'i32'>,
  body: (distances: readonly Local<'i32'>[], index: Local<'i32'>) => void,
): void {
  const distances = [0, 1, 2, 3].map(() => f.local('i32'))
  const index = f.local('i32', 0)
  f.set(distances[0], 0)
  f.times(i32.shr_u(count, 2), () => {
    for (let i = 1; i < 4; i++) f.set(distances[i], i32.add(distances[i - 1], stride))
    body(distances, index)
    f.set(distances[0], i32.add(distances[3], stride))
    f.advance(index, 4)
  })
  f.times(i32.and(count, 3), () => {
    body(distances.slice(0, 1), index)
    f.advance(distances[0], stride)
    f.advance(index, 1)
  })
}

/**
 * The body for each row of n floats, from one to before another.
 *
 * @param pointers `rows` at the arrays [rows, n], `numbers` at those with one number a row: all at row 0, and moved
 */
export function eachRow(
  f: FunctionBuilder,
  { n, from, to }: { readonly n: Local<'i32'>; readonly from: Local<'i32'>; readonly to: Local<'i32'> },
  pointers: { readonly rows: readonly Pointer[]; readonly numbers?: readonly Pointer[] },
  body: (row: Row) => void,
): void {
  const row = new Row(f)
  row.resize(n)
  const stride = rowBytes(f, n)
  const moving = [
    ...pointers.rows.map((pointer) => [pointer, stride] as const),
    ...(pointers.numbers ?? []).map((pointer) => [pointer, 4] as const),
  ]
  eachItem(f, from, to, moving, () => body(row))
}

/** How many leading keys a row sees: all n with T = 0, else one more than the row before, and the last of T rows all. */
export function setVisible(f: FunctionBuilder, limit: Pointer, index: Pointer, T: Pointer, n: Pointer): void {
  f.set(limit, n)
  f.if(T, () => f.set(limit, i32.sub(i32.add(i32.add(i32.rem_u(index, T), 1), n), T)))
}

/** The bytes of a row of n floats. */
export const rowBytes = (f: FunctionBuilder, n: Operand<'i32'>): Local<'i32'> => f.local('i32', i32.shl(n, 2))
