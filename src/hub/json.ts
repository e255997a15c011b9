/** JSON out of files of anybody. */

/** Far deeper than anything that is read here. The engine's parser takes a microsecond a level, which adds up to minutes. */
const mostNested = 1000

/**
 * The value that a file's bytes hold, as UTF-8.
 *
 * @throws Error where it is no JSON, or nested deeper than 1000 levels
 */
export function parseJson(bytes: Uint8Array): unknown {
  if (isDeep(bytes)) throw new Error(`it is nested deeper than ${mostNested} levels`)
  return JSON.parse(new TextDecoder().decode(bytes))
}

const [quote, backslash] = [0x22, 0x5c]
const opening = new Set([0x5b, 0x7b])
const closing = new Set([0x5d, 0x7d])

function isDeep(bytes: Uint8Array): boolean {
  let nested = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (byte === quote) at = endOfString(bytes, at)
    else if (opening.has(byte) && ++nested > mostNested) return true
    else if (closing.has(byte)) nested--
  }
  return false
}

/** Where the string that begins at `at` ends; the end of the bytes where it does not. */
function endOfString(bytes: Uint8Array, at: number): number {
  for (let end = at + 1; end < bytes.length; end++) {
    if (bytes[end] === backslash) end++
    else if (bytes[end] === quote) return end
  }
  return bytes.length
}
