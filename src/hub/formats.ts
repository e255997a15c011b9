/**
 * The number formats of weight files, and how their values become numbers in host memory and files again.
 *
 *     code   bytes  in memory
 *     F64    8      float64
 *     F32    4      float32
 *     I32    4      int32
 *     F16    2      float32   IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits
 *     BF16   2      float32   the upper half of a float32: 1 sign, 8 exponent, 7 fraction bits
 *
 * Widening is exact. Narrowing rounds to the nearest value, ties to the even one; a NaN stays one, with its sign and the
 * bits of its payload that fit. All work is on bit patterns, because a NaN that passes through a number may lose its bits.
 * Values are little-endian, as typed arrays are on every platform with WebAssembly SIMD.
 */
import type { TypedArray } from '../device/device.ts'
import type { HostTensor } from '../tensor/host.ts'

/** Formats of numbers in weight files, as safetensors writes them; F16 and BF16 are read as float32. */
export type FormatCode = 'F64' | 'F32' | 'I32' | 'F16' | 'BF16'

export interface Format {
  readonly code: FormatCode
  /** Of one value in a file. */
  readonly bytes: number
  /** Of the values in memory. */
  readonly dtype: HostTensor['dtype']
  /** Magnitudes from here on round to infinity. */
  readonly overflow: number
  /** Fills `into` with the values of `bytes`, which has exactly as many and lies at any address. */
  decode(bytes: Uint8Array, into: TypedArray): void
  /** The values as they stand in a file; may share the memory of `values`. Int32 goes with I32 only. */
  encode(values: TypedArray): Uint8Array
}

/** The float32 value of every float16 bit pattern, made when it is first needed. */
let widened: Uint32Array | undefined

function float32BitsOfHalf(half: number): number {
  const sign = (half & 0x8000) << 16
  const exponent = (half >>> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13)
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13)
  if (fraction === 0) return sign
  // A subnormal, fraction 2^-24: its leading one becomes the implicit one.
  const shift = Math.clz32(fraction) - 21
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)
}

function halfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7c00 | ((magnitude >>> 13) & 0x3ff || 0x200)
  // 65520 is half-way between the largest float16, 65504, and the next power of two, which is even.
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
  // Half of the smallest subnormal, 2^-25, ties to zero.
  if (magnitude <= 0x33000000) return sign
  const shift = 126 - (magnitude >>> 23)
  const significand = (magnitude & 0x7fffff) | 0x800000
  return sign | ((significand + (1 << (shift - 1)) - 1 + ((significand >>> shift) & 1)) >>> shift)
}

function bfloatBits(bits: number): number {
  const upper = bits >>> 16
  if ((bits & 0x7fffffff) > 0x7f800000) return (upper & 0x7f) === 0 ? upper | 0x40 : upper
  // The carry out of the fraction raises the exponent, up to infinity.
  return ((bits + 0x7fff + (upper & 1)) >>> 16) & 0xffff
}

const scratch = new Float32Array(1)
const scratchBits = new Uint32Array(scratch.buffer)

/**
 * The float32 bits of a float64, an inexact one made odd: rounding that once more, to at most 22 bits, gives what rounding
 * once from float64 would (Boldo and Melquiond 2008).
 */
function oddFloat32Bits(value: number): number {
  scratch[0] = value
  const rounded = scratch[0]
  const bits = scratchBits[0]
  if (rounded === value || Number.isNaN(value) || (bits & 1) === 1) return bits
  // The neighbour towards the value: the magnitude grows with the bit pattern.
  return Math.abs(rounded) > Math.abs(value) ? bits - 1 : bits + 1
}

const bytesOf = ({ buffer, byteOffset, byteLength }: TypedArray | Uint16Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)

/** A format whose values are those of a typed array. */
function plain(
  code: FormatCode,
  dtype: HostTensor['dtype'],
  Type: Float64ArrayConstructor | Float32ArrayConstructor | Int32ArrayConstructor,
  overflow: number,
): Format {
  return {
    code,
    bytes: Type.BYTES_PER_ELEMENT,
    dtype,
    overflow,
    decode: (bytes, into) => bytesOf(into).set(bytes),
    encode: (values) => bytesOf(values instanceof Type ? values : Type.from(values)),
  }
}

/** A format of 16 bits. */
function half(
  code: FormatCode,
  overflow: number,
  widen: (from: Uint16Array, to: Uint32Array) => void,
  narrow: (bits: number) => number,
): Format {
  return {
    code,
    bytes: 2,
    dtype: 'float32',
    overflow,
    decode(bytes, into) {
      // A copy; the slice of a Buffer would be none.
      const aligned = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes)
      const from = new Uint16Array(aligned.buffer, aligned.byteOffset, into.length)
      widen(from, new Uint32Array(into.buffer, into.byteOffset, into.length))
    },
    encode(values) {
      const narrowed = new Uint16Array(values.length)
      if (values instanceof Float32Array) {
        const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
        for (let i = 0; i < bits.length; i++) narrowed[i] = narrow(bits[i])
      } else {
        for (let i = 0; i < values.length; i++) narrowed[i] = narrow(oddFloat32Bits(values[i]))
      }
      return bytesOf(narrowed)
    },
  }
}

/** Half-way between the largest float32 and 2^128. */
const float32Overflow = (2 - 2 ** -24) * 2 ** 127

export const formats: readonly Format[] = [
  plain('F64', 'float64', Float64Array, Number.POSITIVE_INFINITY),
  plain('F32', 'float32', Float32Array, float32Overflow),
  plain('I32', 'int32', Int32Array, Number.POSITIVE_INFINITY),
  half(
    'F16',
    65520,
    (from, to) => {
      widened ??= Uint32Array.from({ length: 65536 }, (_, bits) => float32BitsOfHalf(bits))
      for (let i = 0; i < from.length; i++) to[i] = widened[from[i]]
    },
    halfBits,
  ),
  half(
    'BF16',
    (2 - 2 ** -8) * 2 ** 127,
    (from, to) => {
      for (let i = 0; i < from.length; i++) to[i] = from[i] << 16
    },
    bfloatBits,
  ),
]

/** The format of a code. */
export function formatOf(code: FormatCode): Format {
  return formats.find((format) => format.code === code)!
}

/** Float types that weights can be written in. */
export type WeightDType = 'float64' | 'float32' | 'float16' | 'bfloat16'

const codes: Readonly<Record<WeightDType | 'int32', FormatCode>> = {
  float64: 'F64',
  float32: 'F32',
  int32: 'I32',
  float16: 'F16',
  bfloat16: 'BF16',
}

export const isWeightDType = (value: unknown): value is WeightDType =>
  typeof value === 'string' && value !== 'int32' && Object.hasOwn(codes, value)

/** The format for values of `dtype` that are to be written as `wanted`, which says nothing to int32. */
export function formatFor(dtype: HostTensor['dtype'], wanted: WeightDType | undefined): Format {
  return formatOf(codes[dtype === 'int32' ? dtype : (wanted ?? dtype)])
}

/** The index of the first finite value that the format would make infinite; -1 when there is none. */
export function firstOverflow(values: TypedArray, { overflow }: Format): number {
  if (overflow === Number.POSITIVE_INFINITY) return -1
  return values.findIndex((value: number) => Math.abs(value) >= overflow && Number.isFinite(value))
}

/** Room for `length` values in memory. */
export function hostArray(dtype: HostTensor['dtype'], length: number): TypedArray {
  return new (dtype === 'float64' ? Float64Array : dtype === 'int32' ? Int32Array : Float32Array)(length)
}
