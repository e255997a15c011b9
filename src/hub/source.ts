/** Bytes that are read in parts, wherever they lie. */
import { SluiceError } from '../errors.ts'

/** A file, a Blob, bytes in memory, or a server that gives ranges. */
export interface ByteSource {
  /** For messages. */
  readonly name: string
  /** In bytes. */
  readonly size: number
  /** The bytes from `begin` up to `end`, which is at most `size`; the caller does not change them. */
  read(begin: number, end: number): Promise<Uint8Array>
  /** Gives up what is held open; nothing is read after. */
  close?(): Promise<void>
}

export function isByteSource(value: unknown): value is ByteSource {
  return typeof (value as ByteSource | null)?.read === 'function' && typeof (value as ByteSource).size === 'number'
}

export function bytesSource(bytes: Uint8Array, name = 'bytes'): ByteSource {
  return { name, size: bytes.length, read: async (begin, end) => bytes.subarray(begin, end) }
}

/** A Blob, which a browser's File is too. */
export function blobSource(blob: Blob, name = blob instanceof File ? blob.name : 'blob'): ByteSource {
  return {
    name,
    size: blob.size,
    read: async (begin, end) => new Uint8Array(await blob.slice(begin, end).arrayBuffer()),
  }
}

/** The bytes, or an error when a source gives fewer than were asked for. */
export async function readExactly(source: ByteSource, begin: number, end: number): Promise<Uint8Array> {
  const bytes = await source.read(begin, end)
  if (bytes.length !== end - begin) {
    throw new SluiceError(
      source.name,
      `bytes ${begin} to ${end} were asked for, ${bytes.length} came; it was cut short while it was read`,
    )
  }
  return bytes
}
