/**
 * What the gated delta rule's passes over time share: how a launch is divided, and how a state is laid out.
 *
 * An item is a head's share of columns: no column of the state, which belongs to one value, depends on another. A call goes
 * through time segment by segment, all its items within each, with their states in the launch's own memory between. So
 * memory, in which the heads' rows alternate, is read once and in order.
 */
import { RECURRENT_SEGMENT } from '../../fused-delta.ts'
import type { Callee, FunctionBuilder, WasmModule } from './assembler.ts'
import { integers } from './assembler.ts'
import { f32, f32x4, i32, i32x4, type Local, type Operand, select, type Value, v128 } from './instructions.ts'
import type { TaskArgument } from './task.ts'
import { vectorBytes } from './vectors.ts'

/** B sequences of T steps, H heads, K keys, V values. */
export type Sizes = readonly [B: number, T: number, H: number, K: number, V: number, scale: TaskArgument]

/** Heads of all sequences that keep 8 threads busy; where there are fewer, a head's columns are split. */
const BUSY = 8
/** Columns of a share are a multiple of this: the forward pass takes 8 at once. */
export const COLUMNS = 8

/** How a head's columns are split, all shares but the last alike: it depends on the sizes alone, as sums over shares do. */
export function splitColumns([B, , H, , V]: Sizes): { splits: number; share: number } {
  const blocks = Math.ceil(V / COLUMNS)
  const share = COLUMNS * Math.ceil(blocks / Math.min(blocks, Math.ceil(BUSY / (B * H))))
  return { splits: Math.ceil(V / share), share }
}

export const segmentsIn = (T: number): number => Math.ceil(T / RECURRENT_SEGMENT)

export const bytes = (count: Operand<'i32'>): Value<'i32'> => i32.shl(count, 2)

export const sum = (first: Operand<'i32'>, ...others: Operand<'i32'>[]): Value<'i32'> =>
  others.reduce<Value<'i32'>>((total, value) => i32.add(total, value), i32.add(first, 0))

/** The lesser of two unsigned numbers. */
export const least = (x: Operand<'i32'>, y: Operand<'i32'>): Value<'i32'> =>
  select(i32.lt_u(x, y), i32.add(x, 0), i32.add(y, 0))

/** What a pass is told of its items. */
export const passParameters = integers('T', 'H', 'K', 'V', 'splits', 'share')

type Pass = Readonly<Record<keyof typeof passParameters | 'from' | 'to', Local<'i32'>>>

/** Some of the T steps: their number in order, the first of them, and how many they are. */
export interface Segment {
  readonly index: Local<'i32'>
  readonly step: Local<'i32'>
  readonly steps: Local<'i32'>
}

/** Runs `body` for every segment, from the first on or from the last back. */
export function eachSegment(
  f: FunctionBuilder,
  T: Local<'i32'>,
  isBack: boolean,
  body: (segment: Segment) => void,
): void {
  const count = f.local('i32', i32.div_u(i32.add(T, RECURRENT_SEGMENT - 1), RECURRENT_SEGMENT))
  const index = f.local('i32', isBack ? i32.sub(count, 1) : 0)
  f.times(count, () => {
    const step = f.local('i32', i32.mul(index, RECURRENT_SEGMENT))
    body({ index, step, steps: f.local('i32', least(i32.sub(T, step), RECURRENT_SEGMENT)) })
    f.advance(index, isBack ? -1 : 1)
  })
}

export interface Item {
  /** Its number. */
  readonly item: Local<'i32'>
  readonly head: Local<'i32'>
  readonly split: Local<'i32'>
  /** The share's first column, and how many they are. */
  readonly first: Local<'i32'>
  readonly columns: Local<'i32'>
  /** Row (b, t, h) of an operand [B, T, H, ...] at the segment's first step. */
  readonly row: Local<'i32'>
}

/** Runs `body` for every item. */
export function eachItem(
  f: FunctionBuilder,
  { T, H, V, splits, share, from, to }: Pass,
  { step }: Segment,
  body: (item: Item) => void,
): void {
  const item = f.local('i32', from)
  f.while(i32.lt_u(item, to), () => {
    const head = f.local('i32', i32.div_u(item, splits))
    const split = f.local('i32', i32.rem_u(item, splits))
    const first = f.local('i32', i32.mul(split, share))
    const columns = f.local('i32', least(i32.sub(V, first), share))
    const time = i32.add(i32.mul(i32.div_u(head, H), T), step)
    const row = f.local('i32', i32.add(i32.mul(time, H), i32.rem_u(head, H)))
    body({ item, head, split, first, columns, row })
    f.advance(item, 1)
  })
}

/** The vectors a, b, c, d as rows of a 4 x 4 matrix; gives its columns. */
function columnsOf(f: FunctionBuilder, [a, b, c, d]: readonly Operand<'v128'>[]): Local<'v128'>[] {
  const pair = (x: Operand<'v128'>, y: Operand<'v128'>, words: readonly [number, number, number, number]) =>
    f.local('v128', i32x4.shuffle(x, y, words))
  const [lowAB, highAB] = [pair(a, b, [0, 4, 1, 5]), pair(a, b, [2, 6, 3, 7])]
  const [lowCD, highCD] = [pair(c, d, [0, 4, 1, 5]), pair(c, d, [2, 6, 3, 7])]
  return [
    pair(lowAB, lowCD, [0, 1, 4, 5]),
    pair(lowAB, lowCD, [2, 3, 6, 7]),
    pair(highAB, highCD, [0, 1, 4, 5]),
    pair(highAB, highCD, [2, 3, 6, 7]),
  ]
}

/** The sum of each of four vectors, as one vector. */
export function sumsOf(f: FunctionBuilder, rows: readonly Operand<'v128'>[]): Value<'v128'> {
  const [a, b, c, d] = columnsOf(f, rows)
  return f32x4.add(f32x4.add(a, b), f32x4.add(c, d))
}

/** The sum of a vector's lanes. */
export function laneSum(vector: Local<'v128'>): Value<'f32'> {
  const [a, b, c, d] = [0, 1, 2, 3].map((lane) => f32x4.extract_lane(vector, lane))
  return f32.add(f32.add(a, b), f32.add(c, d))
}

const betweenRows = integers('from', 'fromStep', 'to', 'toStep', 'rows', 'columns')

/** Copies `rows` rows of `columns` floats; steps are bytes from a row to the next, columns a multiple of 4. */
export function defineCopyRows(module: WasmModule): Callee<typeof betweenRows> {
  return module.function('copyRows', betweenRows, (f, { from, fromStep, to, toStep, rows, columns }) => {
    f.times(rows, () => {
      const [source, target] = [f.local('i32', from), f.local('i32', to)]
      f.times(i32.shr_u(columns, 2), () => {
        f.store(target, v128.load(source))
        f.advance(source, vectorBytes)
        f.advance(target, vectorBytes)
      })
      f.advance(from, fromStep)
      f.advance(to, toStep)
    })
  })
}

/** Writes the transpose of `rows` rows of `columns` floats, both multiples of 4. */
export function defineTranspose(module: WasmModule): Callee<typeof betweenRows> {
  return module.function('transpose', betweenRows, (f, { from, fromStep, to, toStep, rows, columns }) => {
    const four = (start: Operand<'i32'>, step: Operand<'i32'>): Local<'i32'>[] => {
      const pointers = [f.local('i32', start)]
      for (let i = 1; i < 4; i++) pointers.push(f.local('i32', i32.add(pointers[i - 1], step)))
      return pointers
    }
    f.times(i32.shr_u(rows, 2), () => {
      const sources = four(from, fromStep)
      const target = f.local('i32', to)
      f.times(i32.shr_u(columns, 2), () => {
        const given = sources.map((source) => f.local('v128', v128.load(source)))
        const targets = four(target, toStep)
        columnsOf(f, given).forEach((column, i) => {
          f.store(targets[i], column)
        })
        for (const source of sources) f.advance(source, vectorBytes)
        f.advance(target, i32.shl(toStep, 2))
      })
      f.advance(from, i32.shl(fromStep, 2))
      f.advance(to, vectorBytes)
    })
  })
}

const span = integers('at', 'step', 'rows', 'columns')

/** Writes zeros to `rows` rows of `columns` floats, a multiple of 4 or 1. */
export function defineClearRows(module: WasmModule): Callee<typeof span> {
  return module.function('clearRows', span, (f, { at, step, rows, columns }) => {
    const clear = (zero: Value<'f32'> | Value<'v128'>, size: number) =>
      f.times(rows, () => {
        const cell = f.local('i32', at)
        f.times(i32.div_u(columns, size / 4), () => {
          f.store(cell, zero)
          f.advance(cell, size)
        })
        f.advance(at, step)
      })
    f.if(
      i32.eq(columns, 1),
      () => clear(f32.const(0), 4),
      () => clear(f32x4.splat(0), vectorBytes),
    )
  })
}

/** A processor reads memory in lines of at least so many bytes. */
const lineBytes = 64

/** Reads a number of each line of `rows` rows of `columns` floats: they are in cache afterwards. */
export function defineFetchRows(module: WasmModule): Callee<typeof span> {
  return module.function('fetchRows', span, (f, { at, step, rows, columns }) => {
    const length = f.local('i32', i32.shl(columns, 2))
    f.times(rows, () => {
      const end = f.local('i32', i32.add(at, length))
      const line = f.local('i32', at)
      f.while(i32.lt_u(line, end), () => {
        f.drop(i32.load(line))
        f.advance(line, lineBytes)
      })
      f.advance(at, step)
    })
  })
}

/**
 * Brings a segment's rows into cache, at the first item of a call and of a sequence: those of all heads of the sequence that
 * the call works on, side by side, as they lie in memory. Head by head, the steps would read a short piece of each row, where
 * no prefetcher of a processor finds the next. What is read is forgotten: another thread may be writing its own share of it.
 *
 * @param keys tensors [B, T, H, K]
 * @param values tensors [B, T, H, V]
 */
export function fetchHeads(
  f: FunctionBuilder,
  fetchRows: Callee<typeof span>,
  { H, K, V, splits, from, to }: Pass,
  { steps }: Segment,
  { item, head, row }: Item,
  keys: readonly Local<'i32'>[],
  values: readonly Local<'i32'>[],
): void {
  const inSequence = i32.mul(H, splits)
  f.if(i32.or(i32.eq(item, from), i32.eqz(i32.rem_u(item, inSequence))), () => {
    const end = least(i32.mul(i32.add(i32.div_u(item, inSequence), 1), inSequence), to)
    const lastHead = i32.div_u(i32.add(end, i32.sub(splits, 1)), splits)
    const heads = f.local('i32', i32.sub(lastHead, head))
    const fetch = (tensor: Local<'i32'>, width: Local<'i32'>) =>
      f.call(fetchRows, {
        ...{ at: i32.add(tensor, bytes(i32.mul(row, width))), step: bytes(i32.mul(H, width)) },
        ...{ rows: steps, columns: i32.mul(heads, width) },
      })
    for (const tensor of keys) fetch(tensor, K)
    for (const tensor of values) fetch(tensor, V)
  })
}
