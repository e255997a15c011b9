/**
 * The safetensors file format: named tensors in one file, with a header of JSON.
 *
 *     bytes 0 to 7      N, the header's length, little-endian
 *     bytes 8 to 7 + N  { "__metadata__": { key: text }, name: { dtype, shape, data_offsets: [begin, end] }, ... }
 *     the rest          the tensors' values, row-major and little-endian; the offsets count from here
 *
 * The offsets must cover the rest without gap or overlap. Source: the format section of huggingface/safetensors.
 * Values are copied as they lie in typed arrays, which is little-endian on every platform with WebAssembly SIMD.
 */

import { SluiceError, showShape } from '../errors.ts'
import type { HostTensor } from '../tensor/host.ts'

/** What a safetensors file holds. */
export interface SafetensorsContent {
  readonly tensors: Map<string, HostTensor>
  readonly metadata: Record<string, string>
}

interface Format {
  readonly code: 'F32' | 'F64' | 'I32'
  readonly dtype: HostTensor['dtype']
  readonly type: Float32ArrayConstructor | Float64ArrayConstructor | Int32ArrayConstructor
}

const formats: readonly Format[] = [
  { code: 'F32', dtype: 'float32', type: Float32Array },
  { code: 'F64', dtype: 'float64', type: Float64Array },
  { code: 'I32', dtype: 'int32', type: Int32Array },
]

const metadataKey = '__metadata__'
const lengthBytes = 8

/** The reference implementation's bound, so that a hostile header cannot ask for more than this to be parsed. */
const longestHeader = 100_000_000

/** JSON's -0 is not a size either: it would come back in shapes. */
const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0)

const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)

/** How messages name a tensor; cut, because a hostile name may be the length of the file. */
function showTensor(name: string): string {
  return `tensor ${JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}...` : name)}`
}

function requireEncodable(name: string, tensor: HostTensor): Format {
  const fail = (reason: string): never => {
    throw new SluiceError('encodeSafetensors', `${showTensor(name)}: ${reason}`)
  }
  const format = formats.find(({ dtype }) => dtype === tensor.dtype)
  if (!format) return fail(`dtype ${String(tensor.dtype)} is not one of float32, float64, int32`)
  if (name === metadataKey) fail('this name is the format’s own; rename the tensor')
  if (/\p{Surrogate}/u.test(name)) fail('the name is not well-formed Unicode')
  if (!(tensor.data instanceof format.type)) fail(`dtype ${tensor.dtype} needs its data in a ${format.type.name}`)
  if (!tensor.shape.every(isSize)) fail(`sizes must be integers from 0, got ${showShape(tensor.shape)}`)
  if (count(tensor.shape) !== tensor.data.length) {
    fail(`shape ${showShape(tensor.shape)} has ${count(tensor.shape)} values, the data has ${tensor.data.length}`)
  }
  return format
}

/**
 * The bytes of a safetensors file with these tensors.
 *
 * The header is padded with spaces to a multiple of 8 bytes and wider values come first, so every tensor lies aligned.
 * Throws a SluiceError that names the tensor when its data, dtype and shape disagree, or a name or text of the
 * metadata cannot be written.
 *
 * @example
 * const bytes = encodeSafetensors(new Map([['w', { dtype: 'float32', shape: [2], data: new Float32Array([1, 2]) }]]))
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const texts = Object.entries(metadata ?? {})
  for (const [key, text] of texts) {
    if (typeof text !== 'string' || /\p{Surrogate}/u.test(key + text)) {
      throw new SluiceError('encodeSafetensors', `metadata ${JSON.stringify(key)} must be well-formed text`)
    }
  }
  const parts = [...tensors]
    .map(([name, tensor]) => ({ name, tensor, format: requireEncodable(name, tensor) }))
    .sort((a, b) => b.format.type.BYTES_PER_ELEMENT - a.format.type.BYTES_PER_ELEMENT)
  const entries: [string, unknown][] = texts.length > 0 ? [[metadataKey, Object.fromEntries(texts)]] : []
  let end = 0
  for (const { name, tensor, format } of parts) {
    const begin = end
    end += tensor.data.byteLength
    entries.push([name, { dtype: format.code, shape: tensor.shape, data_offsets: [begin, end] }])
  }
  // fromEntries makes a tensor named __proto__ an entry like the others, an assignment would not.
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)))
  const headerLength = Math.ceil(json.length / 8) * 8
  if (headerLength > longestHeader) {
    throw new SluiceError('encodeSafetensors', `the header takes ${headerLength} bytes, at most ${longestHeader} fit`)
  }
  const bytes = new Uint8Array(lengthBytes + headerLength + end)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true)
  bytes.set(json, lengthBytes)
  bytes.fill(0x20, lengthBytes + json.length, lengthBytes + headerLength)
  let at = lengthBytes + headerLength
  for (const { tensor } of parts) {
    bytes.set(new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength), at)
    at += tensor.data.byteLength
  }
  return bytes
}

function damaged(reason: string): never {
  throw new SluiceError('decodeSafetensors', reason)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * The first name that one object of the header has twice, with the tensor or metadata it belongs to; JSON.parse would
 * keep the last silently. `text` is known to be JSON, so a string before a colon is a key; keys deeper than
 * { tensor: { field } } are never read and not looked at.
 */
function duplicateKey(text: string): { outer: string; inner?: string } | undefined {
  const seen = [new Set<string>(), new Set<string>()]
  let depth = 0
  let outer = ''
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '{') seen[depth++]?.clear()
    else if (character === '}') depth--
    if (character !== '"') continue
    const begin = at++
    while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
    let next = at + 1
    while (/\s/.test(text[next] ?? '')) next++
    const keys = seen[depth - 1]
    if (text[next] !== ':' || !keys) continue
    const key: string = JSON.parse(text.slice(begin, at + 1))
    if (keys.has(key)) return depth === 1 ? { outer: key } : { outer, inner: key }
    keys.add(key)
    if (depth === 1) outer = key
  }
  return undefined
}

/** The header as an object, and where the values begin. */
function readHeader(bytes: Uint8Array): { header: Record<string, unknown>; valuesAt: number } {
  if (bytes.length < lengthBytes) {
    damaged(`the file has ${bytes.length} bytes, the header's length alone takes ${lengthBytes}; the file is truncated`)
  }
  const claimed = new DataView(bytes.buffer, bytes.byteOffset, lengthBytes).getBigUint64(0, true)
  const rest = bytes.length - lengthBytes
  if (claimed > BigInt(rest)) {
    damaged(`the header claims ${claimed} bytes, ${rest} follow; the file is truncated or not safetensors`)
  }
  if (claimed > BigInt(longestHeader)) damaged(`the header claims ${claimed} bytes, at most ${longestHeader} are read`)
  const valuesAt = lengthBytes + Number(claimed)
  let text: string
  let header: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(lengthBytes, valuesAt))
  } catch {
    return damaged('the header is not UTF-8')
  }
  if (!text.startsWith('{')) damaged("the header does not begin with '{'; the file is not safetensors")
  try {
    header = JSON.parse(text)
  } catch (error) {
    return damaged(`the header is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (!isRecord(header)) return damaged('the header is not a JSON object')
  const twice = duplicateKey(text)
  if (twice) {
    const { outer, inner } = twice
    damaged(`${showTensor(outer)}${inner === undefined ? '' : `: ${JSON.stringify(inner)}`} is there twice`)
  }
  return { header, valuesAt }
}

interface Entry {
  readonly name: string
  readonly format: Format
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

/** Checks what the header says of one tensor, as far as that can be done without looking at the others. */
function readEntry(name: string, entry: unknown, valueBytes: number): Entry {
  const fail = (reason: string): never => damaged(`${showTensor(name)}: ${reason}`)
  if (!isRecord(entry)) return fail('its entry is not an object with dtype, shape and data_offsets')
  const { dtype, shape, data_offsets: offsets } = entry
  const format = formats.find(({ code }) => code === dtype)
  if (!format) {
    return fail(`dtype ${String(JSON.stringify(dtype)).slice(0, 100)} cannot be read; F32, F64 and I32 can`)
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    return fail(`its shape ${String(JSON.stringify(shape)).slice(0, 100)} is not a list of integers from 0`)
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    return fail(`its data_offsets ${String(JSON.stringify(offsets)).slice(0, 100)} are not two integers from 0`)
  }
  const [begin, end] = offsets as [number, number]
  if (begin > end) return fail(`its data_offsets [${begin}, ${end}] end before they begin`)
  if (end > valueBytes) {
    return fail(`its data_offsets [${begin}, ${end}] pass the end of the file's ${valueBytes} bytes of values`)
  }
  const needed = count(shape) * format.type.BYTES_PER_ELEMENT
  if (needed !== end - begin) {
    return fail(
      `shape ${showShape(shape).slice(0, 100)} of ${format.code} takes ${needed} bytes, its data_offsets hold ${end - begin}`,
    )
  }
  return { name, format, shape, begin, end }
}

/** Throws unless the entries cover all the values, in some order, without gap or overlap. */
function requireContiguous(entries: readonly Entry[], valueBytes: number): void {
  // Of entries with one beginning the empty ones come first.
  const ordered = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)
  let covered = 0
  for (const { name, begin, end } of ordered) {
    if (begin > covered)
      damaged(`${showTensor(name)}: bytes ${covered} to ${begin} before its values belong to no tensor`)
    if (begin < covered)
      damaged(`${showTensor(name)}: its values overlap another tensor's in bytes ${begin} to ${covered}`)
    covered = end
  }
  if (covered < valueBytes) {
    const last = ordered.at(-1)
    damaged(
      `the last ${valueBytes - covered} bytes belong to no tensor` +
        (last ? ` (the last is ${showTensor(last.name)})` : ''),
    )
  }
}

function readMetadata(value: unknown): Record<string, string> {
  if (value === undefined) return {}
  if (!isRecord(value)) return damaged(`${metadataKey} is not an object of texts`)
  const texts = Object.entries(value).map(([key, text]): [string, string] =>
    typeof text === 'string' ? [key, text] : damaged(`${metadataKey}: ${JSON.stringify(key)} is not a text`),
  )
  return Object.fromEntries(texts)
}

/**
 * The tensors and the metadata of a safetensors file. The data are copies, independent of `bytes`.
 *
 * Safe on any bytes: whatever is wrong with them is a SluiceError, which names the tensor where one is concerned, and
 * memory is taken in proportion to the length of `bytes`, whatever sizes they claim. Dtypes: F32, F64, I32.
 *
 * @example
 * const { tensors, metadata } = decodeSafetensors(await readFile('model.safetensors'))
 */
export function decodeSafetensors(bytes: Uint8Array): SafetensorsContent {
  const { header, valuesAt } = readHeader(bytes)
  const valueBytes = bytes.length - valuesAt
  const metadata = readMetadata(Object.hasOwn(header, metadataKey) ? header[metadataKey] : undefined)
  const entries = Object.entries(header)
    .filter(([name]) => name !== metadataKey)
    .map(([name, entry]) => readEntry(name, entry, valueBytes))
  requireContiguous(entries, valueBytes)
  const tensors = new Map<string, HostTensor>()
  for (const { name, format, shape, begin, end } of entries) {
    // A copy of its own also puts the values at an aligned address, which the file does not promise.
    const own = new Uint8Array(end - begin)
    own.set(bytes.subarray(valuesAt + begin, valuesAt + end))
    tensors.set(name, { dtype: format.dtype, shape, data: new format.type(own.buffer) })
  }
  return { tensors, metadata }
}
