/** Damage to safetensors files. */
import fc from 'fast-check'

type Mutation = (bytes: Buffer, at: number, value: number) => Uint8Array
const kinds: Record<string, Mutation> = {
  'change a byte': (bytes, at, value) => bytes.fill(value, at, at + 1),
  'flip a bit': (bytes, at, value) => bytes.fill(bytes[at]! ^ (1 << (value % 8)), at, at + 1),
  truncate: (bytes, at) => bytes.subarray(0, at),
  extend: (bytes, _, value) => Buffer.concat([bytes, Buffer.alloc(1 + value, value)]),
  insert: (bytes, at, value) => Buffer.concat([bytes.subarray(0, at), Buffer.of(value), bytes.subarray(at)]),
  remove: (bytes, at, value) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + (value % 9))]),
  repeat: (bytes, at, value) => Buffer.concat([bytes.subarray(0, at + value), bytes.subarray(at)]),
  'claim another header': (bytes, at, value) => bytes.fill(value, at % 8, (at % 8) + 1),
  // These two leave a whole file, if nothing else happens to it.
  'change a value': (bytes, at, value) => {
    const begin = Math.min(8 + Number(bytes.readBigUInt64LE()), bytes.length - 1)
    const chosen = begin + (at % (bytes.length - begin))
    return chosen === begin ? bytes : bytes.fill(value, chosen, chosen + 1)
  },
  'pad the header': (bytes, _, value) => {
    const end = 8 + Number(bytes.readBigUInt64LE() % 100_000n)
    bytes.writeBigUInt64LE(BigInt(end - 8 + value))
    return Buffer.concat([bytes.subarray(0, end), Buffer.alloc(value, ' '), bytes.subarray(end)])
  },
  'exchange a digit': (bytes, at, value) => {
    const end = 8 + Number(bytes.readBigUInt64LE())
    const digits = [...bytes.subarray(0, end).keys()].filter((i) => i >= 8 && bytes[i]! >= 48 && bytes[i]! <= 57)
    const chosen = digits[at % (digits.length || 1)] ?? 8
    return bytes.fill(48 + (value % 10), chosen, chosen + 1)
  },
}

/** What is done to a file, one after another. Without bias, which would aim half of them at the first bytes. */
export const mutations = fc.array(fc.noBias(fc.tuple(fc.constantFrom(...Object.keys(kinds)), fc.nat(), fc.nat(255))), {
  minLength: 1,
  maxLength: 3,
})

export function mutate(
  whole: Uint8Array,
  steps: readonly (readonly [kind: string, place: number, value: number])[],
): Uint8Array {
  let bytes = whole
  for (const [kind, place, value] of steps) {
    // The last one may have left too little for another.
    if (bytes.length > 8) bytes = kinds[kind]!(Buffer.from(bytes), place % bytes.length, value)
  }
  return bytes
}
