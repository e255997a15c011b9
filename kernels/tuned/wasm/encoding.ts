/**
 * The binary alphabet of a WebAssembly module: integers as LEB128, floats as little-endian bytes, vectors, names.
 *
 * LEB128 writes an integer in groups of seven bits, lowest first; the top bit of a byte says that another follows.
 * Source: WebAssembly core specification, chapter 5 (binary format).
 */
import { SluiceError } from '../../../src/errors.ts'

export type Bytes = readonly number[]

function requireInteger(value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return
  throw new SluiceError('wasm', `${value} is not an integer from ${low} to ${high}`)
}

/** An unsigned integer below 2^32: sizes, indices, memory offsets. */
export function unsigned(value: number): Bytes {
  requireInteger(value, 0, 2 ** 32 - 1)
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80 || rest < 0; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return [...bytes, rest]
}

/** A signed integer of 32 bits: the operand of `i32.const`. The last group's bit 6 is the sign. */
export function signed(value: number): Bytes {
  requireInteger(value, -(2 ** 31), 2 ** 31 - 1)
  const bytes: number[] = []
  let rest = value
  for (; rest < -0x40 || rest >= 0x40; rest >>= 7) bytes.push((rest & 0x7f) | 0x80)
  return [...bytes, rest & 0x7f]
}

/** The float32 nearest to `value`: the operand of `f32.const`. */
export function float32(value: number): Bytes {
  const view = new DataView(new ArrayBuffer(4))
  view.setFloat32(0, value, true)
  return [...new Uint8Array(view.buffer)]
}

export function join(...parts: readonly Bytes[]): Bytes {
  return ([] as number[]).concat(...parts)
}

/** A length, then the items. */
export function vector(items: readonly Bytes[]): Bytes {
  return join(unsigned(items.length), ...items)
}

/** A length in bytes, then the bytes. */
export function sized(content: Bytes): Bytes {
  return join(unsigned(content.length), content)
}

export function utf8(name: string): Bytes {
  return sized([...new TextEncoder().encode(name)])
}

export function section(id: number, content: Bytes): Bytes {
  return join([id], sized(content))
}
