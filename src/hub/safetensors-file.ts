/**
 * Safetensors files that are never held whole: the header is read alone, then one tensor, or some rows of one, at a time;
 * and a file is written one tensor after another.
 */
import { SluiceError, showShape } from '../errors.ts'
import type { HostTensor } from '../tensor/host.ts'
import { isTensor, type Tensor } from '../tensor/tensor.ts'
import { type Format, type FormatCode, firstOverflow, formatFor, hostArray, type WeightDType } from './formats.ts'
import {
  type Complain,
  type Entry,
  headerLength,
  layOut,
  lengthBytes,
  parseHeader,
  requireWritable,
  showTensor,
} from './header.ts'
import { requireHostTensor } from './safetensors.ts'
import { type ByteSource, readExactly } from './source.ts'

/** Bytes of a file that are in memory at once, besides the tensor that is being read or written. */
const blockBytes = 2 ** 23

/** What a file says of a tensor. */
export interface TensorInfo {
  /** How it is stored; F16 and BF16 are read as float32. */
  readonly format: FormatCode
  /** As the file states it. */
  readonly shape: readonly number[]
  /** In the file. */
  readonly bytes: number
}

/** What of a tensor is read. */
export interface ReadOptions {
  /** Only the rows from the first up to the second, along the first axis. */
  readonly rows?: readonly [begin: number, end: number]
}

/** Named tensors that are read one at a time, from one file or from several. */
export interface TensorReader {
  /** What there is, by name, without its values. */
  readonly tensors: ReadonlyMap<string, TensorInfo>
  /** Text by key, from the file's header. */
  readonly metadata: Readonly<Record<string, string>>
  /** @throws SluiceError when there is no such tensor, or no such rows */
  read(name: string, options?: ReadOptions): Promise<HostTensor>
  /** Closes the files; nothing can be read any more. */
  close(): Promise<void>
}

class SafetensorsFile implements TensorReader {
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly metadata: Readonly<Record<string, string>>
  readonly #source: ByteSource
  readonly #entries: ReadonlyMap<string, Entry>
  readonly #valuesAt: number

  constructor(source: ByteSource, entries: readonly Entry[], metadata: Record<string, string>, valuesAt: number) {
    this.#source = source
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]))
    this.#valuesAt = valuesAt
    this.tensors = new Map(
      entries.map(({ name, format, shape, begin, end }) => [name, { format: format.code, shape, bytes: end - begin }]),
    )
    this.metadata = metadata
  }

  async read(name: string, { rows }: ReadOptions = {}): Promise<HostTensor> {
    const entry = this.#entries.get(name)
    if (!entry) throw new SluiceError('readTensor', `${this.#source.name} has no ${showTensor(name)}`)
    const { format, shape } = entry
    let { begin, end } = entry
    let part = shape
    if (rows) {
      const [from, to] = rows
      const [count, ...rest] = shape
      const isRange = Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to <= (count ?? -1)
      if (!isRange) {
        throw new SluiceError(
          'readTensor',
          `${showTensor(name)}: there are no rows [${from}, ${to}] in its shape ${showShape(shape)}`,
        )
      }
      const rowBytes = count === 0 ? 0 : (end - begin) / count
      end = begin + to * rowBytes
      begin += from * rowBytes
      part = [to - from, ...rest]
    }
    const data = hostArray(format.dtype, (end - begin) / format.bytes)
    for (let at = begin; at < end; at += blockBytes) {
      const next = Math.min(end, at + blockBytes)
      const bytes = await readExactly(this.#source, this.#valuesAt + at, this.#valuesAt + next)
      format.decode(bytes, data.subarray((at - begin) / format.bytes, (next - begin) / format.bytes))
    }
    return { dtype: format.dtype, shape: part, data }
  }

  async close(): Promise<void> {
    await this.#source.close?.()
  }
}

/**
 * Opens a safetensors file of any size. Only its header is read; it is checked as `decodeSafetensors` does.
 *
 * @throws SluiceError that names the source and, where one is concerned, the tensor
 */
export async function readSafetensors(source: ByteSource): Promise<TensorReader> {
  const complain: Complain = (reason) => {
    throw new SluiceError('openSafetensors', `${source.name}: ${reason}`)
  }
  const { size } = source
  const length = headerLength(await readExactly(source, 0, Math.min(lengthBytes, size)), size, complain)
  const valuesAt = lengthBytes + length
  const { entries, metadata } = parseHeader(await readExactly(source, lengthBytes, valuesAt), size - valuesAt, complain)
  return new SafetensorsFile(source, entries, metadata, valuesAt)
}

/** A tensor whose values are asked for when they are to be written, and forgotten after. */
export interface LazyTensor {
  /** Of the values that `read` gives. */
  readonly dtype: HostTensor['dtype']
  /** The product of its sizes is the number of values. */
  readonly shape: readonly number[]
  /** The values; called when they are written. */
  read(): Promise<HostTensor>
}

/** What can be written: values in memory, a tensor on a device, or one that is made when its turn comes. */
export type Writable = HostTensor | Tensor | LazyTensor

/** Named tensors, as a map or as a plain object. */
export type WritableTensors = ReadonlyMap<string, Writable> | Readonly<Record<string, Writable>>

/** A tensor with the format it is to be written in. */
export interface Planned {
  readonly name: string
  readonly format: Format
  readonly shape: readonly number[]
  readonly bytes: number
  read(): Promise<HostTensor>
}

/** What is to be written, checked as far as that is possible without the values. */
export function planTensors(tensors: WritableTensors, dtype: WeightDType | undefined, complain: Complain): Planned[] {
  const list: [string, Writable][] = tensors instanceof Map ? [...tensors] : Object.entries(tensors)
  return list.map(([name, given]) => {
    const fail = (reason: string): never => complain(`${showTensor(name)}: ${reason}`)
    if (typeof given !== 'object' || given === null || !Array.isArray(given.shape)) {
      return fail('expected a tensor, or { dtype, shape, data }')
    }
    if ('data' in given && !isTensor(given)) requireHostTensor(name, given, complain)
    else requireWritable({ name, shape: given.shape }, fail)
    const format = formatFor(given.dtype, dtype)
    const bytes = given.shape.reduce((product, size) => product * size, format.bytes)
    const read = async (): Promise<HostTensor> => {
      if (isTensor(given)) return { dtype: given.dtype, shape: given.shape, data: await given.data() }
      const values = 'read' in given ? await given.read() : given
      requireHostTensor(name, values, complain)
      if (values.dtype !== given.dtype || values.shape.join() !== given.shape.join()) {
        fail(`${showShape(values.shape)} ${values.dtype} was read, ${showShape(given.shape)} ${given.dtype} expected`)
      }
      return values
    }
    return { name, format, shape: [...given.shape], bytes, read }
  })
}

/**
 * Writes a safetensors file, one tensor after another; the values of each are asked for when its turn comes.
 *
 * @param write is called with the parts of the file, in order; what it is given stays valid until its promise resolves
 * @throws SluiceError naming the tensor, also when a finite value is too large for its format
 */
export async function writeSafetensors(
  write: (bytes: Uint8Array) => Promise<void>,
  tensors: readonly Planned[],
  metadata: Readonly<Record<string, string>>,
  complain: Complain,
): Promise<void> {
  const planned = new Map(tensors.map((tensor) => [tensor.name, tensor]))
  const header = layOut(tensors, metadata, complain)
  await write(header.bytes)
  for (const { name, format } of header.entries) {
    const { data } = await planned.get(name)!.read()
    const block = blockBytes / format.bytes
    for (let at = 0; at < data.length; at += block) {
      const values = data.subarray(at, at + block)
      const overflow = firstOverflow(values, format)
      if (overflow >= 0) {
        complain(
          `${showTensor(name)}: value ${at + overflow}, ${values[overflow]}, is too large for ${format.code}; write it in a wider dtype`,
        )
      }
      await write(format.encode(values))
    }
  }
}
