/** Forward passes with one layer in memory at a time. */
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test, vi } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import { familyNames } from '../../src/hub/families/index.ts'
import { loadPretrained, savePretrained } from '../../src/hub/pretrained.ts'
import { openPretrained } from '../../src/hub/streamed.ts'
import { manualSeed, tensor } from '../../src/index.ts'
import { Transformer, type TransformerConfigInput } from '../../src/nn/index.ts'
import { checkLeaks } from '../../src/tensor/lifetime.ts'
import { anyConfig } from './families/models.ts'
import { temporaryFolder } from './folder.ts'

function batchOf(vocabularySize: number, seed: number, device = 'cpu') {
  const ids = (step: number) =>
    tensor(
      Int32Array.from({ length: 10 }, (_, i) => (i * step + seed) % vocabularySize),
      { shape: [2, 5], device },
    )
  return { tokens: ids(3), targets: ids(7) }
}

const largest = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0)

/** Compares the streamed model with the loaded one, on the reference device, whose products add up in one order. */
async function expectSame(folder: string, vocabularyBlock: number, seed: number): Promise<void> {
  const device = 'reference'
  const streamed = await openPretrained(folder, { vocabularyBlock, device })
  const loaded = await loadPretrained(folder, { device })
  const { vocabularySize } = loaded.config
  const { tokens, targets } = batchOf(vocabularySize, seed, device)
  const ignored = [undefined, (await targets.data())[0]]
  try {
    const before = checkLeaks().length
    const logits = await streamed.forward(tokens)
    const losses: number[] = []
    for (const ignoreIndex of ignored) losses.push(await streamed.loss(tokens, targets, { ignoreIndex }))
    expect(checkLeaks().length).toBeLessThanOrEqual(before + 1)
    const wanted = loaded.forward(tokens)
    const values = await wanted.data()
    expect(logits.shape).toEqual(wanted.shape)
    expect(await logits.data()).toEqual(values)
    for (const [i, ignoreIndex] of ignored.entries()) {
      const right = await loaded.loss(tokens, targets, { ignoreIndex }).item()
      // Sums of V exponentials differ by V 2^-53 of themselves, exponentials and logarithms by a few 2^-53 of the largest
      // logit; a mean over 10 positions adds 10 2^-53.
      const bound = (vocabularySize + 30) * 2 ** -53 * Math.max(1, largest(values))
      if (Number.isNaN(right)) expect(losses[i]).toBeNaN()
      else expect(Math.abs(losses[i] - right)).toBeLessThanOrEqual(bound)
    }
    for (const t of [logits, wanted]) t.dispose()
  } finally {
    await streamed.close()
    loaded.dispose()
  }
}

test.each(familyNames)('%s: logits and loss are those of the loaded model, logits bit for bit', async (name) => {
  const parent = await temporaryFolder()
  let run = 0
  await fc.assert(
    fc.asyncProperty(anyConfig(name), fc.integer({ min: 1, max: 12 }), fc.nat(50), async (config, block, seed) => {
      const folder = join(parent, String(run++))
      const model = new Transformer(config)
      await savePretrained(model, folder, { family: name, dtype: 'bfloat16' })
      model.dispose()
      await expectSame(folder, block, seed)
    }),
    { numRuns: 12 },
  )
})

/** A model of 8 layers and a vocabulary that outweighs each of them. */
const large: TransformerConfigInput = {
  ...{ vocabularySize: 3000, width: 64, heads: 4, keyValueHeads: 2, feedForwardWidth: 160, tied: false },
  ...{ layers: 8, fullAttentionInterval: 4, zeroCentredNorm: true, rope: { dims: 4 } },
}

test('peak memory on the device follows one layer, not the model', async () => {
  manualSeed(5)
  const model = new Transformer(large)
  const folder = join(await temporaryFolder(), 'model')
  await savePretrained(model, folder, { shardBytes: 200_000 })
  const { tokens, targets } = batchOf(3000, 1)
  const device = findDevice('cpu')
  const floor = device.statistics().bytes
  let peak = 0
  const original = device.allocate.bind(device)
  vi.spyOn(device, 'allocate').mockImplementation((dtype, length) => {
    const buffer = original(dtype, length)
    peak = Math.max(peak, device.statistics().bytes - floor)
    return buffer
  })
  onTestFinished(() => void vi.restoreAllMocks())
  const bytesOf = (of: { parameterCount: number }) => 4 * of.parameterCount
  const layer = Math.max(...model.layers.map(bytesOf))
  const streamed = await openPretrained(folder, { vocabularyBlock: 256 })
  const seen: number[] = []
  const hidden = await streamed.loss(tokens, targets)
  // A layer; its largest weight a second time while it is replaced; activations of 10 positions, at most 64 of width 160.
  const limit = layer + 4 * 160 * 64 + 4 * 10 * 160 * 64
  expect(peak).toBeGreaterThan(layer)
  expect(peak).toBeLessThanOrEqual(limit)
  expect(bytesOf(model)).toBeGreaterThan(4 * limit)
  expect(device.statistics().bytes).toBe(floor)
  vi.restoreAllMocks()
  const right = await model.loss(tokens, targets).item()
  expect(Math.abs(hidden - right)).toBeLessThanOrEqual(3030 * 2 ** -24 * Math.max(1, right))
  const logits = await streamed.forward(tokens, { observe: ({ layer }) => void seen.push(layer) })
  expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  const wanted = await model.forward(tokens).data()
  expect(await logits.data()).toEqual(wanted)
  await streamed.close()
  // A block's last columns may be added up in another order: of C terms whose magnitudes sum to |h| |w|, each time at most
  // C 2^-24 of that sum. The norm makes |h| at most sqrt(C), and |w| is at most sqrt(C) times the largest weight.
  const odd = await openPretrained(folder, { vocabularyBlock: 37 })
  const found = await (await odd.forward(tokens)).data()
  const bound = 2 * 64 * 2 ** -24 * 64 * largest(await model.head!.weight.data())
  expect(largest(found.map((value, i) => value - wanted[i]))).toBeLessThanOrEqual(bound)
  await odd.close()
})

test('what cannot be computed is a SluiceError that says why', async () => {
  const folder = join(await temporaryFolder(), 'model')
  await savePretrained(new Transformer({ vocabularySize: 7, width: 4, layers: 1, heads: 2 }), folder)
  await expect(openPretrained(folder, { vocabularyBlock: 0 })).rejects.toThrow(
    /vocabularyBlock must be an integer from 1/,
  )
  await expect(openPretrained(folder, { device: 'abacus' })).rejects.toThrow(/there is no device 'abacus'/)
  const model = await openPretrained(folder)
  onTestFinished(() => model.close())
  const ids = (...list: number[]) => tensor(Int32Array.from(list), { shape: [1, list.length] })
  await expect(model.forward(ids(0, 7))).rejects.toThrow(/token 7 at position 1 is out of range; expected 0 to 6/)
  await expect(model.forward(tensor(Int32Array.of(1)))).rejects.toThrow(/tokens must be \[B, T\]/)
  await expect(model.loss(ids(0, 1), ids(0, -1))).rejects.toThrow(/target -1 at position 1 is out of range/)
  await expect(model.loss(ids(0, 1), ids(0))).rejects.toThrow(
    /expected targets of the shape of tokens, \[1, 2\], got \[1, 1\]/,
  )
  expect(await model.loss(ids(0, 1), ids(-1, -1), { ignoreIndex: -1 })).toBeNaN()
})
