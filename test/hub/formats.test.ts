/** float16 and bfloat16, over every bit pattern. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type FormatCode, firstOverflow, formatOf } from '../../src/hub/formats.ts'

/** The formats as IEEE 754 defines them, from their numbers of bits alone. */
const layouts = [
  { code: 'F16' as FormatCode, exponentBits: 5, fractionBits: 10 },
  { code: 'BF16' as FormatCode, exponentBits: 8, fractionBits: 7 },
]

function numberOf(bits: number, { exponentBits, fractionBits }: (typeof layouts)[number]): number {
  const sign = bits >>> 15 ? -1 : 1
  const exponent = (bits & 0x7fff) >>> fractionBits
  const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits
  const bias = 2 ** (exponentBits - 1) - 1
  if (exponent === 2 ** exponentBits - 1) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias)
}

const allBits = Uint16Array.from({ length: 65536 }, (_, bits) => bits)
const bytesOf = (values: Uint16Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

function widen(code: FormatCode, bits: Uint16Array): Float32Array {
  const values = new Float32Array(bits.length)
  formatOf(code).decode(bytesOf(bits), values)
  return values
}

function narrow(code: FormatCode, values: Float32Array | Float64Array): Uint16Array {
  const bytes = formatOf(code).encode(values)
  return new Uint16Array(bytes.buffer, bytes.byteOffset, values.length)
}

test.each(layouts)('$code: all 65536 patterns widen to their value, and come back bit for bit', (layout) => {
  const values = widen(layout.code, allBits)
  let nans = 0
  values.forEach((value, bits) => {
    if (!Object.is(value, numberOf(bits, layout))) throw new Error(`${bits.toString(16)} became ${value}`)
    if (Number.isNaN(value)) nans++
  })
  // One fraction of each sign is infinity.
  expect(nans).toBe(2 * (2 ** layout.fractionBits - 1))
  expect(narrow(layout.code, values)).toEqual(allBits)
  // At an odd address, and by way of float64 where no payload is at stake.
  const shifted = new Uint8Array(2 * 65536 + 1)
  shifted.set(bytesOf(allBits), 1)
  const again = new Float32Array(65536)
  formatOf(layout.code).decode(shifted.subarray(1), again)
  expect(new Uint32Array(again.buffer)).toEqual(new Uint32Array(values.buffer))
  const numbers = values.filter((value) => !Number.isNaN(value))
  expect(narrow(layout.code, Float64Array.from(numbers))).toEqual(narrow(layout.code, numbers))
})

/** The float32 values above and below a positive one. */
function neighbours(value: number): [below: number, above: number] {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0]
  const of = (b: number) => new Float32Array(Uint32Array.of(b).buffer)[0]
  return [of(bits - 1), of(bits + 1)]
}

test.each(layouts)('$code: between any two neighbours, rounds to nearest and ties to even', (layout) => {
  const infinity = (2 ** layout.exponentBits - 1) << layout.fractionBits
  const given: number[] = []
  const wanted: number[] = []
  const precise: number[] = []
  const preciseWanted: number[] = []
  for (let lower = 0; lower < infinity; lower++) {
    const [a, largest] = [numberOf(lower, layout), lower + 1 === infinity]
    // Above the largest value stands the power of two that it would have been.
    const b = largest ? 2 * a - numberOf(lower - 1, layout) : numberOf(lower + 1, layout)
    const middle = a / 2 + b / 2
    expect(Math.fround(middle)).toBe(middle)
    const [below, above] = neighbours(middle)
    const even = lower % 2 === 0 ? lower : lower + 1
    given.push(below, middle, above, -below, -middle, -above)
    wanted.push(lower, even, lower + 1, lower | 0x8000, even | 0x8000, (lower + 1) | 0x8000)
    // So close to the middle that float32 would make it the middle itself.
    precise.push(middle * (1 - 2 ** -50), middle * (1 + 2 ** -50))
    preciseWanted.push(lower, lower + 1)
  }
  expect(narrow(layout.code, Float32Array.from(given))).toEqual(Uint16Array.from(wanted))
  expect(narrow(layout.code, Float64Array.from(given))).toEqual(Uint16Array.from(wanted))
  expect(narrow(layout.code, Float64Array.from(precise))).toEqual(Uint16Array.from(preciseWanted))
})

test.each(layouts)('$code: what is no number stays what it is', (layout) => {
  const infinity = (2 ** layout.exponentBits - 1) << layout.fractionBits
  const bits = Uint32Array.of(0x7f800000, 0xff800000, 0x7f800001, 0xff800001, 0x7fffffff, 0x7fc00000)
  const narrowed = narrow(layout.code, new Float32Array(bits.buffer))
  const [plus, minus, ...nans] = [...narrowed].map((pattern) => numberOf(pattern, layout))
  expect([plus, minus]).toEqual([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
  expect(nans.every(Number.isNaN)).toBe(true)
  expect([...narrowed].map((pattern) => pattern >>> 15)).toEqual([0, 1, 0, 1, 0, 0])
  // A tiny value is a signed zero, a huge one infinite.
  expect([...narrow(layout.code, Float64Array.of(1e-300, -1e-300, 1e300, -1e300))]).toEqual([
    0,
    0x8000,
    infinity,
    infinity | 0x8000,
  ])
})

test('the first finite value that would become infinite is found, and no other', () => {
  const formats = (['F16', 'BF16', 'F32'] as const).map(formatOf)
  fc.assert(
    fc.property(
      fc.constantFrom(...formats),
      fc.array(
        fc.oneof(fc.double(), fc.double({ min: 65000, max: 66000 }), fc.constantFrom((2 - 2 ** -8) * 2 ** 127, 1e39)),
      ),
      (format, list) => {
        const values = Float64Array.from(list)
        const back = new Float32Array(values.length)
        format.decode(format.encode(values), back)
        const expected = list.findIndex((value, i) => Number.isFinite(value) && !Number.isFinite(back[i]))
        expect(firstOverflow(values, format)).toBe(expected)
      },
    ),
    { numRuns: 500 },
  )
})
