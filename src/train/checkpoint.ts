/**
 * Checkpoints: the state of a training run in one safetensors file a step, `step-000200.safetensors` in a folder.
 *
 * Besides the tensors the file holds, as texts of its metadata: `step`, `config` and `generator` (JSON), `version` of
 * this layout, and `sha256`, a checksum over every tensor and all other metadata.
 *
 * A file gets its name only when it is whole on the disk: it is written under another name, flushed (fsync) and then
 * renamed, which is atomic. So a crash at any moment leaves whole checkpoints, and older ones are removed only after
 * the new one is safe. One run writes to a folder at a time.
 */

import { SluiceError } from '../errors.ts'
import { nodeFiles, reason, splitPath, unfinished, type WritableFiles } from '../hub/files.ts'
import { parseJson } from '../hub/json.ts'
import { decodeSafetensors, encodeSafetensors } from '../hub/safetensors.ts'
import { showName, showValue } from '../shown.ts'
import type { HostTensor } from '../tensor/host.ts'

export { nodeFiles }

/** What a run needs to go on exactly where it stopped. `config` and `generator` are any JSON values. */
export interface Checkpoint {
  /** Steps done. */
  readonly step: number
  /** Weights and moments, by name. */
  readonly tensors: ReadonlyMap<string, HostTensor>
  /** The configuration of the run. */
  readonly config: unknown
  /** The state of the random generator. */
  readonly generator: unknown
}

/** The calls on a file system that checkpoints make. */
export type CheckpointFiles = WritableFiles

/** The layout's version; a reader refuses any other. */
const version = '1'

type MetadataKey = 'step' | 'config' | 'generator' | 'version' | 'sha256'

const extension = '.safetensors'

function fileName(step: number): string {
  return `step-${String(step).padStart(6, '0')}${extension}`
}

/** The steps of the checkpoints among `names`, the newest first. */
function stepsAmong(names: readonly string[]): number[] {
  const steps = names.flatMap((name) => {
    const step = Number(/^step-(\d+)\.safetensors$/.exec(name)?.[1])
    return Number.isSafeInteger(step) && fileName(step) === name ? [step] : []
  })
  return steps.sort((a, b) => b - a)
}

const isTemporary = (name: string): boolean => name.startsWith('step-') && name.endsWith(extension + unfinished)

/** `value` as JSON text; a value that JSON would silently change is an error. */
function toJson(name: string, value: unknown): string {
  const text = JSON.stringify(value, (key, part: unknown) => {
    const lost =
      typeof part === 'number' ? !Number.isFinite(part) : ['bigint', 'function', 'symbol'].includes(typeof part)
    if (lost) {
      throw new SluiceError(
        'writeCheckpoint',
        `${name}${key ? `: ${key}` : ''} is ${String(part)}, which JSON cannot hold`,
      )
    }
    return part
  })
  if (text === undefined) throw new SluiceError('writeCheckpoint', `${name} is undefined; give a JSON value`)
  return text
}

async function hexDigest(bytes: Uint8Array): Promise<string> {
  // A copy, because the values may lie in shared memory, which the digest does not take.
  const digest = await globalThis.crypto.subtle.digest('SHA-256', new Uint8Array(bytes))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** SHA-256 of a list: the metadata but `sha256`, by key, then each tensor's name, dtype, shape and SHA-256, by name. */
async function checksum(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: Readonly<Record<string, string>>,
): Promise<string> {
  const keys = Object.keys(metadata).filter((key) => key !== 'sha256')
  const list: unknown[] = keys.sort().map((key) => [key, metadata[key]])
  for (const name of [...tensors.keys()].sort()) {
    const { dtype, shape, data } = tensors.get(name)!
    list.push([name, dtype, shape, await hexDigest(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))])
  }
  return hexDigest(new TextEncoder().encode(JSON.stringify(list)))
}

/** The metadata of a checkpoint with the checksum that its readers ask for. */
export async function sealed(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: Readonly<Record<string, string>>,
): Promise<Record<string, string>> {
  return { ...metadata, sha256: await checksum(tensors, metadata) }
}

/** What `writeCheckpoint` does besides writing. */
export interface WriteCheckpointOptions {
  /** How many checkpoints to keep, this one included; earlier steps than those are removed. */
  readonly keep?: number
  /** The file system; Node's unless given. */
  readonly files?: CheckpointFiles
}

/**
 * Writes a checkpoint into `folder` (made if missing), prunes older ones and gives the new file's path.
 *
 * When any step fails, on a full disk for instance, the previous checkpoints stay as they are, the unfinished file is
 * removed, and the SluiceError says what failed and which checkpoint is the newest one kept.
 *
 * @example
 * await writeCheckpoint('runs/parity', { step: 200, tensors, config, generator: generator.state }, { keep: 2 })
 */
export async function writeCheckpoint(
  folder: string,
  checkpoint: Checkpoint,
  { keep = 2, files = nodeFiles }: WriteCheckpointOptions = {},
): Promise<string> {
  const { step, tensors, config, generator } = checkpoint
  if (!Number.isSafeInteger(step) || step < 0) {
    throw new SluiceError('writeCheckpoint', `step must be an integer from 0, got ${step}`)
  }
  if (!Number.isInteger(keep) || keep < 1) {
    throw new SluiceError('writeCheckpoint', `keep must be an integer from 1, got ${keep}`)
  }
  const metadata = {
    step: String(step),
    config: toJson('config', config),
    generator: toJson('generator', generator),
    version,
  }
  // A copy: while the checksum is awaited the caller may go on training.
  const copies = new Map([...tensors].map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]))
  const bytes = encodeSafetensors(copies, await sealed(copies, metadata))

  const path = `${folder}/${fileName(step)}`
  const temporary = path + unfinished
  let stage = 'making the folder'
  let written = false
  try {
    await files.makeFolder(folder)
    stage = 'listing the folder'
    const names = await files.list(folder)
    stage = 'removing what a crash left'
    for (const name of names.filter(isTemporary)) await files.remove(`${folder}/${name}`)
    stage = 'writing'
    const file = await files.create(temporary)
    try {
      await file.write(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    stage = 'renaming'
    await files.rename(temporary, path)
    written = true
    stage = 'flushing the folder'
    await files.syncFolder(folder)
    stage = 'removing older checkpoints'
    const older = stepsAmong(names).filter((other) => other < step)
    for (const other of older.slice(keep - 1)) await files.remove(`${folder}/${fileName(other)}`)
  } catch (error) {
    throw new SluiceError(
      'writeCheckpoint',
      `${path}: ${stage} failed: ${reason(error)}; ` +
        (written ? `${path} itself is whole` : await cleanUp(files, folder, temporary)),
    )
  }
  return path
}

/** Removes the unfinished file, if it is there, and says what is left. */
async function cleanUp(files: CheckpointFiles, folder: string, temporary: string): Promise<string> {
  const removed = await files.remove(temporary).then(
    () => '',
    (error: unknown) => `; the unfinished ${temporary} could not be removed: ${reason(error)}`,
  )
  // Listed now, because the failure may have come before the folder was read.
  const names = await files.list(folder).catch(() => undefined)
  if (!names) return `no checkpoint in ${folder} was changed${removed}`
  const [newest] = stepsAmong(names)
  const kept =
    newest === undefined ? 'there is no earlier checkpoint' : `${folder}/${fileName(newest)} is kept as it was`
  return kept + removed
}

/** Throws an Error that says what is wrong with the file. */
async function readWhole(files: CheckpointFiles, path: string): Promise<Checkpoint> {
  const { tensors, metadata } = decodeSafetensors(await files.read(path))
  const text = (key: MetadataKey): string => {
    if (!Object.hasOwn(metadata, key)) throw new Error(`its metadata have no ${key}, it is not a checkpoint`)
    return metadata[key]!
  }
  if (text('version') !== version) {
    throw new Error(`its version is ${showName(text('version'))}, this Sluice reads version ${version}`)
  }
  const sum = await checksum(tensors, metadata)
  if (sum !== text('sha256')) throw new Error(`its checksum is ${sum}, it was written with ${showName(text('sha256'))}`)
  const step = Number(text('step'))
  if (!Number.isSafeInteger(step) || String(step) !== text('step')) {
    throw new Error(`its step is ${showValue(text('step'))}, expected an integer from 0`)
  }
  return {
    step,
    tensors,
    config: parseJson(text('config')),
    generator: parseJson(text('generator')),
  }
}

/** The path of the newest whole checkpoint in `folder` of a step before that of the file `name`. */
async function newestWhole(files: CheckpointFiles, folder: string, name: string): Promise<string | undefined> {
  const [end = Number.POSITIVE_INFINITY] = stepsAmong([name])
  const names = await files.list(folder).catch(() => [])
  for (const step of stepsAmong(names).filter((step) => step < end)) {
    const path = `${folder}/${fileName(step)}`
    const whole = await readWhole(files, path).catch(() => undefined)
    if (whole) return path
  }
  return undefined
}

/**
 * Reads a checkpoint: the given file, or the newest one of a folder. (A path that ends in .safetensors is a file.)
 *
 * Version and checksum are verified. When the file is damaged the SluiceError names the fault and the newest whole
 * checkpoint before it; nothing else is loaded in its place.
 *
 * @example
 * const { step, tensors } = await readCheckpoint('runs/parity')
 */
export async function readCheckpoint(
  pathOrFolder: string,
  { files = nodeFiles }: { readonly files?: CheckpointFiles } = {},
): Promise<Checkpoint> {
  let path = pathOrFolder
  if (!pathOrFolder.endsWith(extension)) {
    const names = await files.list(pathOrFolder).catch((error: unknown) => {
      throw new SluiceError('readCheckpoint', `the folder ${pathOrFolder} cannot be listed: ${reason(error)}`)
    })
    const [newest] = stepsAmong(names)
    if (newest === undefined) throw new SluiceError('readCheckpoint', `there is no checkpoint in ${pathOrFolder}`)
    path = `${pathOrFolder}/${fileName(newest)}`
  }
  try {
    return await readWhole(files, path)
  } catch (error) {
    const previous = await newestWhole(files, ...splitPath(path))
    throw new SluiceError(
      'readCheckpoint',
      `${path} cannot be used: ${reason(error)}; ` +
        (previous ? `resume from ${previous}` : 'there is no whole checkpoint before it'),
    )
  }
}
