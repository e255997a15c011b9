/** Checkpoints that transformers wrote, opened here: the same logits, losses and gradients as transformers has. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { decodeSafetensors, type FamilyName, loadSafetensors, savePretrained } from '../../src/hub/index.ts'
import { device } from '../../src/index.ts'
import { temporaryFolder } from '../hub/folder.ts'
import { expectEqualTensors } from '../hub/tensors.ts'
import {
  type Computed,
  compute,
  differencesFrom,
  float32,
  float64,
  modelNames,
  open,
  readModelGolden,
} from './models.ts'

const devices = { reference: float64, cpu: float32 } as const

describe.each(Object.entries(devices))('on %s', (name, bounds) => {
  beforeAll(async () => {
    await device(name)
  })

  it.each(modelNames)('%s', async (modelName) => {
    const golden = readModelGolden(modelName)
    const model = await open(golden, name)
    expect(differencesFrom(golden, await compute(golden, model), bounds)).toEqual([])
    model.dispose()
  })
})

/** As the checkpoints' own config.json says; of several families that can express a model, the first is taken otherwise. */
const familyOf = (name: string): FamilyName =>
  name.startsWith('paper')
    ? 'qwen3'
    : name.startsWith('next')
      ? 'qwen3_next'
      : name.endsWith('experts')
        ? 'qwen3_5_moe'
        : 'qwen3_5'

it.each(modelNames)('%s is written back bit for bit, under the same names', async (name) => {
  const golden = readModelGolden(name)
  const model = await open(golden, 'cpu')
  const folder = join(await temporaryFolder(), name)
  await savePretrained(model, folder, { family: familyOf(name) })
  model.dispose()
  const { tensors: before } = await loadSafetensors(golden.folder)
  const { tensors: after } = await loadSafetensors(folder)
  // Without its part for images, it is a model of text alone.
  const text = [...before].filter(([key]) => !key.startsWith('model.visual.'))
  expectEqualTensors(after, new Map(text.map(([key, values]) => [key.replace('.language_model', ''), values])))
})

describe('the goldens themselves', () => {
  it('are of every layout, with a gradient for every tensor of the checkpoint', () => {
    for (const family of ['next-', 'qwen3.5', 'paper-']) {
      expect(modelNames.filter((name) => name.startsWith(family)).length, family).toBeGreaterThan(2)
    }
    for (const name of modelNames) {
      const golden = readModelGolden(name)
      const { tensors } = decodeSafetensors(readFileSync(`${golden.folder}/model.safetensors`))
      const text = [...tensors].filter(([key]) => !key.startsWith('model.visual.'))
      expect([...golden.gradients.keys()].sort(), name).toEqual(text.map(([key]) => key).sort())
      for (const [key, { shape }] of text) expect(golden.gradients.get(key)!.shape, key).toEqual(shape)
      expect(golden.balance !== undefined, name).toBe(name.includes('-experts'))
    }
    expect(modelNames.filter((name) => readModelGolden(name).balanceGradients.size > 0).length).toBeGreaterThan(1)
  })

  /** What the golden says, as a computation would give it. */
  const copyOf = (golden: Computed): Computed => structuredClone(golden)

  it.each<[string, (computed: Computed) => void, RegExp]>([
    ['a logit off by 1e-9', ({ logits }) => (logits.data[3]! += 1e-9), /^logits\[3\]/],
    ['a loss that is not a number', ({ loss }) => (loss.data[0] = Number.NaN), /^loss\[0\] is NaN/],
    ['a balance off by 1e-9', ({ balance }) => (balance!.data[0]! += 1e-9), /^balance\[0\]/],
    [
      'a gradient off by 1e-9 of the largest entry',
      ({ gradients }) => {
        const { data } = gradients.get('model.norm.weight')!
        data[2]! += 1e-9 * Math.max(...Array.from(data, Math.abs))
      },
      /^gradient of model\.norm\.weight\[2\]/,
    ],
    [
      'a gradient missing',
      ({ gradients }) => (gradients as Map<string, unknown>).delete('lm_head.weight'),
      /^gradient of lm_head\.weight is missing/,
    ],
    [
      'a balance gradient where there is none',
      ({ balanceGradients }) => balanceGradients.get('model.norm.weight')!.data.fill(1e-12),
      /^balance gradient of model\.norm\.weight/,
    ],
  ])('are not matched by %s', (_what, spoil, said) => {
    const golden = readModelGolden('next-experts')
    const computed = copyOf(golden)
    expect(differencesFrom(golden, computed, float64)).toEqual([])
    spoil(computed)
    const differences = differencesFrom(golden, computed, float64)
    expect(differences).toHaveLength(1)
    expect(differences[0]).toMatch(said)
  })
})
