import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SluiceError } from '../../src/errors.ts'
import { decodeSafetensors, encodeSafetensors } from '../../src/hub/safetensors.ts'
import type { HostTensor } from '../../src/tensor/host.ts'
import { mutate, mutations } from './mutations.ts'
import { anyMetadata, anyTensors, expectEqualTensors, types } from './tensors.ts'

/** A file with this header text, taken as it is, and so many bytes of values. */
function file(header: string, valueBytes = 0, claimed = BigInt(Buffer.byteLength(header))): Uint8Array {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(claimed)
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(valueBytes, 1)])
}

const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = 'F32'): string =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] })

test('round trip: every tensor and all metadata, bit for bit, at any place in memory', () => {
  fc.assert(
    fc.property(anyTensors, anyMetadata, fc.nat(9), (tensors, metadata, offset) => {
      const bytes = encodeSafetensors(tensors, metadata)
      const elsewhere = new Uint8Array(bytes.length + offset)
      elsewhere.set(bytes, offset)
      const read = decodeSafetensors(elsewhere.subarray(offset))
      expectEqualTensors(read.tensors, tensors)
      expect(Object.entries(read.metadata).sort()).toEqual(Object.entries(metadata).sort())
      elsewhere.fill(0)
      expectEqualTensors(read.tensors, tensors)
    }),
    { numRuns: 300 },
  )
})

test('the layout is the format’s: length, padded JSON header, contiguous aligned values', () => {
  fc.assert(
    fc.property(anyTensors, (tensors) => {
      const bytes = Buffer.from(encodeSafetensors(tensors))
      const headerLength = Number(bytes.readBigUInt64LE())
      expect(headerLength % 8).toBe(0)
      const text = bytes.toString('utf8', 8, 8 + headerLength)
      expect(text).toMatch(/^\{.*\} {0,7}$/s)
      const entries = Object.entries(
        JSON.parse(text) as Record<string, { data_offsets: [number, number]; dtype: string }>,
      )
      expect(entries.length).toBe(tensors.size)
      let covered = 0
      for (const [, { data_offsets: offsets, dtype }] of entries.sort(
        (a, b) => a[1].data_offsets[1] - b[1].data_offsets[1],
      )) {
        expect((8 + headerLength + offsets[0]) % (dtype === 'F64' ? 8 : 4)).toBe(0)
        covered += offsets[1] - offsets[0]
      }
      expect(bytes.length).toBe(8 + headerLength + covered)
    }),
    { numRuns: 200 },
  )
})

test('a file that Python wrote is read right', () => {
  const golden: {
    base64: string
    metadata: Record<string, string>
    tensors: Record<string, { dtype: HostTensor['dtype']; shape: number[]; values: string[] }>
  } = JSON.parse(readFileSync(new URL('../goldens/safetensors.json', import.meta.url), 'utf8'))
  const { tensors, metadata } = decodeSafetensors(Buffer.from(golden.base64, 'base64'))
  expect(metadata).toEqual(golden.metadata)
  const wanted = Object.entries(golden.tensors).map(([name, { dtype, shape, values }]): [string, HostTensor] => [
    name,
    { dtype, shape, data: types[dtype].from(values.map((text) => (text === 'inf' ? Infinity : Number(text)))) },
  ])
  expect(wanted.length).toBe(6)
  expectEqualTensors(tensors, new Map(wanted))
})

test.each([
  ['nothing', new Uint8Array(0), /has 0 bytes, the header's length alone takes 8; the file is truncated/],
  ['half a length', new Uint8Array(7), /has 7 bytes/],
  ['no header', new Uint8Array(8), /does not begin with '\{'/],
  ['a header past the end', file('{}', 0, 3n), /claims 3 bytes, 2 follow; the file is truncated/],
  ['a huge header', file('{}', 0, 2n ** 64n - 1n), /claims 18446744073709551615 bytes, 2 follow/],
  ['a header that is not UTF-8', file('{}').fill(0xff, 9, 10), /not UTF-8/],
  ['a byte-order mark', file('\uFEFF{}'), /does not begin with '\{'/],
  ['a header that is not JSON', file('{"a"}'), /not JSON/],
  ['a header that is a list', file(' []'), /does not begin with '\{'/],
  ['a deep header', file(`{"a":${'['.repeat(1e6)}`), /not JSON: it is nested deeper than 1000 levels/],
  ['names without end', file(`{${'"":0,'.repeat(1_000_001)}"a":0}`), /not JSON: it has more than 1000000 names/],
  ['an entry that is no object', file('{"w":3}'), /tensor "w": its entry is not an object/],
  ['an entry that is null', file('{"w":null}'), /tensor "w": its entry is not an object/],
  [
    'another dtype',
    file(`{"w":${entry(0, 2, [2], 'U8')}}`, 2),
    /tensor "w": dtype "U8" cannot be read; F64, F32, I32, F16/,
  ],
  ['no dtype', file('{"w":{"shape":[],"data_offsets":[0,4]}}', 4), /tensor "w": dtype undefined cannot be read/],
  ['a dtype of the prototype', file(`{"w":${entry(0, 4, [1], 'toString')}}`, 4), /tensor "w": dtype "toString"/],
  ['no shape', file('{"w":{"dtype":"F32","data_offsets":[0,4]}}', 4), /tensor "w": its shape undefined is not a list/],
  ['a negative size', file(`{"w":${entry(0, 4, [-1])}}`, 4), /tensor "w": its shape \[-1\] is not a list of integers/],
  ['two negative sizes', file(`{"w":${entry(0, 4, [-1, -1])}}`, 4), /tensor "w": its shape \[-1,-1\]/],
  ['a fraction', file(`{"w":${entry(0, 4, [0.5, 2])}}`, 4), /tensor "w": its shape \[0.5,2\]/],
  ['a negative zero', file('{"w":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}'), /tensor "w": its shape \[0\]/],
  ['a size in quotes', file('{"w":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}', 4), /its shape \["1"\]/],
  ['a size past 2^53', file(`{"w":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]}}`, 4), /its shape/],
  ['sizes that overflow', file(`{"w":${entry(0, 4, [2 ** 52, 2 ** 52, 0.25 * 2 ** 52])}}`, 4), /takes .* bytes/],
  ['infinity times zero', file(`{"w":${entry(0, 0, new Array(30).fill(2 ** 52).concat(0))}}`, 0), /takes NaN bytes/],
  ['too many values', file(`{"w":${entry(0, 4, [2])}}`, 4), /tensor "w": shape \[2\] of F32 takes 8 bytes, .* hold 4/],
  ['no offsets', file('{"w":{"dtype":"F32","shape":[]}}', 4), /tensor "w": its data_offsets undefined are not two/],
  ['one offset', file('{"w":{"dtype":"F32","shape":[],"data_offsets":[4]}}', 4), /its data_offsets \[4\] are not two/],
  ['a negative offset', file(`{"w":${entry(-4, 0, [1])}}`, 4), /tensor "w": its data_offsets \[-4,0\]/],
  ['offsets in reverse', file(`{"w":${entry(4, 0, [1])}}`, 4), /tensor "w": its data_offsets \[4, 0\] end before/],
  [
    'offsets past the end',
    file(`{"w":${entry(0, 8)}}`, 4),
    /tensor "w": .* \[0, 8\] pass the end of the file's 4 bytes/,
  ],
  ['an overlap', file(`{"v":${entry(0, 8)},"w":${entry(4, 12)}}`, 12), /tensor "w": .* overlap .* bytes 4 to 8/],
  ['the same place twice', file(`{"v":${entry(0, 4)},"w":${entry(0, 4)}}`, 4), /tensor "w": .* overlap/],
  ['a gap', file(`{"v":${entry(0, 4)},"w":${entry(8, 12)}}`, 12), /tensor "w": bytes 4 to 8 before .* no tensor/],
  ['a gap at the start', file(`{"w":${entry(4, 8)}}`, 8), /tensor "w": bytes 0 to 4 before/],
  ['values after the last', file(`{"w":${entry(0, 4)}}`, 6), /the last 2 bytes belong to no tensor .*"w"/],
  ['values without tensors', file('{}', 1), /the last 1 bytes belong to no tensor$|no tensor \(at/],
  ['a name twice', file(`{"w":${entry(0, 4)},"w":${entry(0, 4)}}`, 4), /"w" is there twice/],
  ['a name twice, once escaped', file(`{"w":${entry(0, 4)} , "\\u0077" :${entry(0, 4)}}`, 4), /"w" is there twice/],
  [
    'a field twice',
    file('{"w":{"dtype":"I32","shape":[],"dtype":"F32","data_offsets":[0,4]}}', 4),
    /"w": "dtype" is there twice/,
  ],
  ['metadata twice', file('{"__metadata__":{},"__metadata__":{}}'), /"__metadata__" is there twice/],
  ['a metadata key twice', file('{"__metadata__":{"a":"","a":""}}'), /"__metadata__": "a" is there twice/],
  ['metadata that are no object', file('{"__metadata__":[]}'), /__metadata__ is not an object/],
  ['a metadata number', file('{"__metadata__":{"step":3}}'), /__metadata__: "step" is not a text/],
  ['a nameless wrong tensor', file(`{"":${entry(0, 4, [2])}}`, 4), /tensor "": shape/],
  ['__proto__ with a wrong size', file(`{"__proto__":${entry(0, 4, [2])}}`, 4), /tensor "__proto__": shape \[2\]/],
])('decoding %s is a SluiceError that says so', (_, bytes, message) => {
  expect(() => decodeSafetensors(bytes)).toThrow(SluiceError)
  expect(() => decodeSafetensors(bytes)).toThrow(message)
})

test('a header above the reference implementation’s bound is not parsed', () => {
  const bytes = new Uint8Array(8 + 100_000_001)
  new DataView(bytes.buffer).setBigUint64(0, 100_000_001n, true)
  expect(() => decodeSafetensors(bytes)).toThrow(/claims 100000001 bytes, at most 100000000 are read/)
})

test('what looks odd but is allowed is read', () => {
  const { tensors } = decodeSafetensors(file('{}'.padEnd(40)))
  expect(tensors.size).toBe(0)
  // Entries out of order, an empty tensor where another begins, colons and braces within names, an unknown field.
  const odd = decodeSafetensors(
    file(
      `{"b}:{":${entry(4, 8)},"empty":${entry(4, 4, [0, 7])},"a\\":":{"dtype":"I32","shape":[],"data_offsets":[0,4],"x":[{"x":1}]}}`,
      8,
    ),
  )
  expect([...odd.tensors].map(([name, { shape }]) => [name, shape])).toEqual([
    ['b}:{', [1]],
    ['empty', [0, 7]],
    ['a":', []],
  ])
  expect(decodeSafetensors(file('{"__metadata__":{"__proto__":"x"}}')).metadata).toEqual(
    JSON.parse('{"__proto__":"x"}'),
  )
})

test('a tensor named __proto__ is a tensor like any other', () => {
  const tensors = new Map<string, HostTensor>([['__proto__', { dtype: 'int32', shape: [1], data: Int32Array.of(7) }]])
  expectEqualTensors(decodeSafetensors(encodeSafetensors(tensors)).tensors, tensors)
})

test('what cannot be written is a SluiceError that names the tensor', () => {
  const good: HostTensor = { dtype: 'float32', shape: [2], data: Float32Array.of(1, 2) }
  const bad = (changes: object) => () => encodeSafetensors(new Map([['w', { ...good, ...changes } as HostTensor]]))
  expect(bad({})).not.toThrow()
  expect(bad({ shape: [3] })).toThrow(/encodeSafetensors: tensor "w": shape \[3\] has 3 values, the data has 2/)
  expect(bad({ shape: [-1, -2] })).toThrow(/tensor "w": sizes must be integers from 0, got \[-1, -2\]/)
  expect(bad({ dtype: 'int32' })).toThrow(/tensor "w": dtype int32 needs its data in a Int32Array/)
  expect(bad({ dtype: 'float16' })).toThrow(/tensor "w": dtype float16 is not one of/)
  expect(() => encodeSafetensors(new Map([['__metadata__', good]]))).toThrow(/tensor "__metadata__": .* rename/)
  expect(() => encodeSafetensors(new Map([['\uD800', good]]))).toThrow(/not well-formed Unicode/)
  const metadata = { step: 3 } as unknown as Record<string, string>
  expect(() => encodeSafetensors(new Map(), metadata)).toThrow(/metadata "step" must be well-formed text/)
})

/** Decodes; gives what was read, or undefined after a SluiceError. Anything else passes through. */
function attempt(bytes: Uint8Array): ReadonlyMap<string, HostTensor> | undefined {
  try {
    return decodeSafetensors(bytes).tensors
  } catch (error) {
    if (error instanceof SluiceError) return undefined
    throw error
  }
}

/** What every successful reading must satisfy, whatever the file. */
function expectConsistent(tensors: ReadonlyMap<string, HostTensor>, bytes: Uint8Array): void {
  const headerLength = Number(Buffer.from(bytes).readBigUInt64LE())
  let total = 0
  for (const { dtype, shape, data } of tensors.values()) {
    expect(data).toBeInstanceOf(types[dtype])
    expect(shape.every((size) => Number.isSafeInteger(size) && size >= 0)).toBe(true)
    expect(data.length).toBe(shape.reduce((product, size) => product * size, 1))
    total += data.byteLength
  }
  expect(total).toBe(bytes.length - 8 - headerLength)
}

test('mutations of valid files never crash with anything but a SluiceError, and never give wrong sizes', () => {
  const seen = { refused: 0, read: 0 }
  fc.assert(
    fc.property(anyTensors, mutations, (tensors, steps) => {
      const bytes = mutate(encodeSafetensors(tensors), steps)
      const read = attempt(bytes)
      seen[read ? 'read' : 'refused']++
      if (read) expectConsistent(read, bytes)
    }),
    { numRuns: 2000 },
  )
  // Both outcomes were exercised: values may change unnoticed, the header seldom.
  expect(seen.refused).toBeGreaterThan(500)
  expect(seen.read).toBeGreaterThan(50)
})

test('random headers of plausible parts never crash with anything but a SluiceError', () => {
  const number = fc.constantFrom('0', '4', '8', '-4', '1.5', '1e400', '4e0', 'null', '"4"', '[]', '9007199254740992')
  const list = fc.array(number, { maxLength: 3 }).map((parts) => `[${parts}]`)
  const field = fc.oneof(
    fc.constantFrom('"F32"', '"F64"', '"I32"', '"U8"', 'null').map((dtype) => `"dtype":${dtype}`),
    fc.oneof(list, number).map((shape) => `"shape":${shape}`),
    fc.oneof(list, number).map((offsets) => `"data_offsets":${offsets}`),
  )
  const tensor = fc.array(field, { minLength: 2, maxLength: 4 }).map((fields) => `{${fields}}`)
  const name = fc.constantFrom('"a"', '"b"', '"__proto__"', '"__metadata__"', '"\\u0061"', '"0"')
  const header = fc.array(fc.tuple(name, fc.oneof(tensor, list)), { maxLength: 3 })
  fc.assert(
    fc.property(header, fc.constantFrom(0, 4, 8, 12), (entries, valueBytes) => {
      const bytes = file(`{${entries.map(([key, value]) => `${key}:${value}`)}}`, valueBytes)
      const read = attempt(bytes)
      if (read) expectConsistent(read, bytes)
    }),
    { numRuns: 2000 },
  )
})

test('values at an odd address are read, in a Buffer too', () => {
  for (const spaces of ['', ' ']) {
    const bytes = file(`{"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}${spaces}`, 4)
    // 0x0101 is 257 of the smallest steps.
    expect([...decodeSafetensors(Buffer.from(bytes)).tensors.get('h')!.data]).toEqual([257 * 2 ** -24, 257 * 2 ** -24])
  }
})
