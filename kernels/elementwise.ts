/**
 * Scalar functions of one operation each: one number per operand in, one number out. Broadcasting, loops and fusion are
 * the runner's.
 *
 * Written for three machines at once: float64 here, float32 in WebAssembly, and WGSL, where NaN tests, `pow` of a
 * negative base, `tanh` of a large argument and infinite literals cannot be relied on. Where a comparison decides, the
 * branch is chosen so that NaN falls through to an expression that keeps it.
 */
import { elementwise } from './kernel.ts'

// Arithmetic

export const add = elementwise(function add(a: number, b: number): number {
  return a + b
})

export const sub = elementwise(function sub(a: number, b: number): number {
  return a - b
})

export const mul = elementwise(function mul(a: number, b: number): number {
  return a * b
})

export const div = elementwise(function div(a: number, b: number): number {
  return a / b
})

export const neg = elementwise(function neg(x: number): number {
  return -x
})

export const square = elementwise(function square(x: number): number {
  return x * x
})

export const reciprocal = elementwise(function reciprocal(x: number): number {
  return 1 / x
})

export const abs = elementwise(function abs(x: number): number {
  return Math.abs(x)
})

export const sign = elementwise(function sign(x: number): number {
  if (x > 0) return 1
  if (x < 0) return -1
  return x
})

export const floor = elementwise(function floor(x: number): number {
  return Math.floor(x)
})

export const sqrt = elementwise(function sqrt(x: number): number {
  return Math.sqrt(x)
})

export const rsqrt = elementwise(function rsqrt(x: number): number {
  return 1 / Math.sqrt(x)
})

/** a^b. The base is taken positive and the sign put back, since WGSL's pow of a negative base is not defined. */
export const pow = elementwise(function pow(a: number, b: number, nan: number): number {
  if (b === 0) return 1
  if (a >= 0) return a ** b
  if (a < 0) {
    if (b === Math.floor(b)) {
      const half = b * 0.5
      if (half === Math.floor(half)) return (-a) ** b
      return -((-a) ** b)
    }
    if (b - b === 0) return nan
    return (-a) ** b
  }
  return a
}, 2)

/** d(a^b)/db = a^b log a, and 0 where a = 0 and b >= 0 (the limit from above, as PyTorch has it). */
export const powExponentGradient = elementwise(function powExponentGradient(
  a: number,
  power: number,
  b: number,
): number {
  if (a === 0) {
    if (b >= 0) return 0
  }
  return power * Math.log(a)
}, 3)

// Comparisons: 1 where true, 0 where false; NaN compares false, except that it is not equal

export const equal = elementwise(function equal(a: number, b: number): number {
  if (a === b) return 1
  return 0
})

export const notEqual = elementwise(function notEqual(a: number, b: number): number {
  if (a === b) return 0
  return 1
})

export const less = elementwise(function less(a: number, b: number): number {
  if (a < b) return 1
  return 0
})

export const lessEqual = elementwise(function lessEqual(a: number, b: number): number {
  if (a <= b) return 1
  return 0
})

export const greater = elementwise(function greater(a: number, b: number): number {
  if (a > b) return 1
  return 0
})

export const greaterEqual = elementwise(function greaterEqual(a: number, b: number): number {
  if (a >= b) return 1
  return 0
})

export const maximum = elementwise(function maximum(a: number, b: number): number {
  if (a > b) return a
  if (b >= a) return b
  return a + b
})

export const minimum = elementwise(function minimum(a: number, b: number): number {
  if (a < b) return a
  if (b <= a) return b
  return a + b
})

export const where = elementwise(function where(condition: number, a: number, b: number): number {
  if (condition === 0) return b
  return a
})

/** Into [low, high]; NaN stays. */
export const clamp = elementwise(function clamp(x: number, low: number, high: number): number {
  if (x < low) return low
  if (x > high) return high
  return x
}, 1)

// Exponentials and friends

export const exp = elementwise(function exp(x: number): number {
  return Math.exp(x)
})

export const log = elementwise(function log(x: number): number {
  return Math.log(x)
})

export const sin = elementwise(function sin(x: number): number {
  return Math.sin(x)
})

export const cos = elementwise(function cos(x: number): number {
  return Math.cos(x)
})

/** tanh, saturated beyond 20, where it is 1 to float64 and some WGSL adapters return NaN. */
export const tanh = elementwise(function tanh(x: number): number {
  if (x > 20) return 1
  if (x < -20) return -1
  return Math.tanh(x)
})

/** 1 / (1 + e^-x), by the side on which the exponential does not overflow. */
export const sigmoid = elementwise(function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x))
  const e = Math.exp(x)
  return e / (1 + e)
})

export const sigmoidGradient = elementwise(function sigmoidGradient(dy: number, y: number): number {
  return dy * y * (1 - y)
})

export const tanhGradient = elementwise(function tanhGradient(dy: number, y: number): number {
  return dy * (1 - y * y)
})

export const relu = elementwise(function relu(x: number): number {
  if (x <= 0) return 0
  return x
})

/**
 * log(1 + e^x) = max(x, 0) + log(1 + e^-|x|).
 *
 * log(1 + u) is summed as 2 atanh(u / (2 + u)) when u is small: WGSL has no log1p, and log(1 + u) loses u.
 */
export const softplus = elementwise(function softplus(x: number): number {
  const u = Math.exp(-Math.abs(x))
  let tail = Math.log(1 + u)
  if (u < 0.25) {
    const s = u / (2 + u)
    const s2 = s * s
    const late = 1 / 9 + s2 * (1 / 11 + s2 * (1 / 13 + s2 * (1 / 15 + s2 * (1 / 17))))
    tail = 2 * s * (1 + s2 * (1 / 3 + s2 * (1 / 5 + s2 * (1 / 7 + s2 * late))))
  }
  if (x > 0) return x + tail
  return tail
})

/** x sigmoid(x). */
export const silu = elementwise(function silu(x: number): number {
  if (x >= 0) return x / (1 + Math.exp(-x))
  const e = Math.exp(x)
  return (x * e) / (1 + e)
})

/** dy (s + x s (1 - s)), s = sigmoid(x). */
export const siluGradient = elementwise(function siluGradient(dy: number, x: number): number {
  const e = Math.exp(-Math.abs(x))
  let s = 1 / (1 + e)
  if (x < 0) s = e / (1 + e)
  return dy * (s + x * s * (1 - s))
})

/** 0.5 x (1 + tanh u) = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3): Hendrycks and Gimpel 2016, eq. 2. */
export const gelu = elementwise(function gelu(x: number): number {
  const u = 1.5957691216057308 * (x + 0.044715 * x * x * x)
  if (u >= 0) return x / (1 + Math.exp(-u))
  const e = Math.exp(u)
  return (x * e) / (1 + e)
})

/** dy (s + x s (1 - s) u'), s = sigmoid(2 u). */
export const geluGradient = elementwise(function geluGradient(dy: number, x: number): number {
  const u = 1.5957691216057308 * (x + 0.044715 * x * x * x)
  const slope = 1.5957691216057308 * (1 + 0.134145 * x * x)
  const e = Math.exp(-Math.abs(u))
  let s = 1 / (1 + e)
  if (u < 0) s = e / (1 + e)
  return dy * (s + x * s * (1 - s) * slope)
})

/**
 * The error function, 2 / sqrt(pi) times the integral of e^-t^2 from 0 to x.
 *
 * |x| < 2.5: the series 2/sqrt(pi) e^-x^2 sum_n 2^n x^(2n+1) / (1 3 5 ... (2n+1)), all of one sign (Abramowitz and
 * Stegun 7.1.6). Beyond: 1 - e^-x^2 / sqrt(pi) times the continued fraction 7.1.14, evaluated from the inside out.
 */
export const erf = elementwise(function erf(x: number): number {
  const a = Math.abs(x)
  let result = a
  if (a < 2.5) {
    let term = a
    let sum = a
    for (let n = 0; n < 60; n++) {
      term = (term * 2 * a * a) / (2 * n + 3)
      sum = sum + term
    }
    result = 1.1283791670955126 * Math.exp(-a * a) * sum
  } else {
    if (a > 6) {
      result = 1
    } else {
      if (a >= 2.5) {
        let tail = a
        for (let n = 0; n < 60; n++) {
          tail = a + ((60 - n) * 0.5) / tail
        }
        result = 1 - (0.5641895835477563 * Math.exp(-a * a)) / tail
      }
    }
  }
  if (x < 0) return -result
  return result
})
