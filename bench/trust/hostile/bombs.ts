/** Large files, and small ones that claim to be large: what they take is what the system gave to the process that read them. */
import { deflateRawSync } from 'node:zlib'
import { withHeader } from './hub-targets.ts'
import { bytesOf } from './target.ts'

export interface Bomb {
  readonly name: string
  /** Of `targets`. */
  readonly target: string
  /** @param size of the file, in bytes; those that claim what they do not hold stay small */
  make(size: number): Uint8Array
}

/** `piece(i)` with commas between, until there are so many bytes. */
function pieces(size: number, piece: (i: number) => string): string {
  const parts: string[] = []
  for (let length = 0, i = 0; length < size; i++) {
    const part = piece(i)
    parts.push(part)
    length += part.length + 1
  }
  return parts.join(',')
}

const deep = (size: number): string => '['.repeat(size / 2) + ']'.repeat(size / 2)
const manyKeys = (size: number): string => `{${pieces(size, (i) => `"k${i}":{}`)}}`
const manyLists = (size: number): string => `{"a":[${pieces(size, () => '[]')}]}`
const longKey = (size: number): string => `{"${'k'.repeat(size)}":1}`

const jsonBombs: Readonly<Record<string, (size: number) => string>> = {
  'nested lists': deep,
  'many keys': manyKeys,
  'many lists': manyLists,
  'a long key': longKey,
}

const header = (text: string): Uint8Array => withHeader(bytesOf(text), new Uint8Array(0))

const emptyTensor = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'

interface ZipEntry {
  readonly name: string
  readonly packed: Uint8Array
  readonly size: number
  /** Where its local header lies; behind the one before it unless given. */
  readonly at?: number
}

/** A zip whose directory says what it is told to say. */
function zipOf(
  entries: readonly ZipEntry[],
  count = entries.length,
  before: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  for (const { name, packed, size, at: given } of entries) {
    const nameBytes = Buffer.from(name)
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(8, 8)
    local.writeUInt32LE(packed.length, 18)
    local.writeUInt32LE(size, 22)
    local.writeUInt16LE(nameBytes.length, 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt16LE(8, 10)
    entry.writeUInt32LE(packed.length, 20)
    entry.writeUInt32LE(size, 24)
    entry.writeUInt16LE(nameBytes.length, 28)
    entry.writeUInt32LE(given ?? at, 42)
    directory.push(entry, nameBytes)
    if (given !== undefined) continue
    parts.push(local, nameBytes, Buffer.from(packed))
    at += 30 + nameBytes.length + packed.length
  }
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(count & 0xffff, 8)
  end.writeUInt16LE(count & 0xffff, 10)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...parts, ...directory, before, end])
}

const step = 'run/checkpoints/step-000001.safetensors'
const zeros = (size: number): Uint8Array => deflateRawSync(Buffer.alloc(size))

/** The locator of a directory of 64 bits, and that directory, which has as many entries as 32 bits can say. */
function endlessDirectory(): Uint8Array {
  const wide = Buffer.alloc(56)
  wide.writeUInt32LE(0x06064b50, 0)
  wide.writeUInt32LE(0xffffffff, 32)
  const locator = Buffer.alloc(20)
  locator.writeUInt32LE(0x07064b50, 0)
  return Buffer.concat([wide, locator])
}

export const bombs: readonly Bomb[] = [
  ...['config.json', 'tokenizer.json', 'training configuration', "study's settings", 'merge of a study'].flatMap(
    (target) =>
      Object.entries(jsonBombs).map(([name, text]): Bomb => ({ name, target, make: (size) => bytesOf(text(size)) })),
  ),
  ...Object.entries(jsonBombs).map(
    ([name, text]): Bomb => ({ name, target: 'safetensors', make: (size) => header(text(size)) }),
  ),
  ...Object.entries(jsonBombs).map(
    ([name, text]): Bomb => ({ name, target: 'safetensors, index of shards', make: (size) => bytesOf(text(size)) }),
  ),
  {
    name: 'many tensors',
    target: 'safetensors',
    make: (size) => header(`{${pieces(size, (i) => `"t${i}":${emptyTensor}`)}}`),
  },
  {
    name: 'a long shape',
    target: 'safetensors',
    make: (size) => header(`{"t":{"dtype":"F32","shape":[${pieces(size, () => '1')}],"data_offsets":[0,0]}}`),
  },
  { name: 'a header of spaces', target: 'safetensors', make: (size) => header(`{}${' '.repeat(size)}`) },
  {
    name: 'a header that claims exabytes',
    target: 'safetensors',
    make: () => Buffer.from('ffffffffffffff7f7b7d', 'hex'),
  },
  { name: 'lines', target: 'log of a run', make: (size) => bytesOf('{"step":0}\n'.repeat(size / 11)) },
  {
    name: 'one line again and again',
    target: 'log of a run',
    make: (size) => bytesOf('{"step":0,"loss":1,"learningRate":1,"norm":1,"seconds":1}\n'.repeat(size / 58)),
  },
  {
    name: 'pairs',
    target: "lab's address",
    make: (size) => bytesOf(pieces(size, (i) => `k${i}=1`).replaceAll(',', '&')),
  },
  {
    name: 'a zip of zeros',
    target: 'archive of a run',
    make: (size) => zipOf([{ name: step, packed: zeros(50 * size), size: 50 * size }]),
  },
  {
    name: 'a zip that claims gigabytes',
    target: 'archive of a run',
    make: () => zipOf([{ name: step, packed: zeros(1000), size: 4_000_000_000 }]),
  },
  {
    name: 'a zip that holds more than it claims',
    target: 'archive of a run',
    make: (size) => zipOf([{ name: step, packed: zeros(50 * size), size: 1000 }]),
  },
  {
    name: 'a zip whose files are one',
    target: 'archive of a run',
    make: (size) => {
      const packed = zeros(10 * size)
      const copies = Array.from({ length: 5000 }, (_, i): ZipEntry => {
        const name = `run/checkpoints/step-${String(i).padStart(6, '0')}.safetensors`
        return { name, packed, size: 10, at: i === 0 ? undefined : 0 }
      })
      return zipOf(copies)
    },
  },
  {
    name: 'a zip of 2^32 entries',
    target: 'archive of a run',
    make: () => zipOf([{ name: step, packed: zeros(1000), size: 1000 }], 0xffff, endlessDirectory()),
  },
]
