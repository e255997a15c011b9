/** JSON of anybody's files: as the engine reads it, but for what is nested to cost time. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nameTwice, parseJson } from '../../src/hub/json.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

test('is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.jsonValue({ depthSize: 'large' }), fc.nat(4), (value, space) => {
      const text = JSON.stringify(value, null, space)
      expect(parseJson(bytesOf(text))).toEqual(JSON.parse(text))
      expect(parseJson(text)).toEqual(JSON.parse(text))
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

test('what is no UTF-8 is refused', () => {
  expect(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22))).toThrow('it is not UTF-8')
})

test('objects with more than a million names are refused, with a million they are read', () => {
  const objects = (count: number): string => `[${Array.from({ length: count }, () => '{"a":0}').join(',')}]`
  expect(parseJson(objects(1_000_000))).toHaveLength(1_000_000)
  expect(() => parseJson(objects(1_000_001))).toThrow('more than 1000000 names')
})

/** An object in JSON, from entries of which some may have one name; the names written anyhow. */
const objectOf = (entries: readonly (readonly [string, string])[], space: string): string =>
  `{${entries.map(([name, value]) => `${space}${name}${space}:${value}`).join(',')}${space}}`

test('a name that an object or one of its values has twice is found, the first that comes', () => {
  const name = fc
    .constantFrom('a', 'b', '__proto__', '"', '\\', ':', '{')
    .chain((text) =>
      fc.constantFrom(
        JSON.stringify(text),
        `"${[...text].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`,
      ),
    )
  const space = fc.constantFrom('', ' ', '\t\n')
  const deep = fc.constantFrom('1', '"a"', '"{"', '[{"a":1,"a":2}]', '{"a":1,"a":2}')
  const entries = (value: fc.Arbitrary<string>) => fc.array(fc.tuple(name, value), { maxLength: 4 })
  const inner = fc.oneof(
    fc.constantFrom('1', '"a"', '[{"a":1,"a":2}]').map((text) => ({ text, entries: [] })),
    fc.tuple(entries(deep), space).map(([entries, space]) => ({ text: objectOf(entries, space), entries })),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(name, inner), { maxLength: 5 }), space, (outer, space) => {
      const text = objectOf(
        outer.map(([name, { text }]) => [name, text] as const),
        space,
      )
      const first = (names: string[]): number => names.findIndex((name, i) => names.indexOf(name) < i)
      let expected: { outer: string; inner?: string } | undefined
      const names = outer.map(([name]): string => JSON.parse(name))
      for (const [i, [, { entries }]] of outer.entries()) {
        if (expected) break
        if (names.indexOf(names[i]!) < i) expected = { outer: names[i]! }
        const inside = entries.map(([name]): string => JSON.parse(name))
        if (!expected && first(inside) >= 0) expected = { outer: names[i]!, inner: inside[first(inside)]! }
      }
      expect(nameTwice(bytesOf(text))).toEqual(expected)
    }),
    { numRuns: 1000 },
  )
})
