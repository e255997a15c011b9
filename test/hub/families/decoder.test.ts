/** The weights of the families: rows where the reference code has them, and the same bits after to and fro. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SluiceError } from '../../../src/errors.ts'
import { allWeights, decoderWeights, type Layout } from '../../../src/hub/families/decoder.ts'
import type { FamilyName } from '../../../src/hub/families/family.ts'
import { familyNamed, familyNames, layoutOf } from '../../../src/hub/families/index.ts'
import { type Named, RowMap, type Run } from '../../../src/hub/families/rows.ts'
import { type TransformerConfig, transformerConfig } from '../../../src/nn/config.ts'
import type { HostTensor } from '../../../src/tensor/host.ts'
import { expectEqualTensors, floats } from '../tensors.ts'
import { anyConfig } from './models.ts'

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)

/** Tensors of which no two values are alike. */
function distinct(tensors: readonly Named[]): Map<string, HostTensor> {
  let next = 0
  return new Map(tensors.map(({ name, shape }) => [name, floats(shape, () => next++)]))
}

async function loadAll(maps: readonly RowMap[], file: ReadonlyMap<string, HostTensor>) {
  const model = new Map<string, HostTensor>()
  for (const map of maps)
    for (const entry of await map.load(async (name) => file.get(name)!, 'float32')) model.set(...entry)
  return model
}

async function saveAll(maps: readonly RowMap[], model: ReadonlyMap<string, HostTensor>) {
  const file = new Map<string, HostTensor>()
  for (const map of maps) {
    for (const [i, { name }] of map.file.entries()) {
      file.set(name, await map.save(i, async (part) => model.get(part)!, 'float32'))
    }
  }
  return file
}

test('any permutation of rows, cut anywhere into tensors on either side, goes to and fro', async () => {
  const cuts = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(cuts, fc.nat(), fc.integer({ min: 1, max: 3 }), async (sizes, seed, width) => {
      const total = sizes.reduce((sum, size) => sum + size, 0)
      const first = total === 0 ? 0 : seed % (total + 1)
      const file = [first, total - first].map((rows, i): Named => ({ name: `f${i}`, shape: [rows, width] }))
      const model = sizes.map((rows, i): Named => ({ name: `m${i}`, shape: [rows, width] }))
      const runs = model
        .flatMap(({ shape }, i): Run[] => Array.from({ length: shape[0] }, (_, row) => [i, row, 1]))
        .sort((a, b) => ((a[0] * 7 + a[1] * 13 + seed) % 11) - ((b[0] * 7 + b[1] * 13 + seed) % 11))
      const map = new RowMap(file, model, width, runs)
      const given = distinct(file)
      const loaded = await loadAll([map], given)
      const flat = [...given.values()].flatMap(({ data }) => [...data])
      runs.forEach(([of, row], at) => {
        const { data } = loaded.get(`m${of}`)!
        expect([...data.subarray(row * width, (row + 1) * width)]).toEqual(flat.slice(at * width, (at + 1) * width))
      })
      expectEqualTensors(await saveAll([map], loaded), given)
    }),
    { numRuns: 300 },
  )
})

test('what is not a permutation is refused', () => {
  const [file, model] = [[{ name: 'f', shape: [4, 2] }], [{ name: 'm', shape: [4, 2] }]]
  const make =
    (...runs: Run[]) =>
    () =>
      new RowMap(file, model, 2, runs)
  expect(make([0, 0, 4])).not.toThrow()
  expect(make([0, 2, 2], [0, 0, 2])).not.toThrow()
  for (const wrong of [make([0, 0, 3]), make([0, 0, 3], [0, 2, 2]), make([0, 1, 3]), make(), make([0, 0, 5])]) {
    expect(wrong).toThrow(SluiceError)
    expect(wrong).toThrow(/the rows of f \[4, 2\] are not those of m \[4, 2\]/)
  }
  expect(() => new RowMap(file, [{ name: 'm', shape: [8] }], 1, [[0, 0, 8]])).not.toThrow()
  expect(() => new RowMap(file, [{ name: 'm', shape: [3, 2] }], 2, [[0, 0, 3]])).toThrow(SluiceError)
})

const layouts: fc.Arbitrary<Layout> = fc.record({
  prefix: fc.constantFrom('model.', 'model.language_model.'),
  gateRows: fc.constantFrom('head', 'group'),
  delta: fc.constantFrom('joined', 'split'),
  experts: fc.constantFrom('separate', 'stacked'),
})

test.each(familyNames)('%s: every weight of any model goes to and fro with the same bits', async (name: FamilyName) => {
  await fc.assert(
    fc.asyncProperty(anyConfig(name), layouts, fc.boolean(), async (config, anyLayout, isOwn) => {
      const layout = isOwn ? familyNamed('test', name).layout : anyLayout
      const maps = allWeights(decoderWeights(config, layout))
      const tensors = maps.flatMap(({ file }) => file)
      const file = distinct(tensors)
      expect(file.size).toBe(tensors.length)
      expect(layoutOf({ ...familyNamed('test', name), layout }, file.keys())).toEqual(layout)
      const model = await loadAll(maps, file)
      expect(model.size).toBe(maps.flatMap(({ model }) => model).length)
      expectEqualTensors(await saveAll(maps, model), file)
    }),
    { numRuns: 200 },
  )
})

/** Row numbers of a tensor of the file that ended in the model's tensor, in the model's order. */
async function rowsOf(config: TransformerConfig, layout: Layout, fileName: string) {
  const map = allWeights(decoderWeights(config, layout)).find(({ file }) => file.some(({ name }) => name === fileName))!
  const read = async (name: string): Promise<HostTensor> => {
    const { shape } = map.file.find((tensor) => tensor.name === name)!
    const columns = sizeOf(shape) / shape[0]
    return floats(shape, (i) => Math.floor(i / columns))
  }
  const loaded = await map.load(read, 'float32')
  return new Map(
    [...loaded].map(([name, { data, shape }]) => {
      const columns = shape.slice(1).reduce((product, size) => product * size, 1)
      return [name.split('.').slice(-2).join('.'), [...data].filter((_, i) => i % columns === 0)]
    }),
  )
}

const [H, KV, D, C] = [6, 2, 4, 3]
const G = H / KV

/** The rows that `row(head, dimension)` names, head after head. */
const rows = (heads: number, width: number, row: (head: number, dimension: number) => number) =>
  Array.from({ length: heads * width }, (_, i) => row(Math.floor(i / width), i % width))

test.each(['elementwise', 'headwise', 'none'] as const)(
  "q_proj of the paper's %s model: rows by key-value head, as its modeling_qwen3.py splits them",
  async (gate) => {
    const config = transformerConfig({ vocabularySize: 5, width: C, heads: H, keyValueHeads: KV, headWidth: D, gate })
    const found = await rowsOf(config, familyNamed('test', 'qwen3').layout, 'model.layers.0.self_attn.q_proj.weight')
    const group = { elementwise: 2 * G * D, headwise: G * D + G, none: G * D }[gate]
    const [m, g] = [(h: number) => Math.floor(h / G), (h: number) => h % G]
    expect(found.get('queryProjection.weight')).toEqual(rows(H, D, (h, d) => m(h) * group + g(h) * D + d))
    const gates = {
      elementwise: rows(H, D, (h, d) => m(h) * group + G * D + g(h) * D + d),
      headwise: rows(H, 1, (h) => m(h) * group + G * D + g(h)),
      none: undefined,
    }
    expect(found.get('gateProjection.weight')).toEqual(gates[gate])
  },
)

const hybrid = transformerConfig({
  vocabularySize: 5,
  width: C,
  heads: H,
  keyValueHeads: KV,
  headWidth: D,
  layerTypes: ['attention', 'delta'],
  delta: { keyHeads: 2, valueHeads: 6, keyWidth: 3, valueWidth: 5 },
  experts: { count: 3, active: 1, width: 2 },
})

test('q_proj of Qwen3-Next and Qwen3.5: each head’s query rows, then its gate rows', async () => {
  for (const name of ['qwen3_next', 'qwen3_5'] as const) {
    const { layout } = familyNamed('test', name)
    const found = await rowsOf(hybrid, layout, 'model.layers.0.self_attn.q_proj.weight')
    expect(found.get('queryProjection.weight')).toEqual(rows(H, D, (h, d) => h * 2 * D + d))
    expect(found.get('gateProjection.weight')).toEqual(rows(H, D, (h, d) => h * 2 * D + D + d))
  }
})

test('in_proj_qkvz and in_proj_ba of Qwen3-Next: by key head; in_proj_qkv of Qwen3.5: one after the other', async () => {
  const [Hk, Hv, K, V, R] = [2, 6, 3, 5, 3]
  const next = familyNamed('test', 'qwen3_next').layout
  const group = 2 * K + 2 * R * V
  const qkvz = await rowsOf(hybrid, next, 'model.layers.1.linear_attn.in_proj_qkvz.weight')
  expect(qkvz.get('queryProjection.weight')).toEqual(rows(Hk, K, (h, d) => h * group + d))
  expect(qkvz.get('keyProjection.weight')).toEqual(rows(Hk, K, (h, d) => h * group + K + d))
  const value = (j: number, d: number) => Math.floor(j / R) * group + 2 * K + (j % R) * V + d
  expect(qkvz.get('valueProjection.weight')).toEqual(rows(Hv, V, value))
  expect(qkvz.get('outputGateProjection.weight')).toEqual(rows(Hv, V, (j, d) => value(j, d) + R * V))
  const ba = await rowsOf(hybrid, next, 'model.layers.1.linear_attn.in_proj_ba.weight')
  expect(ba.get('betaProjection.weight')).toEqual(rows(Hv, 1, (j) => Math.floor(j / R) * 2 * R + (j % R)))
  expect(ba.get('decayProjection.weight')).toEqual(rows(Hv, 1, (j) => Math.floor(j / R) * 2 * R + R + (j % R)))

  const split = familyNamed('test', 'qwen3_5').layout
  const qkv = await rowsOf(hybrid, split, 'model.layers.1.linear_attn.in_proj_qkv.weight')
  expect(qkv.get('queryProjection.weight')).toEqual(rows(Hk, K, (h, d) => h * K + d))
  expect(qkv.get('keyProjection.weight')).toEqual(rows(Hk, K, (h, d) => Hk * K + h * K + d))
  expect(qkv.get('valueProjection.weight')).toEqual(rows(Hv, V, (j, d) => 2 * Hk * K + j * V + d))
})

test('stacked experts: of each expert its gate rows, then its up rows', async () => {
  const layout: Layout = { ...familyNamed('test', 'qwen3_5_moe').layout, experts: 'stacked' }
  const map = allWeights(decoderWeights(hybrid, layout)).find(({ file }) =>
    file[0].name.endsWith('experts.gate_up_proj'),
  )!
  const [E, F] = [3, 2]
  const loaded = await map.load(async () => floats([E, 2 * F, C], (i) => Math.floor(i / C)), 'float32')
  const firsts = (name: string) => [...loaded.get(name)!.data].filter((_, i) => i % C === 0)
  expect(firsts('layers.0.experts.gateProjections')).toEqual(rows(E, F, (e, f) => e * 2 * F + f))
  expect(firsts('layers.0.experts.upProjections')).toEqual(rows(E, F, (e, f) => e * 2 * F + F + f))
})
