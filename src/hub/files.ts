/** Files on a disk. Node's modules are imported at the first call, so that a browser can load this file. */
import { SluiceError } from '../errors.ts'
import { type ByteSource, readExactly } from './source.ts'

/** The calls on a file system that writing takes; every one rejects when it fails. */
export interface WritableFiles {
  /** Makes a folder and those above it; no error when it is there. */
  makeFolder(path: string): Promise<void>
  /** The names in a folder. */
  list(path: string): Promise<string[]>
  read(path: string): Promise<Uint8Array>
  /** An empty file, in place of any before it. */
  create(path: string): Promise<{
    write(bytes: Uint8Array): Promise<void>
    /** Returns when what was written is on the disk. */
    sync(): Promise<void>
    close(): Promise<void>
  }>
  /** Atomic; takes the place of a file at `to`. */
  rename(from: string, to: string): Promise<void>
  /** Returns when the names in the folder are on the disk. */
  syncFolder(path: string): Promise<void>
  /** Removes a file; no error when there is none. */
  remove(path: string): Promise<void>
}

/** Returns when what was written is on the disk. */
async function flush(handle: { sync(): Promise<void> }): Promise<void> {
  try {
    await handle.sync()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_ACCESS_DENIED') throw error
    throw new Error(
      'Node refuses fsync under --permission, so a file is never known to be safe; run without --permission',
    )
  }
}

/** Node's file system. */
export const nodeFiles: WritableFiles = {
  async makeFolder(path) {
    const { mkdir } = await import('node:fs/promises')
    await mkdir(path, { recursive: true })
  },
  async list(path) {
    const { readdir } = await import('node:fs/promises')
    return readdir(path)
  },
  async read(path) {
    const { readFile } = await import('node:fs/promises')
    return readFile(path)
  },
  async create(path) {
    const { open } = await import('node:fs/promises')
    const handle = await open(path, 'w')
    return {
      write: (bytes) => handle.writeFile(bytes),
      sync: () => flush(handle),
      close: () => handle.close(),
    }
  },
  async rename(from, to) {
    const { rename } = await import('node:fs/promises')
    await rename(from, to)
  },
  async syncFolder(path) {
    // Windows cannot open a folder; its file systems keep the order of renames by themselves.
    if (process.platform === 'win32') return
    const { open } = await import('node:fs/promises')
    const handle = await open(path, 'r')
    try {
      await flush(handle)
    } finally {
      await handle.close()
    }
  },
  async remove(path) {
    const { rm } = await import('node:fs/promises')
    await rm(path, { force: true })
  },
}

/** Follows the name of a file that is being written. */
export const unfinished = '.partial'

/** An error's message inside another's, without the place that a SluiceError ends with. */
export const reason = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/ \(at [^()]*\)$/, '')

/** The folder and the name of a file. */
export function splitPath(path: string): [folder: string, name: string] {
  const cut = Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\'))
  return cut < 0 ? ['.', path] : [path.slice(0, cut) || '/', path.slice(cut + 1)]
}

/** The file at `path`, to be read in parts; close it. */
export async function openFile(path: string): Promise<ByteSource> {
  const { open } = await import('node:fs/promises')
  const handle = await open(path, 'r')
  const status = await handle.stat()
  if (!status.isFile()) {
    await handle.close()
    throw new SluiceError('openFile', `${path} is not a file`)
  }
  return {
    name: path,
    size: status.size,
    async read(begin, end) {
      const bytes = new Uint8Array(end - begin)
      for (let filled = 0; filled < bytes.length; ) {
        // One call reads at most 2^31 - 1 bytes, and may read fewer than it was asked for.
        const length = Math.min(bytes.length - filled, 2 ** 30)
        const { bytesRead } = await handle.read(bytes, filled, length, begin + filled)
        if (bytesRead === 0) return bytes.subarray(0, filled)
        filled += bytesRead
      }
      return bytes
    },
    close: () => handle.close(),
  }
}

/**
 * The bytes of a file that is read at once. Parsed, JSON takes up to thirty times as much.
 *
 * @param longest bytes
 * @throws the file system's error, or a SluiceError for a file that is longer
 */
export async function readUpTo(path: string, longest: number): Promise<Uint8Array> {
  const source = await openFile(path)
  try {
    if (source.size > longest) {
      throw new SluiceError('readUpTo', `${path} has ${source.size} bytes, at most ${longest} are read`)
    }
    return await readExactly(source, 0, source.size)
  } finally {
    await source.close?.()
  }
}

/**
 * Writes a file that is whole or not there: under another name, to the disk, then renamed.
 *
 * @throws what `body` throws, or a SluiceError; an earlier file at `path` is then as it was
 */
export async function writeWhole(
  operation: string,
  path: string,
  body: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
  files: WritableFiles = nodeFiles,
): Promise<void> {
  const temporary = path + unfinished
  try {
    const file = await files.create(temporary)
    try {
      await body(file.write)
      await file.sync()
    } finally {
      await file.close()
    }
    await files.rename(temporary, path)
    await files.syncFolder(splitPath(path)[0])
  } catch (error) {
    await files.remove(temporary).catch(() => {})
    if (error instanceof SluiceError) throw error
    throw new SluiceError(operation, `${path} could not be written: ${reason(error)}`)
  }
}

/** Writes a text that is whole or not there. */
export function writeText(operation: string, path: string, text: string, files?: WritableFiles): Promise<void> {
  return writeWhole(operation, path, (write) => write(new TextEncoder().encode(text)), files)
}
