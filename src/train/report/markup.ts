/**
 * HTML from strings that anyone may have written.
 *
 * `Markup` is a string that is already HTML; a plain string becomes one only through `escapeText`.
 */
declare const isMarkup: unique symbol
/** HTML source, safe to join and to print. */
export type Markup = string & { readonly [isMarkup]: true }

/** Declares that `source` is HTML whose user-given parts went through `escapeText`. */
export function markup(source: string): Markup {
  return source as Markup
}

/** Nothing: the part that is left out when its data is absent. */
export const none = markup('')

/**
 * Text as HTML, for element content and for quoted attributes, in HTML as in SVG.
 *
 * Characters that no markup may hold (controls, halves of surrogate pairs) become their pictures or U+FFFD.
 */
export function escapeText(text: string): Markup {
  return markup(
    printable(text)
      .replace(/&/g, '&amp;')
      .replace(/</g, '&lt;')
      .replace(/>/g, '&gt;')
      .replace(/"/g, '&quot;')
      .replace(/'/g, '&#39;'),
  )
}

/** `text` without characters that break a document; tabs and line ends stay. */
export function printable(text: string): string {
  let out = ''
  for (const character of text.replace(/\r\n?/g, '\n')) {
    const code = character.codePointAt(0)!
    const kept = character === '\n' || character === '\t'
    if (code < 0x20 && !kept) out += String.fromCodePoint(0x2400 + code)
    else if (code === 0x7f) out += '\u2421'
    else if ((code >= 0x80 && code < 0xa0) || (code >= 0xd800 && code < 0xe000)) out += '\ufffd'
    // Marks that turn the direction of all text after them would reorder the report's own words.
    else if ((code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069)) out += '\ufffd'
    else if (code === 0xfffe || code === 0xffff) out += '\ufffd'
    else out += character
  }
  return out
}

/** `text` cut to `length` characters, the last of them an ellipsis. */
export function shorten(text: string, length: number): string {
  const characters = [...text]
  return characters.length > length ? `${characters.slice(0, length - 1).join('')}\u2026` : text
}

/** A token on an axis: spaces and line ends made visible, cut to `length` characters. */
export function tokenLabel(token: string, length: number): string {
  const visible = token
    .replace(/\r\n?/g, '\n')
    .replace(/ /g, '\u2423')
    .replace(/\n/g, '\u21b5')
    .replace(/\t/g, '\u21e5')
  return shorten(printable(visible), length)
}
