/**
 * A model in several safetensors files, with an index that says which tensor is in which:
 * `{ metadata: { total_size }, weight_map: { tensor: file } }`, beside the files. Layout: huggingface/transformers.
 */
import { SluiceError } from '../errors.ts'
import { showValue } from '../shown.ts'
import type { HostTensor } from '../tensor/host.ts'
import { type Complain, isRecord, parseObject, quoted, showTensor } from './header.ts'
import {
  type Planned,
  type ReadOptions,
  readSafetensors,
  type TensorInfo,
  type TensorReader,
} from './safetensors-file.ts'
import type { ByteSource } from './source.ts'

/** The index is refused above this; that of the largest models takes a few megabytes. */
export const longestIndex = 100_000_000

/** Whether an index may name this file: one in its own folder. */
const isPlainName = (file: unknown): file is string =>
  typeof file === 'string' && file !== '' && file !== '.' && file !== '..' && !/[\\/\0:]/.test(file)

/** Which file holds each tensor, from an index's bytes. */
export function parseIndex(bytes: Uint8Array, complain: Complain): Map<string, string> {
  const { weight_map: map } = parseObject('the index', bytes, complain)
  if (!isRecord(map)) return complain('the index has no weight_map, an object of file names')
  for (const [name, file] of Object.entries(map)) {
    if (!isPlainName(file)) {
      complain(`${showTensor(name)}: ${showValue(file, 100)} is not the name of a file beside the index`)
    }
  }
  return new Map(Object.entries(map) as [string, string][])
}

class ShardedTensors implements TensorReader {
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly metadata: Readonly<Record<string, string>>
  readonly #shards: ReadonlyMap<string, TensorReader>
  readonly #files: ReadonlyMap<string, string>

  constructor(shards: ReadonlyMap<string, TensorReader>, files: ReadonlyMap<string, string>) {
    this.#shards = shards
    this.#files = files
    this.tensors = new Map([...files].map(([name, file]) => [name, shards.get(file)!.tensors.get(name)!]))
    this.metadata = Object.assign({}, ...[...shards.values()].map(({ metadata }) => metadata))
  }

  async read(name: string, options?: ReadOptions): Promise<HostTensor> {
    const shard = this.#shards.get(this.#files.get(name) ?? '')
    if (!shard) throw new SluiceError('readTensor', `the index names no ${showTensor(name)}`)
    return shard.read(name, options)
  }

  async close(): Promise<void> {
    for (const shard of this.#shards.values()) await shard.close()
  }
}

/**
 * Opens all files of an index and reads their headers.
 *
 * @param index its bytes
 * @param name of the index, for messages
 * @param open opens a file beside the index
 * @throws SluiceError when a file is missing or damaged, or files and index do not name the same tensors
 */
export async function readSharded(
  index: Uint8Array,
  name: string,
  open: (file: string) => Promise<ByteSource>,
): Promise<TensorReader> {
  const complain: Complain = (reason) => {
    throw new SluiceError('openSafetensors', `${name}: ${reason}`)
  }
  const files = parseIndex(index, complain)
  const shards = new Map<string, TensorReader>()
  try {
    for (const file of new Set(files.values())) {
      const source = await open(file).catch((error: Error) =>
        complain(`it names ${quoted(file)}, which cannot be opened: ${error.message}`),
      )
      const shard = await readSafetensors(source).catch(async (error) => {
        await source.close?.()
        throw error
      })
      shards.set(file, shard)
    }
    for (const [tensor, file] of files) {
      if (!shards.get(file)!.tensors.has(tensor)) {
        complain(`${showTensor(tensor)} should be in ${quoted(file)}, which has none of that name`)
      }
    }
    for (const [file, shard] of shards) {
      const stray = [...shard.tensors.keys()].find((tensor) => files.get(tensor) !== file)
      if (stray !== undefined) complain(`${quoted(file)} holds ${showTensor(stray)}, which the index does not say`)
    }
  } catch (error) {
    for (const shard of shards.values()) await shard.close()
    throw error
  }
  return new ShardedTensors(shards, files)
}

/** One file of several, with what goes into it. */
export interface Shard {
  readonly file: string
  readonly tensors: readonly Planned[]
}

/**
 * Tensors in their order, in files of at most `shardBytes` bytes of values; a larger tensor has a file of its own.
 * One file is `STEM.safetensors`, several are `STEM-00001-of-00003.safetensors` and so on.
 */
export function divide(tensors: readonly Planned[], stem: string, shardBytes: number): Shard[] {
  const groups: Planned[][] = [[]]
  let bytes = 0
  for (const tensor of tensors) {
    if (bytes + tensor.bytes > shardBytes && groups.at(-1)!.length > 0) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)!.push(tensor)
    bytes += tensor.bytes
  }
  const digits = (value: number) => String(value).padStart(5, '0')
  const fileOf = (i: number) => (groups.length === 1 ? stem : `${stem}-${digits(i + 1)}-of-${digits(groups.length)}`)
  return groups.map((group, i) => ({ file: `${fileOf(i)}.safetensors`, tensors: group }))
}

/** The text of the index of several files. */
export function indexText(shards: readonly Shard[]): string {
  const all = shards.flatMap(({ file, tensors }) => tensors.map(({ name, bytes }) => ({ name, bytes, file })))
  const index = {
    metadata: { total_size: all.reduce((sum, { bytes }) => sum + bytes, 0) },
    weight_map: Object.fromEntries(all.map(({ name, file }) => [name, file])),
  }
  return `${JSON.stringify(index, null, 2)}\n`
}
