/**
 * The WebAssembly instructions our kernels use, under the names of the specification: `f32x4.add(x, f32x4.splat(1))`.
 *
 * An instruction applied to its operands is a `Value`: a typed piece of code that is evaluated where a statement uses it,
 * each time it is used. What must be computed once, or kept while its inputs change, goes into a local (assembler.ts).
 * A JavaScript number stands for a constant wherever an i32 or an f32 is expected.
 */
import { SluiceError } from '../../../src/errors.ts'
import { type Bytes, float32, join, signed, unsigned } from './encoding.ts'

const simd = 0xfd
const threads = 0xfe

export type ValueType = 'i32' | 'f32' | 'v128'

export interface Value<T extends ValueType> {
  readonly type: T
  readonly code: Bytes
  /** The function whose locals the code reads, if it reads any. */
  readonly owner?: object | undefined
}

/** What an instruction takes: a value, or a number where a scalar is expected. */
export type Operand<T extends ValueType> = T extends 'v128' ? Value<T> : Value<T> | number

export interface Local<T extends ValueType> extends Value<T> {
  readonly index: number
}

type Operands<T extends readonly ValueType[]> = { readonly [K in keyof T]: Operand<T[K]> }

/** The operand as a value of the expected type; a number becomes a constant. */
export function operand<T extends ValueType>(user: string, expected: T, given: Operand<T>): Value<T> {
  if (typeof given === 'number') {
    if (expected === 'i32') return { type: expected, code: [0x41, ...signed(given)] }
    if (expected === 'f32') return { type: expected, code: [0x43, ...float32(given)] }
  } else if (given?.type === expected) {
    return given as Value<T>
  }
  const found = typeof given === 'object' ? `a value of type ${given.type}` : String(given)
  throw new SluiceError('wasm', `${user}: expected a value of type ${expected}, got ${found}`)
}

/** Operands one after another, then the opcode: how a stack machine reads an instruction. */
function apply<T extends ValueType>(result: T, operands: readonly Value<ValueType>[], opcode: Bytes): Value<T> {
  let owner: object | undefined
  for (const value of operands) {
    if (owner && value.owner && owner !== value.owner) {
      throw new SluiceError('wasm', 'an expression mixes the locals of two functions')
    }
    owner ??= value.owner
  }
  return { type: result, code: join(...operands.map(({ code }) => code), opcode), owner }
}

/** Instructions of one signature: `opcodes` by name. SIMD opcodes, those of four-lane families, follow a prefix byte. */
function family<const P extends readonly ValueType[], R extends ValueType, const N extends string>(
  name: 'i32' | 'f32' | 'v128' | 'f32x4' | 'i32x4' | 'f64x2' | 'i64x2',
  types: P,
  result: R,
  opcodes: Readonly<Record<N, number>>,
): Readonly<Record<N, (...operands: Operands<P>) => Value<R>>> {
  const build = ([key, opcode]: readonly [string, number]) => {
    const user = `${name}.${key}`
    const bytes = name === 'i32' || name === 'f32' ? [opcode] : [simd, ...unsigned(opcode)]
    const instruction = (...operands: readonly Operand<ValueType>[]) => {
      if (operands.length !== types.length) {
        throw new SluiceError('wasm', `${user}: expected ${types.length} operands, got ${operands.length}`)
      }
      const values = operands.map((given, i) => operand(user, types[i]!, given))
      return apply(result, values, bytes)
    }
    return [key, instruction]
  }
  return Object.fromEntries(Object.entries<number>(opcodes).map(build))
}

/** Loads and stores say how an address is aligned; ours promise no more than whole float32s. Bytes, as a power of two. */
const wordAlignment = 2

/** A time-out of -1 nanoseconds, `i64.const -1`. Its type is no `ValueType`: nothing else here has 64 bits. */
const forever: Value<'i32'> = { type: 'i32', code: [0x42, 0x7f] }

/** Alignment and constant byte offset: what follows the opcode of a load or a store. */
export function address(offset: number): Bytes {
  return [wordAlignment, ...unsigned(offset)]
}

function load<T extends ValueType>(name: string, result: T, opcode: Bytes) {
  return (pointer: Operand<'i32'>, offset = 0): Value<T> =>
    apply(result, [operand(name, 'i32', pointer)], [...opcode, ...address(offset)])
}

function requireLane(lane: number, count: number): number {
  if (Number.isInteger(lane) && lane >= 0 && lane < count) return lane
  throw new SluiceError('wasm', `lane ${lane} is not one of 0 to ${count - 1}`)
}

/** 32-bit integers. `_s` reads its operands as signed, `_u` as unsigned; comparisons give 0 or 1. */
export const i32 = {
  const: (value: number) => operand('i32.const', 'i32', value),
  load: load('i32.load', 'i32', [0x28]),
  ...family('i32', ['i32'], 'i32', { eqz: 0x45, ctz: 0x68 }),
  ...family('i32', ['i32', 'i32'], 'i32', { add: 0x6a, sub: 0x6b, mul: 0x6c, div_u: 0x6e, rem_u: 0x70 }),
  ...family('i32', ['i32', 'i32'], 'i32', { and: 0x71, or: 0x72, xor: 0x73, shl: 0x74, shr_s: 0x75, shr_u: 0x76 }),
  ...family('i32', ['i32', 'i32'], 'i32', { eq: 0x46, ne: 0x47, lt_s: 0x48, gt_s: 0x4a, le_s: 0x4c, ge_s: 0x4e }),
  ...family('i32', ['i32', 'i32'], 'i32', { lt_u: 0x49, gt_u: 0x4b, le_u: 0x4d, ge_u: 0x4f }),
  ...family('i32', ['f32'], 'i32', { trunc_f32_s: 0xa8, reinterpret_f32: 0xbc }),
}

/** Pages of 64 KiB that the memory has: at most 65536. No compiler knows the number ahead. */
export const memorySize = (): Value<'i32'> => apply('i32', [], [0x3f, 0x00])

/** Atomic access to a word of a shared memory, aligned to 4 bytes. */
export const atomic = {
  load: (pointer: Operand<'i32'>, offset = 0): Value<'i32'> =>
    apply('i32', [operand('atomic.load', 'i32', pointer)], [threads, 0x10, ...address(offset)]),
  /** Adds; gives the value from before. */
  add: (pointer: Operand<'i32'>, value: Operand<'i32'>, offset = 0): Value<'i32'> =>
    apply(
      'i32',
      [operand('atomic.add', 'i32', pointer), operand('atomic.add', 'i32', value)],
      [threads, 0x1e, ...address(offset)],
    ),
  /** Sleeps while the word holds `expected`, until it is notified. */
  wait: (pointer: Operand<'i32'>, expected: Operand<'i32'>, offset = 0): Value<'i32'> =>
    apply(
      'i32',
      [operand('atomic.wait', 'i32', pointer), operand('atomic.wait', 'i32', expected), forever],
      [threads, 0x01, ...address(offset)],
    ),
  /** Wakes at most `count` sleepers; gives how many. */
  notify: (pointer: Operand<'i32'>, count: Operand<'i32'>, offset = 0): Value<'i32'> =>
    apply(
      'i32',
      [operand('atomic.notify', 'i32', pointer), operand('atomic.notify', 'i32', count)],
      [threads, 0x00, ...address(offset)],
    ),
}

/** One float32. */
export const f32 = {
  const: (value: number) => operand('f32.const', 'f32', value),
  load: load('f32.load', 'f32', [0x2a]),
  ...family('f32', ['f32'], 'f32', { abs: 0x8b, neg: 0x8c, floor: 0x8e, nearest: 0x90, sqrt: 0x91 }),
  ...family('f32', ['f32', 'f32'], 'f32', { add: 0x92, sub: 0x93, mul: 0x94, div: 0x95, min: 0x96, max: 0x97 }),
  ...family('f32', ['f32', 'f32'], 'i32', { eq: 0x5b, ne: 0x5c, lt: 0x5d, gt: 0x5e, le: 0x5f, ge: 0x60 }),
  ...family('f32', ['i32'], 'f32', { convert_i32_s: 0xb2, reinterpret_i32: 0xbe }),
}

/** 128 bits, whatever they hold. `bitselect(a, b, mask)` takes a's bits where the mask has ones. */
export const v128 = {
  /** Four words that are known now; to be kept in a local, since an engine makes them anew at each use. */
  const: (words: readonly [number, number, number, number]): Value<'v128'> => ({
    type: 'v128',
    code: [simd, 0x0c, ...words.flatMap((word) => [0, 8, 16, 24].map((shift) => (word >>> shift) & 0xff))],
  }),
  load: load('v128.load', 'v128', [simd, 0x00]),
  /** One float32 of the memory in all four lanes. */
  load32_splat: load('v128.load32_splat', 'v128', [simd, 0x09]),
  ...family('v128', ['v128'], 'v128', { not: 0x4d }),
  ...family('v128', ['v128', 'v128'], 'v128', { and: 0x4e, andnot: 0x4f, or: 0x50, xor: 0x51 }),
  ...family('v128', ['v128', 'v128', 'v128'], 'v128', { bitselect: 0x52 }),
}

/** Four float32 lanes. Comparisons give all ones or all zeros a lane; `pmin(a, b)` is b < a ? b : a, cheaper than `min`. */
export const f32x4 = {
  extract_lane: (vector: Operand<'v128'>, lane: number) =>
    apply('f32', [operand('f32x4.extract_lane', 'v128', vector)], [simd, 0x1f, requireLane(lane, 4)]),
  ...family('f32x4', ['f32'], 'v128', { splat: 0x13 }),
  ...family('f32x4', ['v128'], 'v128', { abs: 0xe0, neg: 0xe1, sqrt: 0xe3, ceil: 0x67, floor: 0x68 }),
  ...family('f32x4', ['v128'], 'v128', { trunc: 0x69, nearest: 0x6a }),
  ...family('f32x4', ['v128', 'v128'], 'v128', { add: 0xe4, sub: 0xe5, mul: 0xe6, div: 0xe7 }),
  ...family('f32x4', ['v128', 'v128'], 'v128', { min: 0xe8, max: 0xe9, pmin: 0xea, pmax: 0xeb }),
  ...family('f32x4', ['v128', 'v128'], 'v128', { eq: 0x41, ne: 0x42, lt: 0x43, gt: 0x44, le: 0x45, ge: 0x46 }),
  ...family('f32x4', ['v128'], 'v128', { convert_i32x4_s: 0xfa, demote_f64x2_zero: 0x5e }),
  /** x y + z and z - x y, rounded once or twice as the machine likes: relaxed SIMD. */
  ...family('f32x4', ['v128', 'v128', 'v128'], 'v128', { relaxed_madd: 0x105, relaxed_nmadd: 0x106 }),
}

/** Four 32-bit integer lanes. */
export const i32x4 = {
  /**
   * Four words chosen from the eight of a (0 to 3) and b (4 to 7); the specification spells it by bytes, `i8x16.shuffle`.
   *
   * @example i32x4.shuffle(a, b, [0, 4, 1, 5]) // a0 b0 a1 b1
   */
  shuffle: (a: Operand<'v128'>, b: Operand<'v128'>, words: readonly [number, number, number, number]) => {
    const bytes = words.flatMap((word) => [0, 1, 2, 3].map((byte) => 4 * requireLane(word, 8) + byte))
    return apply('v128', [operand('shuffle', 'v128', a), operand('shuffle', 'v128', b)], [simd, 0x0d, ...bytes])
  },
  ...family('i32x4', ['i32'], 'v128', { splat: 0x11 }),
  ...family('i32x4', ['v128', 'i32'], 'v128', { shl: 0xab, shr_s: 0xac, shr_u: 0xad }),
  ...family('i32x4', ['v128', 'v128'], 'v128', { add: 0xae, sub: 0xb1, mul: 0xb5 }),
  ...family('i32x4', ['v128', 'v128'], 'v128', { eq: 0x37, gt_s: 0x3b }),
  ...family('i32x4', ['v128'], 'v128', { trunc_sat_f32x4_s: 0xf8 }),
  /** `bitselect` where a mask is all ones or all zeros a lane: relaxed SIMD, one instruction. */
  ...family('i32x4', ['v128', 'v128', 'v128'], 'v128', { relaxed_laneselect: 0x10b }),
  /** The sign bits of the lanes: bit i of the result is lane i's. */
  ...family('i32x4', ['v128'], 'i32', { bitmask: 0xa4 }),
}

/** Two float64 lanes, for what float32 is too coarse; `promote_low_f32x4` makes them of the first two of four. */
export const f64x2 = {
  ...family('f64x2', ['v128'], 'v128', { nearest: 0x94, promote_low_f32x4: 0x5f }),
  ...family('f64x2', ['v128', 'v128'], 'v128', { add: 0xf0, sub: 0xf1, mul: 0xf2, div: 0xf3, pmin: 0xf6, pmax: 0xf7 }),
}

/** Two 64-bit integer lanes. */
export const i64x2 = {
  ...family('i64x2', ['v128', 'i32'], 'v128', { shl: 0xcb }),
  ...family('i64x2', ['v128', 'v128'], 'v128', { add: 0xce }),
}

/** `condition` non-zero: `yes`, else `no`; both are computed. */
export function select<T extends ValueType>(condition: Operand<'i32'>, yes: Value<T>, no: Value<T>): Value<T> {
  return apply(
    yes.type,
    [yes, operand('select', yes.type, no as Operand<T>), operand('select', 'i32', condition)],
    [0x1b],
  )
}

/** An assignment that is also a value: what the local now holds. */
export function tee<T extends ValueType>(local: Local<T>, value: Operand<T>): Value<T> {
  const target = { ...local, code: [] }
  return apply(local.type, [operand('tee', local.type, value), target], [0x22, ...unsigned(local.index)])
}
