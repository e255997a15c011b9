/** JSON of anybody's files: as the engine reads it, but for what is nested to cost time. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseJson } from '../../src/hub/json.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

test('is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.jsonValue({ depthSize: 'large' }), fc.nat(4), (value, space) => {
      const text = JSON.stringify(value, null, space)
      expect(parseJson(bytesOf(text))).toEqual(JSON.parse(text))
    }),
    { numRuns: 500 },
  )
})

test.each([
  ['lists', '['.repeat(1001) + ']'.repeat(1001)],
  ['objects', `${'{"a":'.repeat(1001)}1${'}'.repeat(1001)}`],
  ['lists that never end', '['.repeat(1e6)],
])('%s nested deeper than 1000 levels are refused', (_, text) => {
  expect(() => parseJson(bytesOf(text))).toThrow('nested deeper than 1000 levels')
})

test.each([
  ['1000 levels', '['.repeat(1000) + ']'.repeat(1000)],
  ['brackets in strings', JSON.stringify('["{'.repeat(2000))],
  ['strings that end in a backslash', JSON.stringify(Array.from({ length: 2000 }, () => '[\\'))],
  ['many lists side by side', `[${'[],'.repeat(2000)}[]]`],
])('%s are read', (_, text) => {
  expect(parseJson(bytesOf(text))).toEqual(JSON.parse(text))
})
