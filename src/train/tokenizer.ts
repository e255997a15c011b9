/**
 * Tokenizers: text to token ids in [0, V) and back, V the vocabulary size.
 *
 * Two of them, both lossless: one id per character of a known alphabet, or one id per byte of UTF-8.
 */

import { SluiceError } from '../errors.ts'
import { showValue } from '../shown.ts'

/** What `toJSON` gives and `tokenizerFromJSON` takes. */
export type TokenizerJSON = { readonly kind: 'character'; readonly characters: string } | { readonly kind: 'byte' }

/** Text to ids and back; `decode(encode(text)) === text` for every text that `encode` takes. */
export interface Tokenizer {
  /** Which tokenizer it is, as a configuration names it. */
  readonly kind: TokenizerJSON['kind']
  /** How many ids there are; they begin at 0. */
  readonly vocabularySize: number
  /** One id per token. Throws a SluiceError that names the first character it cannot encode and its position. */
  encode(text: string): Int32Array
  /** Throws a SluiceError for an id outside [0, vocabularySize). */
  decode(ids: ArrayLike<number>): string
  /** What `tokenizerFromJSON` makes it of again. */
  toJSON(): TokenizerJSON
}

/** `"é" (U+00E9)`, as messages show a character. */
function showCharacter(character: string): string {
  const hexadecimal = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')
  return `${JSON.stringify(character)} (U+${hexadecimal})`
}

/** A lone surrogate has no UTF-8 form, and two of them side by side would join into another character. */
function rejectLoneSurrogates(operation: string, text: string): void {
  const found = /\p{Surrogate}/u.exec(text)
  if (!found) return
  const position = [...text.slice(0, found.index)].length
  throw new SluiceError(
    operation,
    `the text is not well-formed Unicode: lone surrogate ${showCharacter(found[0])} at position ${position}`,
  )
}

function checkedId(operation: string, ids: ArrayLike<number>, index: number, vocabularySize: number): number {
  const id = ids[index]!
  if (!Number.isInteger(id) || id < 0 || id >= vocabularySize) {
    throw new SluiceError(operation, `id ${id} at position ${index} is outside [0, ${vocabularySize})`)
  }
  return id
}

/**
 * One id per Unicode code point of a fixed alphabet, as in character-level language models.
 *
 * @example
 * const tokenizer = CharTokenizer.fromText('hello')   // alphabet e h l o
 * tokenizer.encode('hole')                            // Int32Array [1, 3, 2, 0]
 */
export class CharTokenizer implements Tokenizer {
  readonly kind = 'character'
  readonly #characters: readonly string[]
  readonly #ids: ReadonlyMap<string, number>

  /** `characters` in the order of their ids. Throws a SluiceError when it is empty, repeats one or is malformed. */
  constructor(characters: string) {
    rejectLoneSurrogates('CharTokenizer', characters)
    this.#characters = [...characters]
    if (this.#characters.length === 0) {
      throw new SluiceError('CharTokenizer', 'the alphabet is empty; give at least one character')
    }
    const ids = new Map<string, number>()
    for (const [id, character] of this.#characters.entries()) {
      const first = ids.get(character)
      if (first !== undefined) {
        throw new SluiceError(
          'CharTokenizer',
          `the alphabet holds ${showCharacter(character)} twice, as ids ${first} and ${id}`,
        )
      }
      ids.set(character, id)
    }
    this.#ids = ids
  }

  /** The alphabet of `text`: its code points, each once, in ascending order. */
  static fromText(text: string): CharTokenizer {
    // The default sort compares UTF-16 units, which puts U+1F600 before U+FB01.
    const alphabet = [...new Set(text)].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!)
    // Checked on the text, where the position means something to the user.
    if (alphabet.some((character) => /\p{Surrogate}/u.test(character))) rejectLoneSurrogates('CharTokenizer', text)
    return new CharTokenizer(alphabet.join(''))
  }

  get vocabularySize(): number {
    return this.#characters.length
  }

  encode(text: string): Int32Array {
    // A text has at most one code point per UTF-16 unit.
    const ids = new Int32Array(text.length)
    let position = 0
    for (const character of text) {
      const id = this.#ids.get(character)
      if (id === undefined) {
        throw new SluiceError(
          'CharTokenizer.encode',
          `character ${showCharacter(character)} at position ${position} is not among the ` +
            `${this.vocabularySize} characters of the vocabulary; build the tokenizer from text that holds it`,
        )
      }
      ids[position++] = id
    }
    return ids.slice(0, position)
  }

  decode(ids: ArrayLike<number>): string {
    const characters = Array.from(
      { length: ids.length },
      (_, index) => this.#characters[checkedId('CharTokenizer.decode', ids, index, this.vocabularySize)]!,
    )
    return characters.join('')
  }

  toJSON(): TokenizerJSON {
    return { kind: this.kind, characters: this.#characters.join('') }
  }
}

/**
 * One id per byte of the text's UTF-8 form: 256 ids, every text.
 *
 * `decode` puts U+FFFD where the bytes are not UTF-8, because a model may generate half a character.
 *
 * @example
 * new ByteTokenizer().encode('é')   // Int32Array [195, 169]
 */
export class ByteTokenizer implements Tokenizer {
  readonly kind = 'byte'
  readonly vocabularySize = 256

  encode(text: string): Int32Array {
    rejectLoneSurrogates('ByteTokenizer.encode', text)
    return Int32Array.from(new TextEncoder().encode(text))
  }

  decode(ids: ArrayLike<number>): string {
    const bytes = new Uint8Array(ids.length)
    for (let index = 0; index < ids.length; index++) {
      bytes[index] = checkedId('ByteTokenizer.decode', ids, index, this.vocabularySize)
    }
    // Without ignoreBOM the decoder would swallow a leading U+FEFF and the text would come back shorter.
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
  }

  toJSON(): TokenizerJSON {
    return { kind: this.kind }
  }
}

/**
 * The tokenizer whose `toJSON` gave `json` (the parsed value, not its text).
 *
 * @throws SluiceError for anything else
 *
 * @example
 * tokenizerFromJSON({ kind: 'character', characters: 'abc' }).vocabularySize   // 3
 */
export function tokenizerFromJSON(json: unknown): Tokenizer {
  if (typeof json !== 'object' || json === null) {
    throw new SluiceError('tokenizerFromJSON', `expected an object with a kind, got ${showValue(json)}`)
  }
  const { kind, characters } = json as { kind?: unknown; characters?: unknown }
  if (kind === 'byte') return new ByteTokenizer()
  if (kind !== 'character') {
    throw new SluiceError('tokenizerFromJSON', `kind must be 'character' or 'byte', got ${showValue(kind)}`)
  }
  if (typeof characters !== 'string') {
    throw new SluiceError(
      'tokenizerFromJSON',
      `a character tokenizer needs characters, a string in the order of the ids, got ${showValue(characters)}`,
    )
  }
  return new CharTokenizer(characters)
}
