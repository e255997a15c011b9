/**
 * The safetensors file format, a whole file in memory at a time. `header.ts` says how a file is laid out,
 * `safetensors-file.ts` reads and writes without holding a file.
 */
import { SluiceError } from '../errors.ts'
import type { HostTensor } from '../tensor/host.ts'
import { type Format, formatFor, hostArray } from './formats.ts'
import { type Complain, headerLength, layOut, lengthBytes, parseHeader, requireWritable, showTensor } from './header.ts'

/** What a safetensors file holds. */
export interface SafetensorsContent {
  /** By name, in the file's order. */
  readonly tensors: Map<string, HostTensor>
  /** Text by key. */
  readonly metadata: Record<string, string>
}

const storable = { float32: Float32Array, float64: Float64Array, int32: Int32Array }

/** Complains unless data, dtype and shape agree. */
export function requireHostTensor(name: string, tensor: HostTensor, complain: Complain): void {
  const fail = (reason: string): never => complain(`${showTensor(name)}: ${reason}`)
  const { dtype, shape, data } = tensor
  if (!Object.hasOwn(storable, dtype)) fail(`dtype ${String(dtype)} is not one of ${Object.keys(storable).join(', ')}`)
  const Type = storable[dtype]
  if (!(data instanceof Type)) fail(`dtype ${dtype} needs its data in a ${Type.name}`)
  requireWritable({ name, shape, length: data.length }, fail)
}

/**
 * The bytes of a safetensors file with these tensors, each in its own dtype.
 *
 * Throws a SluiceError that names the tensor when its data, dtype and shape disagree, or a name or text of the
 * metadata cannot be written.
 *
 * @example
 * const bytes = encodeSafetensors(new Map([['w', { dtype: 'float32', shape: [2], data: new Float32Array([1, 2]) }]]))
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const complain: Complain = (reason) => {
    throw new SluiceError('encodeSafetensors', reason)
  }
  const listed: { name: string; shape: readonly number[]; format: Format }[] = []
  for (const [name, tensor] of tensors) {
    requireHostTensor(name, tensor, complain)
    listed.push({ name, shape: tensor.shape, format: formatFor(tensor.dtype, undefined) })
  }
  const header = layOut(listed, metadata, complain)
  const bytes = new Uint8Array(header.bytes.length + header.valueBytes)
  bytes.set(header.bytes)
  for (const { name, format, begin } of header.entries) {
    bytes.set(format.encode(tensors.get(name)!.data), header.bytes.length + begin)
  }
  return bytes
}

/**
 * The tensors and the metadata of a safetensors file. The data are copies, independent of `bytes`; F16 and BF16 become
 * float32.
 *
 * Safe on any bytes: whatever is wrong with them is a SluiceError, which names the tensor where one is concerned, and
 * memory is taken in proportion to the length of `bytes`, whatever sizes they claim.
 *
 * @example
 * const { tensors, metadata } = decodeSafetensors(await readFile('model.safetensors'))
 */
export function decodeSafetensors(bytes: Uint8Array): SafetensorsContent {
  const complain: Complain = (reason) => {
    throw new SluiceError('decodeSafetensors', reason)
  }
  const valuesAt = lengthBytes + headerLength(bytes, bytes.length, complain)
  const { entries, metadata } = parseHeader(bytes.subarray(lengthBytes, valuesAt), bytes.length - valuesAt, complain)
  const tensors = new Map<string, HostTensor>()
  for (const { name, format, shape, begin, end } of entries) {
    // A copy of its own also puts the values at an aligned address, which the file does not promise.
    const data = hostArray(format.dtype, (end - begin) / format.bytes)
    format.decode(bytes.subarray(valuesAt + begin, valuesAt + end), data)
    tensors.set(name, { dtype: format.dtype, shape, data })
  }
  return { tensors, metadata }
}
