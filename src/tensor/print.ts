/**
 * Arrays as text, exactly as NumPy's `str(array)` prints them (NumPy 2.3 and later).
 *
 * A float is written with the fewest digits that name it among the floats of its dtype, but at most `precision` after
 * the point. One format serves the whole array: exponents when the largest magnitude is at least 10^8 (float32: 10^6),
 * the smallest but zero is below 10^-4, or their ratio is above 1000; and columns as wide as the widest number.
 *
 * Digits are generated one at a time from exact integers: Steele and White, "How to print floating-point numbers
 * accurately", PLDI 1990; with the scaling of Burger and Dybvig, PLDI 1996.
 */

import { SluiceError, showShape } from '../errors.ts'

type PrintedDtype = 'float32' | 'float64' | 'int32'

export interface PrintOptions {
  /** Digits after the point, at most. Default 8. A single number (rank 0) always shows all of its digits. */
  readonly precision?: number
  /** Arrays of more values than this are summarised. Default 1000. */
  readonly threshold?: number
  /** Values shown at each end of a summarised axis. Default 3. */
  readonly edgeItems?: number
  /** Characters a line may take. Default 75. */
  readonly lineWidth?: number
}

/** A finite float as significand * 2^exponent; `evenGap` is false where the next smaller float is only half as far. */
interface Binary {
  readonly significand: bigint
  readonly exponent: number
  readonly evenGap: boolean
}

/** A magnitude as d.ddd * 10^exponent. */
interface Decimal {
  readonly digits: string
  readonly exponent: number
}

const bytes = new DataView(new ArrayBuffer(8))

function binaryOf(magnitude: number, dtype: PrintedDtype): Binary {
  const fractionBits = dtype === 'float32' ? 23 : 52
  // The exponent field of 1, and the fraction bits that the integer significand takes with it.
  const bias = (dtype === 'float32' ? 127 : 1023) + fractionBits
  if (dtype === 'float32') bytes.setFloat32(0, magnitude)
  else bytes.setFloat64(0, magnitude)
  const bits = dtype === 'float32' ? BigInt(bytes.getUint32(0)) : bytes.getBigUint64(0)
  const fraction = BigInt.asUintN(fractionBits, bits)
  const field = Number(bits >> BigInt(fractionBits))
  // Field 0 holds the subnormal numbers: no leading one, and the exponent of field 1.
  const significand = field === 0 ? fraction : fraction | (1n << BigInt(fractionBits))
  return { significand, exponent: Math.max(field, 1) - bias, evenGap: fraction !== 0n || field <= 1 }
}

/** How many digits to write, counted behind the point or behind the first digit. */
interface Limits {
  readonly behind: 'point' | 'first digit'
  readonly least: number
  readonly most: number
}

/**
 * Digits of a positive magnitude, ending with the first one that names the float if `limits` allow.
 *
 * The last digit is rounded to nearest, ties to even. A magnitude wholly beyond the limits gives one digit, 0 or 1, at
 * the last place allowed.
 */
function decimalOf(magnitude: number, dtype: PrintedDtype, limits: Limits): Decimal {
  const { significand, exponent, evenGap } = binaryOf(magnitude, dtype)
  // magnitude = rest / scale; below / scale and above / scale are half the gaps to the neighbouring floats.
  const shift = evenGap ? 1n : 2n
  let rest = significand << (BigInt(Math.max(exponent, 0)) + shift)
  let scale = 1n << (BigInt(Math.max(-exponent, 0)) + shift)
  let below = 1n << BigInt(Math.max(exponent, 0))
  let above = evenGap ? below : 2n * below

  let first = Math.floor(Math.log10(magnitude))
  const reaches = (place: number) =>
    place >= 0 ? rest >= scale * 10n ** BigInt(place) : rest * 10n ** BigInt(-place) >= scale
  if (!reaches(first)) first -= 1
  else if (reaches(first + 1)) first += 1
  const origin = limits.behind === 'point' ? 0 : first
  const last = origin - limits.most
  const earliest = origin - limits.least
  let place = Math.max(first, last)
  const leading = place
  if (place >= 0) {
    scale *= 10n ** BigInt(place)
  } else {
    const power = 10n ** BigInt(-place)
    rest *= power
    below *= power
    above *= power
  }

  // A float with an even significand also owns the midpoints to its neighbours: reading rounds ties to even.
  const slack = significand % 2n === 0n ? 0n : 1n
  const digits: number[] = []
  for (; ; place--) {
    const digit = Number(rest / scale)
    rest %= scale
    const downNames = rest + slack <= below
    const upNames = rest + above >= scale + slack
    if (place === last || ((downNames || upNames) && place <= earliest)) {
      const twice = 2n * rest
      const nearestIsUp = twice > scale || (twice === scale && digit % 2 === 1)
      digits.push(digit + (downNames === upNames ? Number(nearestIsUp) : Number(upNames)))
      break
    }
    digits.push(digit)
    rest *= 10n
    below *= 10n
    above *= 10n
  }
  return carry(digits, leading)
}

/** Digits of which the last may be ten. */
function carry(digits: number[], exponent: number): Decimal {
  let kept = digits.length
  while (kept > 0 && digits[kept - 1] === 10) {
    kept -= 1
    if (kept > 0) digits[kept - 1]! += 1
  }
  if (kept === 0) return { digits: '1', exponent: exponent + 1 }
  return { digits: digits.slice(0, kept).join(''), exponent }
}

/** The two sides of the point, `whole` with its sign, and for scientific notation the exponent with its sign. */
interface Parts {
  readonly whole: string
  readonly fraction: string
  readonly power: string
}

const signOf = (value: number) => (value < 0 || Object.is(value, -0) ? '-' : '')

/** A finite value with at most `most` digits behind the point. */
function positional(value: number, dtype: PrintedDtype, most: number): Parts {
  if (value === 0) return { whole: `${signOf(value)}0`, fraction: '', power: '' }
  const limits = { behind: 'point', least: Number.NEGATIVE_INFINITY, most } as const
  const { digits, exponent } = decimalOf(Math.abs(value), dtype, limits)
  const padded = exponent < 0 ? '0'.repeat(-exponent) + digits : digits.padEnd(exponent + 1, '0')
  const point = Math.max(exponent, 0) + 1
  return {
    whole: signOf(value) + padded.slice(0, point),
    fraction: padded.slice(point).replace(/0+$/, ''),
    power: '',
  }
}

/** A finite value as d.ddd and an exponent of two digits or more, with `least` to `most` digits behind the point. */
function scientific(value: number, dtype: PrintedDtype, least: number, most: number): Parts {
  if (value === 0) return { whole: `${signOf(value)}0`, fraction: '0'.repeat(least), power: '+00' }
  const { digits, exponent } = decimalOf(Math.abs(value), dtype, { behind: 'first digit', least, most })
  return {
    whole: signOf(value) + digits.charAt(0),
    fraction: digits.slice(1).replace(/0+$/, '').padEnd(least, '0'),
    power: (exponent < 0 ? '-' : '+') + String(Math.abs(exponent)).padStart(2, '0'),
  }
}

function notFinite(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  return value < 0 ? '-inf' : 'inf'
}

const longest = (texts: readonly string[]) => texts.reduce((length, text) => Math.max(length, text.length), 0)

/** NumPy compares in the dtype of the array: 10^-4 is rounded to float32 there, and so is the ratio. */
function wantsExponents(finite: readonly number[], dtype: PrintedDtype): boolean {
  const rounded = dtype === 'float32' ? Math.fround : (x: number) => x
  const magnitudes = finite.map(Math.abs).filter((magnitude) => magnitude > 0)
  if (magnitudes.length === 0) return false
  const largest = magnitudes.reduce((a, b) => Math.max(a, b))
  const smallest = magnitudes.reduce((a, b) => Math.min(a, b))
  return largest >= (dtype === 'float32' ? 1e6 : 1e8) || smallest < rounded(1e-4) || rounded(largest / smallest) > 1000
}

/** The common format of `values`, as a function that writes one of them. */
function floatFormat(values: readonly number[], dtype: PrintedDtype, precision: number): (value: number) => string {
  const finite = values.filter(Number.isFinite)
  const exponents = wantsExponents(finite, dtype)
  const parts = finite.map((value) =>
    exponents ? scientific(value, dtype, 0, precision) : positional(value, dtype, precision),
  )
  const fractionWidth = longest(parts.map(({ fraction }) => fraction))
  const powerWidth = longest(parts.map(({ power }) => power))
  const rightWidth = fractionWidth + (exponents ? 1 + powerWidth : 0)
  const width = Math.max(
    longest(parts.map(({ whole }) => whole)) + 1 + rightWidth,
    longest(values.filter((value) => !Number.isFinite(value)).map(notFinite)),
  )
  return (value) => {
    if (!Number.isFinite(value)) return notFinite(value).padStart(width)
    if (!exponents) {
      const { whole, fraction } = positional(value, dtype, precision)
      return `${whole.padStart(width - 1 - rightWidth)}.${fraction.padEnd(fractionWidth)}`
    }
    const { whole, fraction, power } = scientific(value, dtype, fractionWidth, fractionWidth)
    const aligned = power.charAt(0) + power.slice(1).padStart(powerWidth - 1, '0')
    return `${whole}.${fraction}e${aligned}`.padStart(width)
  }
}

function integerFormat(values: readonly number[]): (value: number) => string {
  const width = longest(values.map(String))
  return (value) => String(value).padStart(width)
}

/** A rank-0 array prints as NumPy's scalars do: all digits, and exponents from 10^16 (float32: 10^6) on. */
function formatScalar(value: number, dtype: PrintedDtype): string {
  if (dtype === 'int32') return String(value)
  if (!Number.isFinite(value)) return notFinite(value)
  const magnitude = Math.abs(value)
  if (magnitude === 0 || (magnitude >= 1e-4 && magnitude < (dtype === 'float32' ? 1e6 : 1e16))) {
    const { whole, fraction } = positional(value, dtype, Number.POSITIVE_INFINITY)
    return `${whole}.${fraction || '0'}`
  }
  const { whole, fraction, power } = scientific(value, dtype, 0, Number.POSITIVE_INFINITY)
  return `${whole}${fraction && `.${fraction}`}e${power}`
}

/** Words in lines of at most `width` characters, all but the first line behind `indent`; a word is never split. */
function wrap(words: readonly string[], indent: string, width: number): string {
  const lines: string[] = []
  let line = indent
  for (const [i, word] of words.entries()) {
    if (line.length + word.length > width && line.length > indent.length) {
      lines.push(line.trimEnd())
      line = indent
    }
    line += i + 1 < words.length ? `${word} ` : word
  }
  return [...lines, line].join('\n').slice(indent.length)
}

/** Places shown of an axis; null stands for the gap. */
type Shown = readonly (number | null)[]

function shownPlaces(size: number, edgeItems: number): Shown {
  const all = Array.from({ length: Math.min(size, 2 * edgeItems) }, (_, i) => i)
  if (size <= 2 * edgeItems) return all
  return [...all.slice(0, edgeItems), null, ...all.slice(0, edgeItems).map((i) => size - edgeItems + i)]
}

function checkedOption(name: string, value: number, least: number): number {
  if (!Number.isInteger(value) || value < least) {
    throw new SluiceError('formatArray', `${name} is ${value}; expected an integer of at least ${least}`)
  }
  return value
}

/**
 * The text of a row-major array, as `str` gives it for a NumPy array of this shape and dtype.
 *
 * @throws SluiceError when `data` does not hold as many values as `shape` asks for, or an option is out of range.
 *
 * @example
 * formatArray([1, 2.5, -3, 0.1], [2, 2], 'float32')
 * // [[ 1.   2.5]
 * //  [-3.   0.1]]
 */
export function formatArray(
  data: ArrayLike<number>,
  shape: readonly number[],
  dtype: PrintedDtype,
  options: PrintOptions = {},
): string {
  const precision = checkedOption('precision', options.precision ?? 8, 0)
  const threshold = checkedOption('threshold', options.threshold ?? 1000, 0)
  const edgeItems = checkedOption('edgeItems', options.edgeItems ?? 3, 1)
  const lineWidth = checkedOption('lineWidth', options.lineWidth ?? 75, 1)
  const size = shape.reduce((product, length) => product * length, 1)
  if (size !== data.length) {
    throw new SluiceError('formatArray', `shape ${showShape(shape)} needs ${size} values, but there are ${data.length}`)
  }
  if (size === 0) return '[]'
  const at = (index: number) => (dtype === 'float32' ? Math.fround(data[index]!) : data[index]!)
  if (shape.length === 0) return formatScalar(at(0), dtype)

  const shown = shape.map((length) => shownPlaces(length, size > threshold ? edgeItems : length))
  // Offsets of the values shown, axis by axis; the format is that of these alone.
  const offsets = shown.reduce<number[]>(
    (before, places, axis) =>
      before.flatMap((offset) => places.filter((i) => i !== null).map((i) => offset * shape[axis]! + i)),
    [0],
  )
  const values = offsets.map(at)
  const format = dtype === 'int32' ? integerFormat(values) : floatFormat(values, dtype, precision)

  /** The block at `offset` counted in blocks of this axis, behind its own opening brackets. */
  const block = (axis: number, offset: number, indent: string, width: number): string => {
    const inner = shown[axis]!.map((i) => {
      if (i === null) return '...'
      const place = offset * shape[axis]! + i
      return axis + 1 < shape.length ? block(axis + 1, place, `${indent} `, width - 1) : format(at(place))
    })
    if (axis + 1 === shape.length) return `[${wrap(inner, indent, width - 1)}]`
    return `[${inner.join('\n'.repeat(shape.length - axis - 1) + indent)}]`
  }
  return block(0, 0, ' ', lineWidth)
}
