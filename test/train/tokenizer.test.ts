import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SluiceError } from '../../src/errors.ts'
import { ByteTokenizer, CharTokenizer, tokenizerFromJSON } from '../../src/train/tokenizer.ts'

const anyText = fc.string({ unit: 'binary', minLength: 1 })

test('the alphabet of a text is its characters in code point order', () => {
  // Written out: U+FB01 sorts before U+1F600, although its UTF-16 unit is the larger one.
  const tokenizer = CharTokenizer.fromText('b😀ﬁab😀')
  expect(tokenizer.toJSON()).toEqual({ kind: 'character', characters: 'abﬁ😀' })
  expect([...tokenizer.encode('😀ab')]).toEqual([3, 0, 1])
  expect(tokenizer.decode([3, 0, 1])).toBe('😀ab')
  expect(tokenizer.vocabularySize).toBe(4)
})

test('characters: round trip, one id a code point, ids ordered as the characters', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const tokenizer = CharTokenizer.fromText(text)
      const ids = tokenizer.encode(text)
      const points = Array.from(text, (character) => character.codePointAt(0)!)
      expect(tokenizer.decode(ids)).toBe(text)
      expect(ids).toBeInstanceOf(Int32Array)
      const sorted = [...new Set(points)].sort((a, b) => a - b)
      expect([...ids]).toEqual(points.map((point) => sorted.indexOf(point)))
      expect(tokenizer.vocabularySize).toBe(sorted.length)
    }),
    { numRuns: 300 },
  )
})

test('bytes: the ids are the UTF-8 bytes, and they come back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const tokenizer = new ByteTokenizer()
      const ids = tokenizer.encode(text)
      expect([...ids]).toEqual([...Buffer.from(text, 'utf8')])
      expect(tokenizer.decode(ids)).toBe(text)
    }),
    { numRuns: 300 },
  )
})

test('a byte-order mark survives, and half a character decodes to U+FFFD', () => {
  const tokenizer = new ByteTokenizer()
  expect(tokenizer.decode(tokenizer.encode('\uFEFFa'))).toBe('\uFEFFa')
  expect(tokenizer.decode([0x61, 0xc3])).toBe('a\uFFFD')
})

test('both survive JSON', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      for (const tokenizer of [CharTokenizer.fromText(text), new ByteTokenizer()]) {
        const again = tokenizerFromJSON(JSON.parse(JSON.stringify(tokenizer)))
        expect(again.kind).toBe(tokenizer.kind)
        expect(again.vocabularySize).toBe(tokenizer.vocabularySize)
        expect(again.encode(text)).toEqual(tokenizer.encode(text))
      }
    }),
    { numRuns: 200 },
  )
})

test('an unknown character is named with its position in characters', () => {
  const tokenizer = CharTokenizer.fromText('ab😀')
  expect(() => tokenizer.encode('a😀é')).toThrow(SluiceError)
  expect(() => tokenizer.encode('a😀é')).toThrow(/character "é" \(U\+00E9\) at position 2 .* 3 characters/)
})

test('text that is not well-formed, and ids outside the vocabulary, are errors', () => {
  expect(() => CharTokenizer.fromText('😀a\uD800')).toThrow(/lone surrogate .*U\+D800.* at position 2/)
  expect(() => new ByteTokenizer().encode('\uDC00')).toThrow(/lone surrogate .*U\+DC00.* at position 0/)
  expect(() => CharTokenizer.fromText('')).toThrow(/the alphabet is empty/)
  expect(() => new CharTokenizer('aba')).toThrow(/"a" \(U\+0061\) twice, as ids 0 and 2/)
  for (const id of [-1, 2, 0.5, Number.NaN]) {
    expect(() => new CharTokenizer('ab').decode([0, id])).toThrow(/at position 1 is outside \[0, 2\)/)
  }
  expect(() => new ByteTokenizer().decode([256])).toThrow(/id 256 at position 0 is outside \[0, 256\)/)
})

test('whatever JSON tokenizerFromJSON is given, it gives a tokenizer or a SluiceError', () => {
  const malformed: [unknown, RegExp][] = [
    [null, /expected an object/],
    ['byte', /expected an object/],
    [{}, /kind must be 'character' or 'byte', got undefined/],
    [{ kind: 'word' }, /got "word"/],
    [{ kind: 'character' }, /needs characters/],
    [{ kind: 'character', characters: ['a'] }, /needs characters/],
    [{ kind: 'character', characters: '' }, /empty/],
    [{ kind: 'character', characters: 'aa' }, /twice/],
    [{ kind: 'character', characters: '\uDC00' }, /lone surrogate/],
  ]
  for (const [json, message] of malformed) {
    expect(() => tokenizerFromJSON(json)).toThrow(SluiceError)
    expect(() => tokenizerFromJSON(json)).toThrow(message)
  }
  fc.assert(
    fc.property(fc.jsonValue(), (json) => {
      expect(() => tokenizerFromJSON(json)).toThrow(SluiceError)
    }),
    { numRuns: 200 },
  )
})
