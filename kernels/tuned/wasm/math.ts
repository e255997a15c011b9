/**
 * Functions of four float32 at a time, for use inside any kernel: exp, log, tanh, sigmoid.
 *
 * Each is made before the loop that uses it, where it puts its constants, and is then applied to vectors:
 *
 * @example
 * const constants = new Constants(f)
 * const exp = exponential(f, constants)
 * f.times(count, () => {
 *   f.store(x, exp(v128.load(x)))
 *   f.advance(x, 16)
 * })
 *
 * Errors are stated in ulp of the result, against the exact function of the float32 argument, and hold with and without
 * fused multiply-add. u = 2^-24 is the largest relative error of one rounding.
 */
import type { FunctionBuilder } from './assembler.ts'
import { f32x4, i32, i32x4, type Local, memorySize, type Operand, type Value, v128 } from './instructions.ts'

export type Vector = Value<'v128'>
export type VectorFunction = (x: Operand<'v128'>) => Vector

const word = new DataView(new ArrayBuffer(4))
const longWord = new DataView(new ArrayBuffer(8))

/** The bits of the float32 nearest to `value`, as a signed integer. */
export function bitsOf(value: number): number {
  word.setFloat32(0, value)
  return word.getInt32(0)
}

/**
 * Vector constants of one function, each kept in a local.
 *
 * V8 makes a constant that it sees anew at every use, in several instructions (exp then takes twice as long). So these
 * are sums with a zero that it does not see through; what has no register waits in memory.
 */
export class Constants {
  readonly #f: FunctionBuilder
  readonly #made = new Map<number, Local<'v128'>>()
  readonly #doubles = new Map<number, Local<'v128'>>()
  #zero: Local<'i32'> | undefined

  constructor(f: FunctionBuilder) {
    this.#f = f
  }

  /** `value` in all lanes. Ask for it outside of loops. */
  float(value: number): Local<'v128'> {
    return this.bits(bitsOf(value))
  }

  /** A float64 in both of two lanes. */
  double(value: number): Local<'v128'> {
    const known = this.#doubles.get(value)
    if (known) return known
    longWord.setFloat64(0, value)
    const [low, high] = [this.bits(longWord.getInt32(4)), this.bits(longWord.getInt32(0))]
    const constant = this.#f.local('v128', i32x4.shuffle(low, high, [0, 4, 1, 5]))
    this.#doubles.set(value, constant)
    return constant
  }

  /** A 32-bit pattern in all lanes. */
  bits(pattern: number): Local<'v128'> {
    let constant = this.#made.get(pattern)
    if (!constant) {
      this.#zero ??= this.#f.local('i32', i32.shr_u(memorySize(), 31))
      const lanes = i32x4.splat(i32.xor(this.#zero, pattern))
      this.#made.set(pattern, (constant = this.#f.local('v128', lanes)))
    }
    return constant
  }
}

const ln2High = 22713 / 32768
const ln2Low = Math.LN2 - ln2High
/** Adding it to |x| < 2^22 leaves the nearest integer in the low bits, and taking it off again gives that integer. */
const rounder = 1.5 * 2 ** 23

/** e^r = 1 + r + r^2 (q0 + q1 r + ... + q4 r^4) to 2^-28 relatively on |r| <= ln 2 / 2: minimax, coefficients rounded in turn. */
const exponentialTail = [
  0.4999999403953552, 0.16666516661643982, 0.04166810214519501, 0.008369199000298977, 0.0013839112361893058,
]

/** Horner's rule: the coefficients' polynomial in x, at least two of them. */
export function polynomial(f: FunctionBuilder, coefficients: readonly Local<'v128'>[], x: Local<'v128'>): Vector {
  return coefficients
    .slice(0, -1)
    .reduceRight((sum: Vector, c) => f.madd(sum, x, c), coefficients[coefficients.length - 1])
}

/**
 * x = n ln 2 + r with an integer n and |r| <= ln 2 / 2: gives e^r - 1, and n in the low bits of each word.
 *
 * ln 2 is taken off in two parts, of which the first has 15 bits, so that n times it is exact for |n| < 2^9 (Cody and
 * Waite 1980). r is then wrong by less than u / 4, and e^r - 1 by less than 1.2 u |r| + u / 4.
 */
function reducedExponential(f: FunctionBuilder, constants: Constants) {
  const perLn2 = constants.float(Math.LOG2E)
  const round = constants.float(rounder)
  const [high, low] = [-ln2High, -ln2Low].map((part) => constants.float(part))
  const [q0, q1, q2, q3, q4] = exponentialTail.map((c) => constants.float(c))
  return (x: Vector) => {
    const turns = f.local('v128', f.madd(x, perLn2, round))
    const n = f.local('v128', f32x4.sub(turns, round))
    const r = f.local('v128', f.madd(n, low, f.madd(n, high, x)))
    const square = f.local('v128', f32x4.mul(r, r))
    // Pairs of terms side by side: what a vector waits for is the length of this chain.
    const upper = f.madd(square, q4, f.madd(r, q3, q2))
    const polynomial = f.madd(square, upper, f.madd(r, q1, q0))
    const less1 = f.local('v128', f.madd(square, polynomial, r))
    return { turns, less1 }
  }
}

/**
 * e^x, within 1 ulp. Infinity above 88.7228..., 0 from -104 down, correctly subnormal between (there within 1 unit of
 * 2^-149); NaN stays NaN.
 */
export function exponential(f: FunctionBuilder, constants = new Constants(f)): VectorFunction {
  // Just beyond where e^x leaves float32, so that n stays between -150 and 128 and an infinite x makes no NaN.
  const [least, most] = [constants.float(-104), constants.float(89)]
  const one = constants.float(1)
  const reduce = reducedExponential(f, constants)
  return (x) => {
    const { turns, less1 } = reduce(f.local('v128', f32x4.pmax(f32x4.pmin(x, most), least)))
    // 2^n = 2^(n div 2) 2^(n - n div 2): each is a float32, made by writing its exponent.
    const half = f.local('v128', i32x4.shr_s(turns, 1))
    const powerOf2 = (n: Vector) => f.local('v128', i32x4.add(i32x4.shl(n, 23), one))
    const first = powerOf2(half)
    return f32x4.mul(f.madd(less1, first, first), powerOf2(i32x4.sub(turns, half)))
  }
}

/** e^x for x <= 0, within 1 ulp, in fewer instructions: what softmax and sigmoid need. Above 40 its results are undefined. */
export function exponentialOfNegative(f: FunctionBuilder, constants = new Constants(f)): VectorFunction {
  const least = constants.float(-104)
  const [lifted, lowered] = [constants.float(2 ** 64), constants.float(2 ** -64)]
  const reduce = reducedExponential(f, constants)
  return (x) => {
    const { turns, less1 } = reduce(f.local('v128', f32x4.pmax(x, least)))
    // 2^n may be subnormal, 2^(n + 64) is not.
    const power = f.local('v128', i32x4.add(i32x4.shl(turns, 23), lifted))
    return f32x4.mul(f.madd(less1, power, power), lowered)
  }
}

/**
 * e^x of x that are not above 0, within 1 ulp, in two thirds of the time of `exponential`: what softmax weighs with. 0 below
 * -86.6, where e^x is 2^-125; NaN stays NaN.
 */
export function exponentialBelow0(f: FunctionBuilder, constants = new Constants(f)): VectorFunction {
  // So that 2^n is no subnormal number. What comes of x below, infinity too, is masked out.
  const least = constants.float(-86.6)
  const one = constants.float(1)
  const reduce = reducedExponential(f, constants)
  return (given) => {
    const x = f.local('v128', given)
    const { turns, less1 } = reduce(x)
    const powerOf2 = i32x4.add(i32x4.shl(turns, 23), one)
    return v128.andnot(f32x4.mul(f32x4.add(less1, one), powerOf2), f32x4.lt(x, least))
  }
}

/**
 * tanh x = (e^2x - 1) / (e^2x + 1), within 3 ulp, also near 0; the sign of zero stays, and NaN.
 *
 * With y = 2x: e^y - 1 = 2^n (e^r - 1) + (2^n - 1) loses nothing where y is small, since n is then 0.
 */
export function hyperbolicTangent(f: FunctionBuilder, constants = new Constants(f)): VectorFunction {
  // tanh 9.02 rounds to 1.
  const [least, most] = [constants.float(-18.5), constants.float(18.5)]
  const [one, two, sign] = [constants.float(1), constants.float(2), constants.float(-0)]
  const reduce = reducedExponential(f, constants)
  return (given) => {
    const x = f.local('v128', given)
    const twice = f32x4.add(x, x)
    const { turns, less1 } = reduce(f.local('v128', f32x4.pmax(f32x4.pmin(twice, most), least)))
    const power = f.local('v128', i32x4.add(i32x4.shl(turns, 23), one))
    const e = f.local('v128', f.madd(less1, power, f32x4.sub(power, one)))
    return v128.or(f32x4.div(e, f32x4.add(e, two)), v128.and(x, sign))
  }
}

/**
 * 1 / (1 + e^-x), within 3 ulp, subnormal results included; by the side on which the exponential does not overflow.
 *
 * @param exp another exponential of what is not above 0
 */
export function sigmoid(
  f: FunctionBuilder,
  constants = new Constants(f),
  exp = exponentialOfNegative(f, constants),
): VectorFunction {
  const [one, sign] = [constants.float(1), constants.float(-0)]
  const zero = constants.float(0)
  return (given) => {
    const x = f.local('v128', given)
    const e = f.local('v128', exp(v128.or(x, sign)))
    return f32x4.div(f.choose(f32x4.ge(x, zero), one, e), f32x4.add(e, one))
  }
}

/** log(1 + t) = t - t^2 / 2 + t^3 (q0 + q1 t + ... + q7 t^7) to 2^-27 relatively for 1 + t from sqrt(1/2) to sqrt(2). */
const logarithmTail = [
  0.3333333134651184, -0.250008225440979, 0.20001260936260223, -0.16623322665691376, 0.14200927317142487,
  -0.13159610331058502, 0.12766939401626587, -0.07642533630132675,
]

/**
 * The natural logarithm, within 1 ulp, subnormal arguments included. -Infinity of 0, NaN of what is below 0, Infinity of
 * Infinity; NaN stays NaN.
 */
export function logarithm(f: FunctionBuilder, constants = new Constants(f)): VectorFunction {
  const [leastNormal, lift, lifted] = [2 ** -126, 2 ** 23, 23].map((value) => constants.float(value))
  const [rootHalf, fraction] = [constants.float(Math.SQRT1_2), constants.bits(0x7fffff)]
  const [one, half] = [constants.float(1), constants.float(-0.5)]
  const [high, low] = [ln2High, ln2Low].map((part) => constants.float(part))
  const [zero, infinity, minusInfinity] = [0, Infinity, -Infinity].map((value) => constants.float(value))
  const tail = logarithmTail.map((c) => constants.float(c))
  return (given) => {
    const x = f.local('v128', given)
    const isSmall = f.local('v128', f32x4.lt(x, leastNormal))
    // x = 2^n m with m from sqrt(1/2) to sqrt(2): the exponent of what is left when sqrt(1/2)'s bits are taken off.
    const bits = f.local('v128', i32x4.sub(f.choose(isSmall, f32x4.mul(x, lift), x), rootHalf))
    const exponent = f32x4.convert_i32x4_s(i32x4.shr_s(bits, 23))
    const n = f.local('v128', f32x4.sub(exponent, v128.and(isSmall, lifted)))
    const t = f.local('v128', f32x4.sub(i32x4.add(v128.and(bits, fraction), rootHalf), one))
    const square = f.local('v128', f32x4.mul(t, t))
    const small = f.madd(f32x4.mul(square, t), polynomial(f, tail, t), f32x4.mul(n, low))
    const finite = f.madd(n, high, f32x4.add(f.madd(square, half, small), t))
    // All ones are a NaN.
    const notBelow0 = v128.or(finite, v128.not(f32x4.ge(x, zero)))
    return f.choose(f32x4.eq(x, zero), minusInfinity, f.choose(f32x4.eq(x, infinity), x, notBelow0))
  }
}
