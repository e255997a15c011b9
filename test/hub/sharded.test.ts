/** A model in several files. */
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { loadSafetensors, openSafetensors, saveSafetensors } from '../../src/hub/open.ts'
import { encodeSafetensors } from '../../src/hub/safetensors.ts'
import { readSharded } from '../../src/hub/sharded.ts'
import { bytesSource } from '../../src/hub/source.ts'
import type { HostTensor } from '../../src/tensor/host.ts'
import { temporaryFolder } from './folder.ts'
import { anyTensors, expectEqualTensors, floats, refused } from './tensors.ts'

const model = new Map(['a', 'b', 'c', 'd'].map((name, i) => [name, floats([4], (j) => 10 * i + j)]))

/** Two files and an index. */
async function saved(): Promise<{ folder: string; index: string }> {
  const folder = await temporaryFolder()
  const index = await saveSafetensors(join(folder, 'model.safetensors'), model, { shardBytes: 32 })
  return { folder, index }
}

test('any tensors, divided at any size, come back; each file holds no more than it may', async () => {
  const folder = await temporaryFolder()
  const path = join(folder, 'model.safetensors')
  await fc.assert(
    fc.asyncProperty(anyTensors, fc.integer({ min: 1, max: 400 }), async (tensors, shardBytes) => {
      for (const name of await readdir(folder)) await rm(join(folder, name))
      const written = await saveSafetensors(path, tensors, { shardBytes })
      expectEqualTensors((await loadSafetensors(written)).tensors, tensors)
      expectEqualTensors((await loadSafetensors(folder)).tensors, tensors)
      const files = (await readdir(folder)).filter((name) => name.endsWith('.safetensors'))
      for (const name of files) {
        const { tensors: part } = await loadSafetensors(join(folder, name))
        const bytes = [...part.values()].reduce((sum, { data }) => sum + data.byteLength, 0)
        expect(
          bytes <= shardBytes || part.size === 1 || [...part.values()].filter((t) => t.data.length).length === 1,
        ).toBe(true)
      }
      if (files.length === 1) return
      const { metadata } = JSON.parse(await readFile(written, 'utf8'))
      expect(metadata.total_size).toBe([...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0))
      expect(files.sort()[0]).toBe(`model-00001-of-${String(files.length).padStart(5, '0')}.safetensors`)
    }),
    { numRuns: 60 },
  )
})

test('rows and files of an index', async () => {
  const { folder, index } = await saved()
  expect((await readdir(folder)).sort()).toEqual([
    'model-00001-of-00002.safetensors',
    'model-00002-of-00002.safetensors',
    'model.safetensors.index.json',
  ])
  const reader = await openSafetensors(index)
  expect([...(await reader.read('c', { rows: [1, 3] })).data]).toEqual([21, 22])
  expect(reader.tensors.get('d')).toEqual({ format: 'F32', shape: [4], bytes: 16 })
  await expect(reader.read('e')).rejects.toThrow(/the index names no tensor "e"/)
  await reader.close()
})

test('what is wrong with an index or its files is named', async () => {
  const { folder, index } = await saved()
  const text = await readFile(index, 'utf8')
  const withIndex = async (changed: string) => {
    await writeFile(index, changed)
    return openSafetensors(index)
  }
  const edit = (from: string, to: string) => withIndex(text.replace(from, to))
  await expect(edit('"b": "model-00001', '"b": "model-00003')).rejects.toThrow(
    /it names "model-00003-of-00002.safetensors", which cannot be opened: ENOENT/,
  )
  for (const path of ['../x.safetensors', '/etc/passwd', 'a/b', 'a\\\\b', '..', '', 'c:x']) {
    await expect(edit('model-00001-of-00002.safetensors', path)).rejects.toThrow(
      /tensor "a": .* is not the name of a file/,
    )
  }
  await expect(edit('"a": "model-00001-of-00002.safetensors"', '"a": 3')).rejects.toThrow(
    /tensor "a": 3 is not the name/,
  )
  await expect(edit('"a"', '"z"')).rejects.toThrow(/tensor "z" should be in "model-00001.*", which has none/)
  await expect(edit('"b": "model-00001', '"b": "model-00002')).rejects.toThrow(/tensor "b" should be in "model-00002/)
  await expect(withIndex(text.replace(/"b": .*\n/, ''))).rejects.toThrow(
    /holds tensor "b", which the index does not say/,
  )
  await expect(edit('"b"', '"a"')).rejects.toThrow(/"weight_map": "a" is there twice/)
  await expect(withIndex('{"weight_map": []}')).rejects.toThrow(/no weight_map/)
  await expect(withIndex('[]')).rejects.toThrow(/the index is not a JSON object/)
  await expect(withIndex(text.slice(0, -9))).rejects.toThrow(/the index is not JSON/)
  await writeFile(index, text)
  const first = join(folder, 'model-00001-of-00002.safetensors')
  const bytes = await readFile(first)
  await writeFile(first, bytes.subarray(0, -4))
  await expect(openSafetensors(index)).rejects.toThrow(/model-00001-of-00002.safetensors: tensor "b": .* pass the end/)
  await writeFile(first, bytes)
  await rename(first, join(folder, 'model.safetensors'))
  await expect(openSafetensors(folder)).rejects.toThrow(/holds both model.safetensors and model.safetensors.index.json/)
})

test('a damaged index is a SluiceError, or gives exactly the tensors', async () => {
  const shard = (...names: string[]): Uint8Array =>
    encodeSafetensors(new Map(names.map((name) => [name, model.get(name)!])))
  const files = new Map([
    ['1.st', shard('a', 'b')],
    ['2.st', shard('c', 'd')],
  ])
  const text = JSON.stringify({ metadata: {}, weight_map: { a: '1.st', b: '1.st', c: '2.st', d: '2.st' } })
  const seen = { refused: 0, read: 0 }
  const read = async (index: Uint8Array): Promise<Map<string, HostTensor>> => {
    const reader = await readSharded(index, 'index', async (file) => {
      const bytes = files.get(file)
      if (!bytes) throw new Error('no such file')
      return bytesSource(bytes, file)
    })
    const tensors = new Map<string, HostTensor>()
    for (const name of reader.tensors.keys()) tensors.set(name, await reader.read(name))
    return tensors
  }
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.noBias(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom(0, 1, 2))), { minLength: 1, maxLength: 2 }),
      async (steps) => {
        let bytes = Buffer.from(text)
        for (const [place, value, removed] of steps) {
          const at = place % (bytes.length + 1)
          bytes = Buffer.concat([bytes.subarray(0, at), Buffer.of(value), bytes.subarray(at + removed)])
        }
        const found = await read(bytes).catch(refused)
        seen[found ? 'read' : 'refused']++
        if (found) expectEqualTensors(found, model)
      },
    ),
    { numRuns: 1000 },
  )
  expect(seen.refused).toBeGreaterThan(500)
  expect(seen.read).toBeGreaterThan(5)
})
