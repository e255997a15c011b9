/**
 * Functions of four float32 at a time that need float64 on the way, two lanes after two: sin, cos, pow. As in math.ts, each
 * is made before the loop that uses it. The results are what float64 gives, rounded once, to a thousandth of an ulp or so.
 */
import type { FunctionBuilder } from './assembler.ts'
import { f32x4, f64x2, i32x4, i64x2, type Local, v128 } from './instructions.ts'
import { Constants, polynomial, type Vector, type VectorFunction } from './math.ts'

/** The two halves of four float32 as float64, worked on, and what became of them, words side by side again. */
function inHalves(
  f: FunctionBuilder,
  vectors: readonly Vector[],
  work: (...halves: Local<'v128'>[]) => Vector[],
): Vector[][] {
  const high = vectors.map((x) => i32x4.shuffle(x, x, [2, 3, 2, 3]))
  return [vectors, high].map((half) => work(...half.map((x) => f.local('v128', f64x2.promote_low_f32x4(x)))))
}

/** Four float32 of two halves of float64. */
const joined = ([low, high]: readonly Vector[]): Vector =>
  i32x4.shuffle(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), [0, 1, 4, 5])

/** The low words of two halves of 64-bit lanes. */
const lowWords = ([low, high]: readonly Vector[]): Vector => i32x4.shuffle(low, high, [0, 2, 4, 6])

/** Adding it to |x| < 2^51 leaves the nearest integer in the low bits, and taking it off again gives that integer. */
const rounder = 1.5 * 2 ** 52

/** Horner's rule in float64. */
const polynomial64 = (coefficients: readonly Local<'v128'>[], x: Local<'v128'>): Vector =>
  coefficients
    .slice(0, -1)
    .reduceRight((sum: Vector, c) => f64x2.add(f64x2.mul(sum, x), c), coefficients[coefficients.length - 1])

/**
 * 1 / (2 pi) in slices of 29 bits, as many as the largest float32 needs. A float32 times a slice is exact, and so is the
 * part of it between two whole turns: their sum is the fraction of a turn, for arguments of any size (after Payne and
 * Hanek 1983).
 */
const perTurn = 0x28be60db9391054a7f09d5f47d4d377036d8a5664f10e4107f9458eaf7aen
const slices = Array.from({ length: 7 }, (_, i) => {
  const slice = (perTurn >> BigInt(240 - 29 * (i + 1))) & 0x1fffffffn
  return Number(slice) * 2 ** (-29 * (i + 1))
})

/** sin r = r + r^3 (...) and cos r = 1 - r^2 / 2 + r^4 (...), in powers of r^2, to 2^-27 relatively on |r| <= pi / 4. */
const sineTail = [-0.16666655242443085, 0.008332188241183758, -0.0001951809535967186]
const cosineTail = [0.04166664555668831, -0.0013887309469282627, 0.000024432327336398885]

/** sin(x + quarters pi / 2). */
function circular(f: FunctionBuilder, constants: Constants, quarters: number): VectorFunction {
  const parts = slices.map((slice) => constants.double(slice))
  const [four, round, quarter] = [4, rounder, Math.PI / 2].map((value) => constants.double(value))
  const [one, half] = [constants.float(1), constants.float(-0.5)]
  const [bit1, bit2, ahead] = [1, 2, quarters].map((pattern) => constants.bits(pattern))
  const [sines, cosines] = [sineTail, cosineTail].map((tail) => tail.map((c) => constants.float(c)))
  const zero = constants.float(0)
  return (given) => {
    const x = f.local('v128', given)
    const halves = inHalves(f, [x], (half) => {
      const turns = f.local('v128')
      parts.toReversed().forEach((part, i) => {
        const product = f.local('v128', f64x2.mul(half, part))
        const fraction = f64x2.sub(product, f64x2.nearest(product))
        f.set(turns, i === 0 ? fraction : f64x2.add(turns, fraction))
      })
      const inQuarters = f.local('v128', f64x2.mul(turns, four))
      const count = f.local('v128', f64x2.add(inQuarters, round))
      const rest = f64x2.mul(f64x2.sub(inQuarters, f64x2.sub(count, round)), quarter)
      return [f.local('v128', rest), count]
    })
    const r = f.local('v128', joined(halves.map(([rest]) => rest)))
    const count = f.local('v128', i32x4.add(lowWords(halves.map(([, count]) => count)), ahead))
    const square = f.local('v128', f32x4.mul(r, r))
    const sine = f.madd(f32x4.mul(square, r), polynomial(f, sines, square), r)
    const fourth = f32x4.mul(square, square)
    const cosine = f.madd(fourth, polynomial(f, cosines, square), f.madd(square, half, one))
    const isOdd = i32x4.sub(zero, v128.and(count, bit1))
    const sign = i32x4.shl(v128.and(count, bit2), 30)
    const result = v128.xor(f.choose(isOdd, cosine, sine), sign)
    // The sign of zero is lost on the way.
    return quarters === 0 ? f.choose(f32x4.eq(x, zero), x, result) : result
  }
}

/** sin x, within 2 ulp for every x; NaN of infinities. */
export const sine = (f: FunctionBuilder, constants = new Constants(f)): VectorFunction => circular(f, constants, 0)

/** cos x, within 2 ulp for every x; NaN of infinities. */
export const cosine = (f: FunctionBuilder, constants = new Constants(f)): VectorFunction => circular(f, constants, 1)

/** log2 m = s (c0 + c1 s^2 + ... + c5 s^10), s = (m - 1) / (m + 1), to 2^-44 relatively for m from sqrt(1/2) to sqrt(2). */
const logarithmTail = [
  2.8853900817777935, 0.9617966941489658, 0.5770779369268759, 0.41220955048259605, 0.3198999686001767,
  0.2829168044881778,
]
/** 2^t to 2^-28 relatively on |t| <= 1/2. */
const exponentialTail = [
  1.0000000005266922, 0.6931472061092486, 0.24022647098981878, 0.055503281528281614, 0.009618467418701043,
  0.0013400141448370202, 0.0001535139350003543,
]

/**
 * a^b, within 1 ulp, subnormal numbers included, with JavaScript's special cases: x^0 = 1 even of NaN, (+-1)^(+-Infinity) is
 * NaN, and so is a finite number below 0 to a power that is no integer.
 */
export function power(f: FunctionBuilder, constants = new Constants(f)): (a: Vector, b: Vector) => Vector {
  const [leastNormal, lift, lifted] = [2 ** -126, 2 ** 23, 23].map((value) => constants.float(value))
  const [rootHalf, fraction] = [constants.float(Math.SQRT1_2), constants.bits(0x7fffff)]
  const [zero, half, one, sign] = [0, 0.5, 1, -0].map((value) => constants.float(value))
  const [infinity, minusInfinity] = [constants.float(Infinity), constants.float(-Infinity)]
  // 2^200 is infinite in float32, and 2^-200 is 0.
  const [most, least, round, one64] = [200, -200, rounder, 1].map((value) => constants.double(value))
  const logarithms = logarithmTail.map((c) => constants.double(c))
  const exponentials = exponentialTail.map((c) => constants.double(c))

  /** log2 |a| as n + log2 m, n an integer and m from sqrt(1/2) to sqrt(2); n is what log2 |a| is where |a| is 0 or not finite. */
  const parts = (size: Local<'v128'>) => {
    const isSmall = f.local('v128', f32x4.lt(size, leastNormal))
    const bits = f.local('v128', i32x4.sub(f.choose(isSmall, f32x4.mul(size, lift), size), rootHalf))
    const exponent = f32x4.convert_i32x4_s(i32x4.shr_s(bits, 23))
    const finite = f.choose(f32x4.lt(size, infinity), f32x4.sub(exponent, v128.and(isSmall, lifted)), size)
    const n = f.local('v128', f.choose(f32x4.eq(size, zero), minusInfinity, finite))
    return [n, f.local('v128', i32x4.add(v128.and(bits, fraction), rootHalf))]
  }

  return (base, exponent) => {
    const a = f.local('v128', base)
    const b = f.local('v128', exponent)
    const size = f.local('v128', f32x4.abs(a))
    const halves = inHalves(f, [...parts(size), b], (n, m, b) => {
      const s = f.local('v128', f64x2.div(f64x2.sub(m, one64), f64x2.add(m, one64)))
      const square = f.local('v128', f64x2.mul(s, s))
      const log2 = f64x2.add(f64x2.mul(polynomial64(logarithms, square), s), n)
      const t = f.local('v128', f64x2.pmax(f64x2.pmin(f64x2.mul(b, log2), most), least))
      const count = f.local('v128', f64x2.add(t, round))
      const rest = f.local('v128', f64x2.sub(t, f64x2.sub(count, round)))
      const scale = i64x2.add(i64x2.shl(count, 52), one64)
      return [f.local('v128', f64x2.mul(polynomial64(exponentials, rest), scale))]
    })
    const ofSize = joined(halves.map(([result]) => result))
    // Odd is what is an integer but not twice one; infinities are even.
    const isInteger = f.local('v128', f32x4.eq(f32x4.floor(b), b))
    const halved = f.local('v128', f32x4.mul(b, half))
    const isOdd = v128.and(isInteger, f32x4.ne(f32x4.floor(halved), halved))
    const signed = v128.xor(ofSize, v128.and(v128.and(a, sign), isOdd))
    // All ones are a NaN.
    const isBelow0 = v128.and(f32x4.lt(a, zero), f32x4.gt(a, minusInfinity))
    const defined = v128.or(signed, v128.andnot(isBelow0, isInteger))
    return f.choose(f32x4.eq(b, zero), one, defined)
  }
}
