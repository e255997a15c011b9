/**
 * The header of a safetensors file: what tensors it holds and where they lie.
 *
 *     bytes 0 to 7      N, the header's length, little-endian
 *     bytes 8 to 7 + N  { "__metadata__": { key: text }, name: { dtype, shape, data_offsets: [begin, end] }, ... }
 *     the rest          the tensors' values, row-major and little-endian; the offsets count from here
 *
 * The offsets must cover the rest without gap or overlap. Source: the format section of huggingface/safetensors.
 */
import { showShape } from '../errors.ts'
import { showName, showValue } from '../shown.ts'
import { type Format, formats } from './formats.ts'
import { nameTwice, parseJson } from './json.ts'

/** Throws the SluiceError of whoever reads or writes. */
export type Complain = (reason: string) => never

/** One tensor of a file. */
export interface Entry {
  readonly name: string
  readonly format: Format
  readonly shape: readonly number[]
  /** Where its values begin and end, in bytes after the header. */
  readonly begin: number
  readonly end: number
}

export interface Header {
  readonly entries: readonly Entry[]
  readonly metadata: Record<string, string>
}

const metadataKey = '__metadata__'
/** Of the field that says how long the header is. */
export const lengthBytes = 8

/** The reference implementation's bound, so that a hostile header cannot ask for more than this to be parsed. */
const longestHeader = 100_000_000

/** JSON's -0 is not a size either: it would come back in shapes. */
const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0)

const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A name in quotes; cut, because a hostile name may be the length of the file. */
export const quoted = (name: string): string => JSON.stringify(showName(name))

/** How messages name a tensor. */
export const showTensor = (name: string): string => `tensor ${quoted(name)}`

/** What a tensor's name and shape must be to be written. */
export function requireWritable(
  { name, shape, length }: { name: string; shape: readonly number[]; length?: number },
  complain: Complain,
): void {
  if (name === metadataKey) complain('this name is the format’s own; rename the tensor')
  if (/\p{Surrogate}/u.test(name)) complain('the name is not well-formed Unicode')
  if (!shape.every(isSize)) complain(`sizes must be integers from 0, got ${showShape(shape)}`)
  if (length !== undefined && count(shape) !== length) {
    complain(`shape ${showShape(shape)} has ${count(shape)} values, the data has ${length}`)
  }
}

/**
 * The length field and the header of a file with these tensors, and where each lies.
 *
 * The header is padded with spaces to a multiple of 8 bytes and wider values come first, so every tensor lies aligned.
 */
export function layOut(
  tensors: readonly Pick<Entry, 'name' | 'format' | 'shape'>[],
  metadata: Readonly<Record<string, string>>,
  complain: Complain,
): { bytes: Uint8Array<ArrayBuffer>; entries: Entry[]; valueBytes: number } {
  const texts = Object.entries(metadata)
  for (const [key, text] of texts) {
    if (typeof text !== 'string' || /\p{Surrogate}/u.test(key + text)) {
      complain(`metadata ${JSON.stringify(key)} must be well-formed text`)
    }
  }
  let end = 0
  const entries = [...tensors]
    .sort((a, b) => b.format.bytes - a.format.bytes)
    .map(({ name, format, shape }): Entry => {
      const begin = end
      end += count(shape) * format.bytes
      return { name, format, shape, begin, end }
    })
  const described: [string, unknown][] = entries.map(({ name, format, shape, begin, end }) => [
    name,
    { dtype: format.code, shape, data_offsets: [begin, end] },
  ])
  if (texts.length > 0) described.unshift([metadataKey, Object.fromEntries(texts)])
  // fromEntries makes a tensor named __proto__ an entry like the others, an assignment would not.
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(described)))
  const headerLength = Math.ceil(json.length / 8) * 8
  if (headerLength > longestHeader) complain(`the header takes ${headerLength} bytes, at most ${longestHeader} fit`)
  const bytes = new Uint8Array(lengthBytes + headerLength)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true)
  bytes.set(json, lengthBytes)
  bytes.fill(0x20, lengthBytes + json.length)
  return { bytes, entries, valueBytes: end }
}

/** The header's length, from the first bytes of a file of `size` bytes; so nothing is read or made that is not there. */
export function headerLength(first: Uint8Array, size: number, complain: Complain): number {
  if (size < lengthBytes) {
    complain(`the file has ${size} bytes, the header's length alone takes ${lengthBytes}; the file is truncated`)
  }
  const claimed = new DataView(first.buffer, first.byteOffset, lengthBytes).getBigUint64(0, true)
  const rest = size - lengthBytes
  if (claimed > BigInt(rest)) {
    complain(`the header claims ${claimed} bytes, ${rest} follow; the file is truncated or not safetensors`)
  }
  if (claimed > BigInt(longestHeader)) complain(`the header claims ${claimed} bytes, at most ${longestHeader} are read`)
  return Number(claimed)
}

/**
 * A JSON object of at most two levels whose names are all different, from untrusted bytes.
 *
 * @param what names it in messages
 */
export function parseObject(what: string, bytes: Uint8Array, complain: Complain): Record<string, unknown> {
  let parsed: unknown
  try {
    parsed = parseJson(bytes)
  } catch (error) {
    return complain(`${what} is not JSON: ${(error as Error).message}`)
  }
  if (!isRecord(parsed)) return complain(`${what} is not a JSON object`)
  const twice = nameTwice(bytes)
  if (twice) {
    const { outer, inner } = twice
    complain(`${quoted(outer)}${inner === undefined ? '' : `: ${quoted(inner)}`} is there twice`)
  }
  return parsed
}

/** Checks what the header says of one tensor, as far as that can be done without looking at the others. */
function readEntry(name: string, entry: unknown, valueBytes: number, complain: Complain): Entry {
  const fail = (reason: string): never => complain(`${showTensor(name)}: ${reason}`)
  if (!isRecord(entry)) return fail('its entry is not an object with dtype, shape and data_offsets')
  const { dtype, shape, data_offsets: offsets } = entry
  const format = formats.find(({ code }) => code === dtype)
  if (!format) {
    const known = formats.map(({ code }) => code).join(', ')
    return fail(`dtype ${showValue(dtype, 100)} cannot be read; ${known} can`)
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    return fail(`its shape ${showValue(shape, 100)} is not a list of integers from 0`)
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    return fail(`its data_offsets ${showValue(offsets, 100)} are not two integers from 0`)
  }
  const [begin, end] = offsets as [number, number]
  if (begin > end) return fail(`its data_offsets [${begin}, ${end}] end before they begin`)
  if (end > valueBytes) {
    return fail(`its data_offsets [${begin}, ${end}] pass the end of the file's ${valueBytes} bytes of values`)
  }
  const needed = count(shape) * format.bytes
  if (needed !== end - begin) {
    return fail(
      `shape ${showShape(shape).slice(0, 100)} of ${format.code} takes ${needed} bytes, its data_offsets hold ${end - begin}`,
    )
  }
  return { name, format, shape, begin, end }
}

/** Complains unless the entries cover all the values, in some order, without gap or overlap. */
function requireContiguous(entries: readonly Entry[], valueBytes: number, complain: Complain): void {
  // Of entries with one beginning the empty ones come first.
  const ordered = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)
  let covered = 0
  for (const { name, begin, end } of ordered) {
    if (begin > covered)
      complain(`${showTensor(name)}: bytes ${covered} to ${begin} before its values belong to no tensor`)
    if (begin < covered)
      complain(`${showTensor(name)}: its values overlap another tensor's in bytes ${begin} to ${covered}`)
    covered = end
  }
  if (covered < valueBytes) {
    const last = ordered.at(-1)
    complain(
      `the last ${valueBytes - covered} bytes belong to no tensor` +
        (last ? ` (the last is ${showTensor(last.name)})` : ''),
    )
  }
}

function readMetadata(value: unknown, complain: Complain): Record<string, string> {
  if (value === undefined) return {}
  if (!isRecord(value)) return complain(`${metadataKey} is not an object of texts`)
  const texts = Object.entries(value).map(([key, text]): [string, string] =>
    typeof text === 'string' ? [key, text] : complain(`${metadataKey}: ${quoted(key)} is not a text`),
  )
  return Object.fromEntries(texts)
}

/**
 * What a header says, all of it checked.
 *
 * @param bytes of the header alone, without its length
 * @param valueBytes how many bytes follow it
 */
export function parseHeader(bytes: Uint8Array, valueBytes: number, complain: Complain): Header {
  if (bytes[0] !== 0x7b) complain("the header does not begin with '{'; the file is not safetensors")
  const header = parseObject('the header', bytes, complain)
  const metadata = readMetadata(Object.hasOwn(header, metadataKey) ? header[metadataKey] : undefined, complain)
  const entries = Object.entries(header)
    .filter(([name]) => name !== metadataKey)
    .map(([name, entry]) => readEntry(name, entry, valueBytes, complain))
  requireContiguous(entries, valueBytes, complain)
  return { entries, metadata }
}
