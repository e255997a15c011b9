/**
 * Files out of a zip that anyone may have written: nothing is unpacked before its directory was found to be whole and modest,
 * and no file becomes larger than the directory says.
 *
 * Layout: APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16. Sizes of 64 bits are refused: a run has a few hundred megabytes.
 */
import { Inflate, strFromU8 } from 'fflate'

/** Unpacked, files may take this many times their archive: a log of text shrinks tenfold, moments of an untrained model to nothing. */
const mostExpansion = 64
/** Besides, for small archives. */
const freeBytes = 2 ** 20

const end = { mark: 0x06054b50, bytes: 22, longestComment: 0xffff }
const entryMark = { directory: 0x02014b50, local: 0x04034b50 }
const entryBytes = { directory: 46, local: 30 }
const wideSize = 0xffffffff

/** Compressed bytes that are given to the inflater at once: each may become a thousand. */
const pieceBytes = 2 ** 14

interface Entry {
  readonly name: string
  readonly isDeflated: boolean
  /** The file's bytes, as they lie in the zip. */
  readonly packed: Uint8Array
  readonly size: number
}

/** Where the record at the end of the directory begins. */
function endOf(view: DataView): number {
  const first = Math.max(0, view.byteLength - end.bytes - end.longestComment)
  for (let at = view.byteLength - end.bytes; at >= first; at--) if (view.getUint32(at, true) === end.mark) return at
  throw new Error('its directory is missing')
}

function entriesOf(bytes: Uint8Array): Entry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const u16 = (at: number) => view.getUint16(at, true)
  const u32 = (at: number) => view.getUint32(at, true)
  const record = endOf(view)
  const entries: Entry[] = []
  let at = u32(record + 16)
  for (let i = 0; i < u16(record + 10); i++) {
    if (at + entryBytes.directory > record || u32(at) !== entryMark.directory)
      throw new Error('its directory is damaged')
    const [flags, method] = [u16(at + 8), u16(at + 10)]
    const [packedSize, size, local] = [u32(at + 20), u32(at + 24), u32(at + 42)]
    const nameAt = at + entryBytes.directory
    const nameEnd = nameAt + u16(at + 28)
    const name = strFromU8(bytes.subarray(nameAt, Math.min(nameEnd, record)), (flags & 0x800) === 0)
    if ([packedSize, size, local].includes(wideSize)) throw new Error('it has sizes of 64 bits (zip64)')
    if ((flags & 1) !== 0 || (method !== 0 && method !== 8))
      throw new Error(`${JSON.stringify(name)} is encrypted or packed by another method`)
    if (local + entryBytes.local > record || u32(local) !== entryMark.local) throw new Error('its directory is damaged')
    const begin = local + entryBytes.local + u16(local + 26) + u16(local + 28)
    if (begin + packedSize > record) throw new Error('it ends before its files do')
    entries.push({ name, isDeflated: method === 8, packed: bytes.subarray(begin, begin + packedSize), size })
    at = nameEnd + u16(at + 30) + u16(at + 32)
  }
  return entries
}

function unpacked({ name, isDeflated, packed, size }: Entry): Uint8Array {
  const wrong = (): never => {
    throw new Error(`${JSON.stringify(name)} is not of the ${size} bytes that the directory says`)
  }
  if (!isDeflated) return packed.length === size ? new Uint8Array(packed) : wrong()
  const whole = new Uint8Array(size)
  let [filled, isComplete] = [0, false]
  const inflate = new Inflate((part, isLast) => {
    if (filled + part.length > size) wrong()
    whole.set(part, filled)
    filled += part.length
    isComplete = isLast
  })
  for (let at = 0; at < packed.length; at += pieceBytes) {
    const next = Math.min(packed.length, at + pieceBytes)
    inflate.push(packed.subarray(at, next), next === packed.length)
  }
  return isComplete && filled === size ? whole : wrong()
}

/**
 * The files of a zip whose names are wanted.
 *
 * @throws Error that says what is wrong with the zip
 */
export function unzip(bytes: Uint8Array, isWanted: (name: string) => boolean): Map<string, Uint8Array> {
  if (bytes.length < end.bytes) throw new Error('it is too short for one')
  const wanted = entriesOf(bytes).filter(({ name }) => isWanted(name))
  const most = mostExpansion * bytes.length + freeBytes
  const total = wanted.reduce((sum, { size }) => sum + size, 0)
  if (total > most) {
    throw new Error(`it would unpack to ${total} bytes, more than ${mostExpansion} times its ${bytes.length}`)
  }
  // Files that share their bytes make a small zip large.
  if (wanted.reduce((sum, { packed }) => sum + packed.length, 0) > bytes.length) throw new Error('its files overlap')
  const files = new Map<string, Uint8Array>()
  for (const entry of wanted) {
    if (files.has(entry.name)) throw new Error(`it has ${JSON.stringify(entry.name)} twice`)
    files.set(entry.name, unpacked(entry))
  }
  return files
}
