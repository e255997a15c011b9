/** Reading a report's page strictly, for tests: every tag known and closed, every attribute quoted. */
import { expect } from 'vitest'

/** Elements that have no end tag, in HTML. */
const voidElements = new Set(['meta', 'img', 'br'])
const knownElements = new Set(
  (
    'html head meta title style body main header section h1 h2 h3 p b q mark small span div ul li figure figcaption ' +
    'table caption thead tbody tr th td pre br img svg g path rect circle text image defs clipPath'
  ).split(' '),
)

export interface Parsed {
  /** Text between tags, entities decoded. */
  text: string
  attributes: { element: string; name: string; value: string }[]
}

export function decode(source: string): string {
  const names: Record<string, string> = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'", '&amp;': '&' }
  return source.replace(/&[^;\s]*;/g, (entity) => {
    const character = names[entity]
    if (character === undefined) throw new Error(`unknown entity ${entity}`)
    return character
  })
}

const anyTag = /<(\/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s+[\w:-]+="[^"<>]*")*)\s*(\/?)>/y

/** A strict reader: every tag known and closed in order, every attribute quoted, no stray `<` or `&`. */
export function parse(html: string): Parsed {
  const open: string[] = []
  const attributes: Parsed['attributes'] = []
  let text = ''
  let at = '<!doctype html>\n'.length
  expect(html.slice(0, at)).toBe('<!doctype html>\n')
  while (at < html.length) {
    if (html[at] !== '<') {
      const end = html.indexOf('<', at)
      const raw = html.slice(at, end < 0 ? html.length : end)
      if (open.at(-1) !== 'style') text += `${decode(raw)}\n`
      at += raw.length
      continue
    }
    anyTag.lastIndex = at
    const tag = anyTag.exec(html)
    if (!tag) throw new Error(`not a tag: ${html.slice(at, at + 80)}`)
    const [whole, closing, element, rest, selfClosing] = tag
    if (!knownElements.has(element!)) throw new Error(`unexpected element ${element}`)
    if (closing) {
      if (open.pop() !== element) throw new Error(`</${element}> does not close the innermost element`)
    } else if (!selfClosing && !voidElements.has(element!)) open.push(element!)
    for (const [, name, value] of rest!.matchAll(/([\w:-]+)="([^"]*)"/g)) {
      attributes.push({ element: element!, name: name!, value: decode(value!) })
    }
    at += whole.length
  }
  expect(open).toEqual([])
  return { text, attributes }
}

/** Pixels of an 8-bit BMP as `#rrggbb`, top row first, read by the format's own offsets. */
export function pixels(address: string): string[][] {
  const bytes = Buffer.from(address.replace('data:image/bmp;base64,', ''), 'base64')
  expect(bytes.toString('latin1', 0, 2)).toBe('BM')
  expect(bytes.readUInt32LE(2)).toBe(bytes.length)
  expect(bytes.readUInt16LE(28)).toBe(8)
  const start = bytes.readUInt32LE(10)
  const width = bytes.readInt32LE(18)
  const height = bytes.readInt32LE(22)
  const rowBytes = Math.ceil(width / 4) * 4
  return Array.from({ length: height }, (_, row) =>
    Array.from({ length: width }, (_, column) => {
      const index = bytes[start + (height - 1 - row) * rowBytes + column]!
      const [blue, green, red] = bytes.subarray(54 + 4 * index)
      return `#${[red, green, blue].map((part) => part!.toString(16).padStart(2, '0')).join('')}`
    }),
  )
}
