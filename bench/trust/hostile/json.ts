/** JSON as anyone may write it. It is made as text, since no object has a key twice or numbers such as 1e999. */
import fc from 'fast-check'

const keys = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'then',
  'toJSON',
  'length',
  '0',
  '',
]

const quoted = (text: string): string => JSON.stringify(text)

const numbers = [
  ...['0', '-0', '1', '-1', '2', '0.5', '1e-400', '1e308', '1e999', '-1e999', '2147483648', '4294967296'],
  ...['1000000000', '9007199254740991', '9007199254740993', '1e15', '1e20', '100000', '65536', '1000001'],
]

/** A value in so many others that what goes through it by recursion overflows the stack. */
const deep = fc
  .tuple(
    fc.constantFrom(10, 1000, 20_000, 100_000),
    fc.constantFrom(['[', ']'], ['{"a":', '}'], ['{"__proto__":', '}']),
  )
  .map(([depth, [open, close]]) => `${open!.repeat(depth)}1${close!.repeat(depth)}`)

/** @param words of the format: keys, and texts that it knows */
export function anyJson(words: readonly string[]): fc.Arbitrary<string> {
  const key = fc.oneof(fc.constantFrom(...words, ...keys).map(quoted), fc.string({ maxLength: 8 }).map(quoted))
  const { value } = fc.letrec<{ value: string; list: string; object: string }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      { weight: 20, arbitrary: fc.constantFrom(...numbers, 'null', 'true', 'false', '""', '[]', '{}') },
      { weight: 20, arbitrary: key },
      { weight: 10, arbitrary: tie('list') },
      { weight: 10, arbitrary: tie('object') },
      { weight: 1, arbitrary: fc.constantFrom(200, 70_000).map((length) => quoted('a('.repeat(length))) },
      { weight: 1, arbitrary: deep },
    ),
    list: fc.array(tie('value'), { maxLength: 5 }).map((items) => `[${items.join(',')}]`),
    object: fc
      .array(fc.tuple(key, tie('value')), { maxLength: 6 })
      .map((entries) => `{${entries.map(([name, item]) => `${name}:${item}`).join(',')}}`),
  }))
  return value
}

type Change = { readonly how: 'replace' | 'remove' | 'rename' | 'repeat'; readonly text: string; readonly key: string }

const placesIn = (value: unknown): number =>
  typeof value !== 'object' || value === null
    ? 1
    : Object.values(value).reduce((sum: number, item) => sum + placesIn(item), 1)

/** The text of `value` with changes at places, which are counted in the order in which they are written. */
function changed(value: unknown, changes: ReadonlyMap<number, Change>): string {
  let place = 0
  const write = (item: unknown): string => {
    const change = changes.get(place++)
    if (change?.how === 'replace') return change.text
    if (typeof item !== 'object' || item === null) return JSON.stringify(item)
    if (Array.isArray(item)) return `[${item.map(write).join(',')}]`
    const entries = Object.entries(item).flatMap(([key, inner]) => {
      const here = changes.get(place)
      const text = write(inner)
      if (here?.how === 'remove') return []
      if (here?.how === 'rename') return [`${quoted(here.key)}:${text}`]
      return here?.how === 'repeat'
        ? [`${quoted(key)}:${text}`, `${quoted(key)}:${here.text}`]
        : [`${quoted(key)}:${text}`]
    })
    return `{${entries.join(',')}}`
  }
  return write(value)
}

/** Valid JSON in which one to three places were changed. */
export function changedJson(valid: readonly unknown[], words: readonly string[]): fc.Arbitrary<string> {
  const change: fc.Arbitrary<Change> = fc.record({
    how: fc.constantFrom('replace', 'replace', 'replace', 'remove', 'rename', 'repeat'),
    text: anyJson(words),
    key: fc.constantFrom(...words, ...keys),
  })
  return fc.constantFrom(...valid).chain((value) => {
    const place = fc.integer({ min: 0, max: placesIn(value) - 1 })
    return fc
      .array(fc.tuple(place, change), { minLength: 1, maxLength: 3 })
      .map((changes) => changed(value, new Map(changes)))
  })
}

/** Both kinds, most of them near to what is valid. */
export function hostileJson(valid: readonly unknown[], words: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof({ weight: 5, arbitrary: changedJson(valid, words) }, { weight: 1, arbitrary: anyJson(words) })
}
