/** JSON out of files of anybody. */

/** Far deeper than anything that is read here. The engine's parser takes a microsecond a level, which adds up to minutes. */
const mostNested = 1000

/** More than the largest vocabulary or model has. The engine's objects take some microseconds a name, which adds up to a minute. */
const mostNames = 1_000_000

/**
 * The value that a text holds, or the UTF-8 of one.
 *
 * @throws Error where it is no JSON, nested deeper than 1000 levels, or its objects have more than a million names
 */
export function parseJson(source: Uint8Array | string): unknown {
  const bytes = typeof source === 'string' ? new TextEncoder().encode(source) : source
  let names = 0
  let isDeep = false
  walk(bytes, {
    open: (nested) => {
      isDeep = nested > mostNested
      return isDeep
    },
    name: () => ++names > mostNames,
  })
  if (isDeep) throw new Error(`it is nested deeper than ${mostNested} levels`)
  if (names > mostNames) throw new Error(`it has more than ${mostNames} names`)
  return JSON.parse(typeof source === 'string' ? source : decode(bytes))
}

const decoder = new TextDecoder('utf-8', { fatal: true })

function decode(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw new Error('it is not UTF-8')
  }
}

/**
 * The first name that an object has twice, with the name whose value that object is; JSON.parse would keep the last silently.
 * Only the outermost object is looked at, and those that are its values.
 *
 * @param bytes UTF-8 of JSON, as `parseJson` has read it
 */
export function nameTwice(bytes: Uint8Array): { readonly outer: string; readonly inner?: string } | undefined {
  const outerNames = new Set<string>()
  const innerNames = new Set<string>()
  let outer = ''
  let twice: { outer: string; inner?: string } | undefined
  walk(bytes, {
    name: (nested, begin, end) => {
      if (nested > 2) return false
      const name: string = JSON.parse(decode(bytes.subarray(begin, end)))
      const names = nested === 1 ? outerNames : innerNames
      if (names.has(name)) twice = nested === 1 ? { outer: name } : { outer, inner: name }
      names.add(name)
      if (nested === 1) {
        outer = name
        innerNames.clear()
      }
      return twice !== undefined
    },
  })
  return twice
}

/** What is told of the brackets and names of JSON; true ends the walk. */
interface Visitor {
  /** @param nested brackets that are open, this one among them */
  open?(nested: number): boolean
  /** @param begin where its quotes begin and end */
  name(nested: number, begin: number, end: number): boolean
}

const [quote, backslash, colon] = [0x22, 0x5c, 0x3a]
const opening = new Set([0x5b, 0x7b])
const closing = new Set([0x5d, 0x7d])
const spaces = new Set([0x20, 0x09, 0x0a, 0x0d])

/** Of bytes that are no JSON it tells anything; a string before a colon counts as a name. */
function walk(bytes: Uint8Array, { open, name }: Visitor): void {
  let nested = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (byte === quote) {
      const begin = at
      at = endOfString(bytes, begin)
      let next = at + 1
      while (spaces.has(bytes[next]!)) next++
      if (bytes[next] === colon && name(nested, begin, at + 1)) return
    } else if (opening.has(byte)) {
      nested++
      if (open?.(nested)) return
    } else if (closing.has(byte)) nested--
  }
}

/** Where the quote is that ends the string from `begin`; the end of the bytes where none does. */
function endOfString(bytes: Uint8Array, begin: number): number {
  for (let end = begin + 1; end < bytes.length; end++) {
    if (bytes[end] === backslash) end++
    else if (bytes[end] === quote) return end
  }
  return bytes.length
}
