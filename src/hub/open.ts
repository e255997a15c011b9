/** Safetensors by path: one file, or a model of several with its index. */
import { SluiceError } from '../errors.ts'
import type { HostTensor } from '../tensor/host.ts'
import { nodeFiles, openFile, readUpTo, reason, splitPath, type WritableFiles, writeText, writeWhole } from './files.ts'
import { isWeightDType, type WeightDType } from './formats.ts'
import type { Complain } from './header.ts'
import type { SafetensorsContent } from './safetensors.ts'
import {
  planTensors,
  readSafetensors,
  type TensorReader,
  type WritableTensors,
  writeSafetensors,
} from './safetensors-file.ts'
import { divide, indexText, longestIndex, readSharded } from './sharded.ts'
import { type ByteSource, blobSource, bytesSource, isByteSource } from './source.ts'

/** A path, bytes in memory, a Blob or File, or whatever reads ranges of bytes. */
export type SafetensorsSource = string | Uint8Array | Blob | ByteSource

const extension = '.safetensors'
const indexExtension = '.safetensors.index.json'

const opening = (path: string) => (error: unknown) => {
  throw new SluiceError('openSafetensors', `${path} cannot be opened: ${reason(error)}`)
}

/** Closes the source again if it is not what it should be. */
async function readOrClose(source: ByteSource): Promise<TensorReader> {
  return readSafetensors(source).catch(async (error) => {
    await source.close?.()
    throw error
  })
}

async function openIndex(path: string): Promise<TensorReader> {
  const bytes = await readUpTo(path, longestIndex).catch(opening(path))
  const [folder] = splitPath(path)
  return readSharded(bytes, path, (file) => openFile(`${folder}/${file}`))
}

/** Opens `model.safetensors`, or the files that `model.safetensors.index.json` names. */
async function openFolder(path: string): Promise<TensorReader> {
  const names = await nodeFiles.list(path).catch(opening(path))
  const found = ['model.safetensors', 'model.safetensors.index.json'].filter((name) => names.includes(name))
  if (found.length === 1) return openSafetensors(`${path}/${found[0]}`)
  throw new SluiceError(
    'openSafetensors',
    found.length === 0
      ? `${path} holds neither model.safetensors nor model.safetensors.index.json`
      : `${path} holds both model.safetensors and model.safetensors.index.json; name the one that is meant`,
  )
}

/**
 * Opens safetensors of any size: the headers are read, the values stay where they are until they are asked for.
 *
 * @param source a `.safetensors` file, a `.safetensors.index.json`, a folder that holds `model.safetensors` or its index,
 *   or bytes, a Blob, anything that reads ranges
 * @throws SluiceError for what is missing or malformed, naming the file and the tensor
 *
 * @example
 * const file = await openSafetensors('model-00001-of-00002.safetensors')
 * const rows = await file.read('model.embed_tokens.weight', { rows: [100, 108] })
 * await file.close()
 */
export async function openSafetensors(source: SafetensorsSource): Promise<TensorReader> {
  if (typeof source === 'string') {
    if (source.endsWith(indexExtension)) return openIndex(source)
    if (!source.endsWith(extension)) return openFolder(source.replace(/(?<=.)[\\/]+$/, ''))
    return readOrClose(await openFile(source).catch(opening(source)))
  }
  if (source instanceof Uint8Array) return readSafetensors(bytesSource(source))
  if (source instanceof Blob) return readSafetensors(blobSource(source))
  if (isByteSource(source)) return readSafetensors(source)
  throw new SluiceError('openSafetensors', 'expected a path, a Uint8Array, a Blob, or { name, size, read }')
}

/**
 * All tensors of a safetensors file, or of a model of several, in host memory; F16 and BF16 become float32.
 *
 * @param source as `openSafetensors` takes it
 *
 * @example
 * const { tensors } = await loadSafetensors('model.safetensors')
 * tensor(tensors.get('w').data, { shape: tensors.get('w').shape })
 */
export async function loadSafetensors(source: SafetensorsSource): Promise<SafetensorsContent> {
  const reader = await openSafetensors(source)
  try {
    const tensors = new Map<string, HostTensor>()
    for (const name of reader.tensors.keys()) tensors.set(name, await reader.read(name))
    return { tensors, metadata: { ...reader.metadata } }
  } finally {
    await reader.close()
  }
}

/** How tensors are written. */
export interface SaveSafetensorsOptions {
  /** How floats are written: 'float32', 'float64', 'float16' or 'bfloat16'; as they are unless given. */
  readonly dtype?: WeightDType
  /** Text by key, into the file's header. */
  readonly metadata?: Readonly<Record<string, string>>
  /** Divides the tensors among files of at most so many bytes of values, with an index; one file unless given. */
  readonly shardBytes?: number
  /** The file system; Node's unless given. */
  readonly files?: WritableFiles
}

/**
 * Writes tensors to a safetensors file, one after another: a tensor on a device, or one that is made when it is asked for,
 * is in host memory only while it is written. Each file gets its name when it is whole.
 *
 * Rounds to nearest, ties to even. With `shardBytes`, `m.safetensors` becomes `m-00001-of-00003.safetensors` and so on, and
 * `m.safetensors.index.json` is written last; if all fits one file it is `m.safetensors` itself.
 *
 * @returns the path to open: the file, or the index
 * @throws SluiceError naming the tensor that cannot be written, or whose value is too large for the dtype
 *
 * @example
 * await saveSafetensors('model.safetensors', model.namedTensors(), { dtype: 'bfloat16' })
 */
export async function saveSafetensors(
  path: string,
  tensors: WritableTensors,
  options: SaveSafetensorsOptions = {},
): Promise<string> {
  const { dtype, metadata = {}, shardBytes = Number.POSITIVE_INFINITY, files = nodeFiles } = options
  const operation = 'saveSafetensors'
  const complain: Complain = (message) => {
    throw new SluiceError(operation, message)
  }
  if (!path.endsWith(extension)) complain(`${path} must end in ${extension}`)
  if (dtype !== undefined && !isWeightDType(dtype)) {
    complain(`dtype must be float32, float64, float16 or bfloat16, got ${String(dtype)}`)
  }
  if (!(shardBytes > 0)) complain(`shardBytes must be a number above 0, got ${shardBytes}`)
  const planned = planTensors(tensors, dtype, complain)
  const [folder, name] = splitPath(path)
  const shards = divide(planned, name.slice(0, -extension.length), shardBytes)
  for (const shard of shards) {
    await writeWhole(
      operation,
      `${folder}/${shard.file}`,
      (write) => writeSafetensors(write, shard.tensors, metadata, complain),
      files,
    )
  }
  if (shards.length === 1) return path
  const index = `${path.slice(0, -extension.length)}${indexExtension}`
  await writeText(operation, index, indexText(shards), files)
  return index
}
