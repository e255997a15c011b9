/**
 * What a reduction keeps while it goes through vectors: a sum, or an extremum.
 *
 * A fold takes up to four vectors at a time and combines them in pairs first. Sums then go on in float64, so that their
 * error does not grow with their length: two roundings to float32 for the pairs and one for the result are at most
 * 3 u sum |x|, u = 2^-24 (beside those of float64, which are 2^-29 of it and grow with the number of vectors).
 */
import type { FunctionBuilder } from './assembler.ts'
import { f32, f32x4, f64x2, i32x4, type Local, type Operand, select, type Value, v128 } from './instructions.ts'

export interface Fold {
  /** All that it keeps. */
  readonly state: readonly Local<'v128'>[]
  /** Starts anew. */
  reset(): void
  add(vectors: readonly Value<'v128'>[]): void
  /** What a lane without an element holds; undefined for 0. */
  readonly neutral: Local<'v128'> | undefined
  /** The result of each lane. */
  lanes(): Value<'v128'>
  /** The result of all lanes. */
  number(): Value<'f32'>
}

export type FoldName = 'sum' | 'max' | 'min'

export function fold(f: FunctionBuilder, name: FoldName): Fold {
  return name === 'sum' ? sumFold(f) : extremumFold(f, name)
}

type Combine = (a: Value<'v128'>, b: Value<'v128'>) => Value<'v128'>

/** Vectors combined in pairs, those in pairs again, until one is left. */
function inPairs(vectors: readonly Value<'v128'>[], combine: Combine): Value<'v128'> {
  if (vectors.length === 1) return vectors[0]
  const half = Math.ceil(vectors.length / 2)
  return combine(inPairs(vectors.slice(0, half), combine), inPairs(vectors.slice(half), combine))
}

const swapHalves = (x: Operand<'v128'>) => i32x4.shuffle(x, x, [2, 3, 0, 1])
const swapPairs = (x: Operand<'v128'>) => i32x4.shuffle(x, x, [1, 0, 3, 2])

export function sumFold(f: FunctionBuilder): Fold {
  const low = f.local('v128')
  const high = f.local('v128')
  const pair = f.local('v128')
  return {
    state: [low, high],
    neutral: undefined,
    reset() {
      f.set(low, f32x4.splat(0))
      f.set(high, f32x4.splat(0))
    },
    add(vectors) {
      f.set(pair, inPairs(vectors, f32x4.add))
      f.set(low, f64x2.add(low, f64x2.promote_low_f32x4(pair)))
      f.set(high, f64x2.add(high, f64x2.promote_low_f32x4(swapHalves(pair))))
    },
    lanes: () => i32x4.shuffle(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), [0, 1, 4, 5]),
    number() {
      f.set(low, f64x2.add(low, high))
      f.set(low, f64x2.add(low, swapHalves(low)))
      return f32x4.extract_lane(f32x4.demote_f64x2_zero(low), 0)
    },
  }
}

/** An extremum of numbers; what it is where one is NaN is unspecified. */
export function numberFold(f: FunctionBuilder, name: 'max' | 'min'): Fold {
  const combine: Combine = name === 'max' ? f32x4.pmax : f32x4.pmin
  const neutral = f.local('v128', f32x4.splat(name === 'max' ? -Infinity : Infinity))
  const best = f.local('v128')
  return {
    state: [best],
    neutral,
    reset: () => f.set(best, neutral),
    add: (vectors) => f.set(best, inPairs([best, ...vectors], combine)),
    lanes: () => best,
    number() {
      f.set(best, combine(best, swapHalves(best)))
      f.set(best, combine(best, swapPairs(best)))
      return f32x4.extract_lane(best, 0)
    },
  }
}

/** NaN if there is one. `pmax(a, b)` drops a NaN in b, and is much cheaper than `max`, so where one was is kept apart. */
export function extremumFold(f: FunctionBuilder, name: 'max' | 'min'): Fold {
  const best = numberFold(f, name)
  const notANumber = f.local('v128')
  return {
    state: [...best.state, notANumber],
    neutral: best.neutral,
    reset() {
      best.reset()
      f.set(notANumber, f32x4.splat(0))
    },
    add(vectors) {
      const kept = vectors.map((vector) => f.local('v128', vector))
      const unequal = kept.map((vector) => f32x4.ne(vector, vector))
      f.set(notANumber, v128.or(notANumber, inPairs(unequal, v128.or)))
      best.add(kept)
    },
    // All ones are a NaN.
    lanes: () => v128.or(best.lanes(), notANumber),
    number: () => select(i32x4.bitmask(notANumber), f32.const(Number.NaN), best.number()),
  }
}
