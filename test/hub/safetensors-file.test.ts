/** Files that are read and written a tensor at a time. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { SluiceError } from '../../src/errors.ts'
import { formatFor } from '../../src/hub/formats.ts'
import { loadSafetensors, openSafetensors, saveSafetensors } from '../../src/hub/open.ts'
import { decodeSafetensors, encodeSafetensors } from '../../src/hub/safetensors.ts'
import type { LazyTensor } from '../../src/hub/safetensors-file.ts'
import { bytesSource } from '../../src/hub/source.ts'
import { manualSeed, randn } from '../../src/index.ts'
import type { HostTensor } from '../../src/tensor/host.ts'
import { temporaryFolder } from './folder.ts'
import { mutate, mutations } from './mutations.ts'
import { anyMetadata, anyTensors, expectEqualTensors, floats, refused } from './tensors.ts'

test('bytes, a Blob and a file read as decodeSafetensors reads them, and are written as encodeSafetensors writes', async () => {
  const path = join(await temporaryFolder(), 'm.safetensors')
  await fc.assert(
    fc.asyncProperty(anyTensors, anyMetadata, async (tensors, metadata) => {
      const bytes = encodeSafetensors(tensors, metadata)
      expect(await saveSafetensors(path, tensors, { metadata })).toBe(path)
      const sources = [path, bytes, new Blob([bytes]), bytesSource(bytes)]
      for (const source of sources) {
        const read = await loadSafetensors(source)
        expectEqualTensors(read.tensors, tensors)
        expect(Object.entries(read.metadata).sort()).toEqual(Object.entries(metadata).sort())
      }
      const file = await open(path)
      expect((await file.readFile()).equals(bytes)).toBe(true)
      await file.close()
    }),
    { numRuns: 60 },
  )
})

test('any rows of any tensor are those of the whole', async () => {
  await fc.assert(
    fc.asyncProperty(anyTensors, fc.nat(), fc.nat(), async (tensors, first, second) => {
      const file = await openSafetensors(encodeSafetensors(tensors))
      for (const [name, { dtype, shape, data }] of tensors) {
        if (shape.length === 0) {
          await expect(file.read(name, { rows: [0, 0] })).rejects.toThrow(
            /there are no rows \[0, 0\] in its shape \[\]/,
          )
          continue
        }
        const [begin, end] = [first % (shape[0] + 1), second % (shape[0] + 1)].sort()
        const rowSize = shape.slice(1).reduce((product, size) => product * size, 1)
        const wanted = {
          dtype,
          shape: [end - begin, ...shape.slice(1)],
          data: data.slice(begin * rowSize, end * rowSize),
        }
        const found = await file.read(name, { rows: [begin, end] })
        expectEqualTensors(new Map([[name, found]]), new Map([[name, wanted]]))
      }
    }),
    { numRuns: 300 },
  )
})

test('what cannot be read is a SluiceError that says why', async () => {
  const file = await openSafetensors(encodeSafetensors(new Map([['w', floats([3, 2])]])))
  await expect(file.read('v')).rejects.toThrow(/readTensor: bytes has no tensor "v"/)
  for (const rows of [
    [-1, 2],
    [2, 1],
    [0, 4],
    [0.5, 1],
    [Number.NaN, 1],
  ] as [number, number][]) {
    await expect(file.read('w', { rows })).rejects.toThrow(/tensor "w": there are no rows \[.*\] in its shape \[3, 2\]/)
  }
  await expect(openSafetensors('/nowhere/m.safetensors')).rejects.toThrow(/m.safetensors cannot be opened: ENOENT/)
  await expect(openSafetensors(7 as never)).rejects.toThrow(/expected a path, a Uint8Array, a Blob/)
  const folder = await temporaryFolder()
  await expect(openSafetensors(folder)).rejects.toThrow(/holds neither model.safetensors nor model.safetensors.index/)
  const bytes = encodeSafetensors(new Map([['w', floats([3, 2])]]))
  const short = {
    ...bytesSource(bytes),
    read: async (begin: number, end: number) => bytes.subarray(begin, Math.min(end, 90)),
  }
  await expect(loadSafetensors(short)).rejects.toThrow(/asked for, .* came; it was cut short/)
})

test('opening reads the header alone, reading a tensor its bytes alone, in bounded blocks', async () => {
  const large = floats([2 ** 20, 6])
  const bytes = encodeSafetensors(
    new Map([
      ['large', large],
      ['small', floats([2])],
    ]),
  )
  let [total, longest] = [0, 0]
  const source = {
    ...bytesSource(bytes),
    read: async (begin: number, end: number) => {
      total += end - begin
      longest = Math.max(longest, end - begin)
      return bytes.subarray(begin, end)
    },
  }
  const file = await openSafetensors(source)
  expect(total).toBe(8 + Number(new DataView(bytes.buffer).getBigUint64(0, true)))
  total = 0
  expectEqualTensors(new Map([['large', await file.read('large')]]), new Map([['large', large]]))
  expect(total).toBe(large.data.byteLength)
  expect(longest).toBeLessThanOrEqual(2 ** 23)
  total = 0
  await file.read('large', { rows: [70, 72] })
  expect(total).toBe(2 * 6 * 4)
})

/** A sparse file that takes next to no disk: `rows` of two BF16 values, then three F32. */
async function hugeFile(rows: number): Promise<string> {
  const path = join(await temporaryFolder(), 'huge.safetensors')
  const header = JSON.stringify({
    huge: { dtype: 'BF16', shape: [rows, 2], data_offsets: [0, 4 * rows] },
    last: { dtype: 'F32', shape: [3], data_offsets: [4 * rows, 4 * rows + 12] },
  })
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  const handle = await open(path, 'w')
  await handle.write(Buffer.concat([length, Buffer.from(header)]), 0, undefined, 0)
  const at = (byte: number) => 8 + header.length + byte
  for (const row of [0, 2 ** 29, 2 ** 30, rows - 1]) {
    await handle.write(
      Buffer.from(formatFor('float32', 'bfloat16').encode(Float32Array.of(row, -row))),
      0,
      4,
      at(4 * row),
    )
  }
  await handle.write(Buffer.from(Float32Array.of(1, 2, 3).buffer), 0, 12, at(4 * rows))
  await handle.close()
  return path
}

test('files past 2^31 and 2^32 bytes are read at the right places', async () => {
  const rows = 2 ** 30 + 1000
  const file = await openSafetensors(await hugeFile(rows))
  onTestFinished(() => file.close())
  expect(file.tensors.get('huge')).toEqual({ format: 'BF16', shape: [rows, 2], bytes: 4 * rows })
  // bfloat16 keeps 8 bits: these are its values, 2^29 and 2^30 among them.
  const kept = (value: number) => {
    const back = new Float32Array(1)
    const { encode, decode } = formatFor('float32', 'bfloat16')
    decode(encode(Float32Array.of(value)), back)
    return back[0]
  }
  for (const row of [2 ** 29, 2 ** 30, rows - 1]) {
    const { data } = await file.read('huge', { rows: [row - 1, row + 1] })
    expect([...data]).toEqual([0, 0, kept(row), kept(-row)])
  }
  expect([...(await file.read('last')).data]).toEqual([1, 2, 3])
})

test('a tensor is asked for when its turn comes, and written in the dtype that is wanted', async () => {
  const path = join(await temporaryFolder(), 'm.safetensors')
  const open: string[] = []
  const lazy = (name: string, tensor: HostTensor): LazyTensor => ({
    ...{ dtype: tensor.dtype, shape: tensor.shape },
    async read() {
      open.push(name)
      return tensor
    },
  })
  const values = [1 / 3, -1e-40, 7e4, Number.NEGATIVE_INFINITY]
  const double: HostTensor = { dtype: 'float64', shape: [4], data: Float64Array.from(values) }
  const whole: HostTensor = { dtype: 'int32', shape: [2], data: Int32Array.of(-5, 2 ** 31 - 1) }
  manualSeed(1)
  const onDevice = randn([3, 2])
  const saved = {
    a: lazy('a', double),
    b: lazy(
      'b',
      floats([2, 2], (i) => values[i]),
    ),
    whole,
    onDevice,
  }
  await saveSafetensors(path, saved, { dtype: 'bfloat16' })
  expect(open).toEqual(['a', 'b'])
  const file = await openSafetensors(path)
  onTestFinished(() => file.close())
  expect([...file.tensors].map(([name, { format }]) => `${name} ${format}`).sort()).toEqual([
    'a BF16',
    'b BF16',
    'onDevice BF16',
    'whole I32',
  ])
  const bfloat = (value: number) => {
    const [bits] = new Uint32Array(Float32Array.of(value).buffer)
    return new Float32Array(Uint32Array.of((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000).buffer)[0]
  }
  expect([...(await file.read('a')).data]).toEqual(values.map(bfloat))
  expect([...(await file.read('b')).data]).toEqual(values.map(bfloat))
  expect([...(await file.read('onDevice')).data]).toEqual([...(await onDevice.data())].map(bfloat))
  expect([...(await file.read('whole')).data]).toEqual([-5, 2 ** 31 - 1])
})

test('what cannot be written is a SluiceError that names the tensor, and leaves no file', async () => {
  const folder = await temporaryFolder()
  const path = join(folder, 'm.safetensors')
  const save = (tensor: unknown, options = {}, at = path) =>
    saveSafetensors(at, { 'layers.0': tensor } as never, options)
  const w = floats([2], () => 7e4)
  await expect(save(w, { dtype: 'float16' })).rejects.toThrow(/tensor "layers.0": value 0, 70000, is too large for F16/)
  await expect(save(w, { dtype: 'int8' })).rejects.toThrow(/dtype must be float32, .*got int8/)
  await expect(save(w, { shardBytes: 0 })).rejects.toThrow(/shardBytes must be a number above 0/)
  await expect(save(w, {}, join(folder, 'm.bin'))).rejects.toThrow(/must end in .safetensors/)
  await expect(save({ ...w, shape: [3] })).rejects.toThrow(
    /tensor "layers.0": shape \[3\] has 3 values, the data has 2/,
  )
  await expect(save([1, 2])).rejects.toThrow(/tensor "layers.0": expected a tensor/)
  await expect(save({ dtype: 'float32', shape: [3], read: async () => w })).rejects.toThrow(
    /tensor "layers.0": \[2\] float32 was read, \[3\] float32 expected/,
  )
  await expect(save(w, {}, join(folder, 'none', 'm.safetensors'))).rejects.toThrow(/could not be written: ENOENT/)
  const { readdir } = await import('node:fs/promises')
  expect(await readdir(folder)).toEqual([])
})

test('a damaged file is a SluiceError, or read exactly as a whole one would be', async () => {
  const seen = { refused: 0, read: 0 }
  await fc.assert(
    fc.asyncProperty(anyTensors, mutations, async (tensors, steps) => {
      const bytes = mutate(encodeSafetensors(tensors), steps)
      const wanted = attempt(() => decodeSafetensors(bytes).tensors)
      const found = await loadSafetensors(bytes).then(({ tensors }) => tensors, refused)
      seen[found ? 'read' : 'refused']++
      if (!wanted || !found) expect(found).toBe(wanted)
      else expectEqualTensors(found, wanted)
    }),
    { numRuns: 1000 },
  )
  expect(seen.refused).toBeGreaterThan(250)
  expect(seen.read).toBeGreaterThan(25)
})

function attempt<R>(body: () => R): R | undefined {
  try {
    return body()
  } catch (error) {
    return refused(error)
  }
}

test('a file cut short anywhere is an error', async () => {
  const bytes = encodeSafetensors(
    new Map([
      ['v', floats([3])],
      ['w', floats([2, 2])],
    ]),
    { step: '3' },
  )
  for (let length = 0; length < bytes.length; length++) {
    await expect(loadSafetensors(bytes.subarray(0, length))).rejects.toThrow(SluiceError)
  }
})
