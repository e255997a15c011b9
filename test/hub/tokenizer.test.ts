/** tokenizer.json, written and read. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { loadTokenizer, type TokenizerLibrary } from '../../src/hub/tokenizer.ts'
import { tokenizerFiles } from '../../src/hub/tokenizer-files.ts'
import { repeatsChoices } from '../../src/hub/tokenizer-patterns.ts'
import { ByteTokenizer, CharTokenizer, type Tokenizer } from '../../src/train/tokenizer.ts'
import { temporaryFolder } from './folder.ts'

const packageName = '@huggingface/tokenizers'
const library = await import(/* @vite-ignore */ packageName).then(
  (found) => found as TokenizerLibrary,
  () => undefined,
)

async function folderOf(tokenizer: Tokenizer): Promise<string> {
  const folder = await temporaryFolder()
  for (const [name, text] of Object.entries(tokenizerFiles(tokenizer.toJSON(), 64))) {
    await writeFile(join(folder, name), text)
  }
  return folder
}

const needsLibrary = library ? {} : { skip: true, meta: { leftOut: `${packageName} is not installed` } }

test('a character tokenizer gives the same ids and texts through tokenizer.json', needsLibrary, async () => {
  const own = CharTokenizer.fromText(' \n\tabcAé.<unk>\'"\\日🙂{}')
  const read = await loadTokenizer(await folderOf(own))
  expect(read.vocabularySize).toBe(own.vocabularySize)
  const alphabet = own.decode(Int32Array.from({ length: own.vocabularySize }, (_, id) => id))
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...alphabet), { maxLength: 30 }), (characters) => {
      const text = characters.join('')
      expect([...read.encode(text)]).toEqual([...own.encode(text)])
      expect(read.decode(own.encode(text))).toBe(text)
    }),
    { numRuns: 300 },
  )
  expect(() => read.encode('z')).toThrow()
  expect(() => read.decode([own.vocabularySize])).toThrow(/id \d+ at position 0 is outside/)
})

test('a byte tokenizer gives the same ids and texts through tokenizer.json', needsLibrary, async () => {
  const own = new ByteTokenizer()
  const read = await loadTokenizer(await folderOf(own))
  expect(read.vocabularySize).toBe(256)
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (text) => {
      if (/\p{Surrogate}/u.test(text)) return
      expect([...read.encode(text)]).toEqual([...own.encode(text)])
      expect(read.decode(own.encode(text))).toBe(text)
    }),
    { numRuns: 300 },
  )
})

/** Stands for the package where only what is asked of it counts. */
const spelled: TokenizerLibrary = {
  Tokenizer: class {
    readonly #vocabulary: Map<string, number>
    constructor(json: object) {
      const { model } = json as { model: { type?: string; vocab: Record<string, number> } }
      if (model.type === 'None') throw new Error('no model')
      this.#vocabulary = new Map(Object.entries(model.vocab))
    }
    encode = (text: string) => ({ ids: [...text].map((character) => this.#vocabulary.get(character)!) })
    decode = (ids: number[]) => ids.map((id) => [...this.#vocabulary].find(([, other]) => other === id)![0]).join('')
    get_vocab = () => this.#vocabulary
  },
}

test('what the package gives is checked', async () => {
  const folder = await folderOf(new CharTokenizer('abc'))
  const read = await loadTokenizer(folder, { library: spelled })
  expect([...read.encode('cab')]).toEqual([2, 0, 1])
  expect(read.decode(Int32Array.of(1, 1))).toBe('bb')
  expect(read.decode([])).toBe('')
  expect(() => read.encode('ad')).toThrow(/token 1 of the text is not in the vocabulary/)
  for (const id of [3, -1, 0.5]) expect(() => read.decode([0, id])).toThrow(/id .* at position 1 is outside \[0, 3\)/)
})

test('what is missing or wrong is said', async () => {
  const folder = await temporaryFolder()
  await expect(loadTokenizer(join(folder, 'none'))).rejects.toThrow(/cannot be listed: ENOENT/)
  await expect(loadTokenizer(folder)).rejects.toThrow(/holds no tokenizer.json/)
  await writeFile(join(folder, 'tokenizer.json'), '{')
  await expect(loadTokenizer(folder)).rejects.toThrow(/tokenizer.json cannot be read/)
  for (const json of ['{}', '{"model":null}', '{"model":{"vocab":"abc"}}', 'null']) {
    await writeFile(join(folder, 'tokenizer.json'), json)
    await expect(loadTokenizer(folder)).rejects.toThrow(/tokenizer.json has the vocabulary .*, expected an object/)
  }
  await writeFile(join(folder, 'tokenizer.json'), '{"model":{"type":"None","vocab":{}}}')
  const reading = expect(loadTokenizer(folder, { library: spelled })).rejects
  await reading.toThrow(/reading tokenizer.json failed in @huggingface\/tokenizers: no model/)
  if (!library) await expect(loadTokenizer(folder)).rejects.toThrow(/install it: npm install @huggingface\/tokenizers/)
})

test.each([
  ['(a+)+$', true],
  ['(?:a|a)*b', true],
  ['((a*)b?){2,}', true],
  ['(\\s+|\\w)+', true],
  ["'s|'t| ?\\p{L}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", false],
  ["(?i:'s|'t)?[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}", false],
  ['\\p{N}{1,3}(?=(?:\\p{N}{3})*(?:\\P{N}|$))', false],
  ['[(a+)+*]+', false],
  ['\\(a+\\)+', false],
])('whether %s may take exponential time: %s', (pattern, endless) => {
  expect(repeatsChoices(pattern)).toBe(endless)
})

test('a tokenizer.json whose pattern may take exponential time is refused', async () => {
  const folder = await temporaryFolder()
  const json = { pre_tokenizer: { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated' } }
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(json))
  await expect(loadTokenizer(folder)).rejects.toThrow(/has the pattern "\(a\+\)\+\$", which may take exponential time/)
})

test.each([1e9, -1, 0.5, '3'])(
  'a tokenizer.json with the id %j is refused, before the package makes a list of it',
  async (id) => {
    const folder = await temporaryFolder()
    for (const json of [
      { model: { type: 'WordLevel', vocab: { a: 0, b: id } } },
      { added_tokens: [{ id, content: 'a' }] },
    ]) {
      await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(json))
      await expect(loadTokenizer(folder)).rejects.toThrow('expected integers below 4194304')
    }
  },
)
