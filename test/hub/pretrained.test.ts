/** Models to folders and back. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test, vi } from 'vitest'
import { SluiceError } from '../../src/errors.ts'
import { familyNames } from '../../src/hub/families/index.ts'
import { loadSafetensors, saveSafetensors } from '../../src/hub/open.ts'
import { loadPretrained, savePretrained } from '../../src/hub/pretrained.ts'
import { manualSeed, Tensor, tensor } from '../../src/index.ts'
import { Transformer, type TransformerConfigInput, transformerConfig } from '../../src/nn/index.ts'
import type { HostTensor } from '../../src/tensor/host.ts'
import { defaultGenerator } from '../../src/tensor/random.ts'
import { anyConfig } from './families/models.ts'
import { temporaryFolder } from './folder.ts'
import { expectEqualTensors, floats } from './tensors.ts'

const small: TransformerConfigInput = { vocabularySize: 7, width: 4, layers: 1, heads: 2, gate: 'headwise' }

/** A model in a folder, and that folder. */
async function saved(config: TransformerConfigInput = small, options = {}) {
  manualSeed(3)
  const model = new Transformer(config)
  const folder = join(await temporaryFolder(), 'model')
  const family = await savePretrained(model, folder, options)
  return { model, folder, family }
}

const tokensOf = (vocabularySize: number) =>
  tensor(
    Int32Array.from({ length: 6 }, (_, i) => (i * 3) % vocabularySize),
    { shape: [2, 3] },
  )

test.each(familyNames)('%s: any model is the same after it was saved and loaded', async (name) => {
  const parent = await temporaryFolder()
  let run = 0
  await fc.assert(
    fc.asyncProperty(anyConfig(name), fc.constantFrom(undefined, 100, 1000), async (config, shardBytes) => {
      const folder = join(parent, String(run++))
      const model = new Transformer(config)
      expect(await savePretrained(model, folder, { family: name, shardBytes })).toBe(name)
      const drawn = JSON.stringify(defaultGenerator.state)
      const loaded = await loadPretrained(folder)
      expect(JSON.stringify(defaultGenerator.state)).toBe(drawn)
      expectEqualTensors(await loaded.stateDict(), await model.stateDict())
      const tokens = tokensOf(config.vocabularySize)
      expect(await loaded.forward(tokens).data()).toEqual(await model.forward(tokens).data())
      expect([...loaded.namedTensors().values()].every((t) => t.requiresGrad)).toBe(true)
      for (const one of [model, loaded]) one.dispose()
    }),
    { numRuns: 50 },
  )
})

test('transformers finds a fraction where it wants one', async () => {
  const { folder } = await saved({
    ...small,
    gate: 'elementwise',
    initStd: 1,
    zeroCentredNorm: true,
    rope: { base: 10000, dims: 2 },
    experts: { count: 2, active: 1, width: 3, sharedWidth: 3, loadBalance: 0 },
  })
  const text = await readFile(join(folder, 'config.json'), 'utf8')
  for (const line of [
    '"initializer_range": 1.0,',
    '"router_aux_loss_coef": 0.0,',
    '"rope_theta": 10000.0,',
    '"partial_rotary_factor": 1.0',
    '"rms_norm_eps": 0.000001,',
    '"num_experts": 2,',
  ]) {
    expect(text).toContain(line)
  }
  expect(JSON.parse(text)).toMatchObject({ initializer_range: 1, router_aux_loss_coef: 0, num_experts: 2 })
})

test('saved in bfloat16, every weight is the nearest; on the reference device it is loaded as float64', async () => {
  const { model, folder, family } = await saved(small, { dtype: 'bfloat16' })
  expect(family).toBe('qwen3')
  const json = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))
  expect(json).toMatchObject({ dtype: 'bfloat16', model_type: 'qwen3', headwise_attn_output_gate: true })
  const loaded = await loadPretrained(folder, { device: 'reference' })
  expect(loaded.device).toBe('reference')
  const [before, after] = [await model.stateDict(), await loaded.stateDict()]
  expect([...after.keys()]).toEqual([...before.keys()])
  for (const [key, { data }] of before) {
    // 8 significant bits: half a unit in the last place is 2^-8 of a value's power of two.
    data.forEach((value, i) => {
      const error = Math.abs(value - after.get(key)!.data[i])
      expect(error).toBeLessThanOrEqual(2 ** (Math.floor(Math.log2(Math.abs(value) || 1)) - 8))
    })
  }
})

/** Changes the weights of a saved model. */
async function edit(folder: string, change: (tensors: Map<string, HostTensor>) => void): Promise<void> {
  const path = join(folder, 'model.safetensors')
  const { tensors } = await loadSafetensors(path)
  change(tensors)
  await saveSafetensors(path, tensors)
}

test('missing, unexpected and misshapen weights are all named', async () => {
  const { folder } = await saved()
  const mixed = 'model.layers.0.self_attn.q_proj.weight'
  await edit(folder, (tensors) => {
    tensors.delete('model.norm.weight')
    tensors.set('model.layers.0.self_attn.gate_proj.weight', floats([1]))
    // A model without a gate has this shape.
    tensors.set(mixed, floats([4, 4]))
    tensors.set('model.embed_tokens.weight', { dtype: 'int32', shape: [7, 4], data: new Int32Array(28) })
  })
  const loading = expect(loadPretrained(folder)).rejects
  await loading.toThrow(SluiceError)
  for (const part of [
    /missing: model.norm.weight; unexpected: model.layers.0.self_attn.gate_proj.weight; misshapen:/,
    /q_proj.weight is \[4, 4\] F32, expected \[6, 4\] of floats/,
    /embed_tokens.weight is \[7, 4\] I32, expected \[7, 4\] of floats/,
  ]) {
    await expect(loadPretrained(folder)).rejects.toThrow(part)
  }
})

test.each([
  { num_hidden_layers: 1e9 },
  { num_hidden_layers: 9999 },
  { num_attention_heads: 2 ** 40, num_key_value_heads: 2 ** 40 },
  { vocab_size: 1e300 },
  { hidden_size: Number.MAX_SAFE_INTEGER },
])('a config.json that asks for more than memory holds is refused: %j', async (changes) => {
  const { folder } = await saved()
  const path = join(folder, 'config.json')
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), ...changes }))
  await expect(loadPretrained(folder)).rejects.toThrow(SluiceError)
})

test('a tied head may be stored, if it is the embedding', async () => {
  const { folder, model } = await saved()
  const table = (await model.stateDict()).get('tokenEmbedding.weight')!
  await edit(folder, (tensors) => tensors.set('lm_head.weight', table))
  const loaded = await loadPretrained(folder)
  expect(loaded.head).toBeNull()
  await edit(folder, (tensors) =>
    tensors.set('lm_head.weight', { ...table, data: table.data.map((x, i) => x + +(i === 27)) }),
  )
  await expect(loadPretrained(folder)).rejects.toThrow(
    /lm_head.weight is not model.embed_tokens.weight, though tie_word/,
  )
  await edit(folder, (tensors) => tensors.set('lm_head.weight', floats([7, 5])))
  await expect(loadPretrained(folder)).rejects.toThrow(/misshapen: lm_head.weight is \[7, 5\]/)
})

const hybrid: TransformerConfigInput = {
  ...{ vocabularySize: 7, width: 4, heads: 2, headWidth: 2, layerTypes: ['delta', 'attention'] },
  ...{ zeroCentredNorm: true, multiTokenPrediction: {} },
}

test('what predicts the token after next is loaded, unless it is left out by choice', async () => {
  const { folder, model, family } = await saved(hybrid)
  expect(family).toBe('qwen3_next')
  const whole = await loadPretrained(folder)
  expect(whole.config.multiTokenPrediction).toEqual({ weight: 0.3 })
  const tokens = tokensOf(7)
  const loss = (of: Transformer) => of.loss(tokens, tokens, { training: true }).item()
  expect(await loss(whole)).toBe(await loss(model))
  const without = await loadPretrained(folder, { ignore: ['mtp'] })
  expect(without.nextToken).toBeNull()
  expect([...without.namedTensors().keys()]).toEqual(
    [...model.namedTensors().keys()].filter((name) => !name.startsWith('nextToken.')),
  )
  await edit(folder, (tensors) => tensors.set('model.visual.patch.weight', floats([2])))
  await expect(loadPretrained(folder)).rejects.toThrow(
    /unexpected: model.visual.patch.weight\); \{ ignore: \['visual'\] \} leaves visual weights out/,
  )
  await loadPretrained(folder, { ignore: ['visual'] })
  await edit(folder, (tensors) => tensors.delete('mtp.norm.weight'))
  await expect(loadPretrained(folder, { ignore: ['visual'] })).rejects.toThrow(/missing: mtp.norm.weight/)
})

test('names under model.language_model. and stacked experts are read', async () => {
  const config = transformerConfig({
    ...hybrid,
    ...{ multiTokenPrediction: null, experts: { count: 3, active: 2, width: 2, sharedWidth: 2 } },
  })
  const { folder, model } = await saved(config, { family: 'qwen3_5_moe' })
  await edit(folder, (tensors) => {
    for (const [name, t] of [...tensors]) {
      if (!name.startsWith('model.')) continue
      tensors.delete(name)
      tensors.set(name.replace('model.', 'model.language_model.'), t)
    }
    for (const layer of [0, 1]) {
      const mlp = `model.language_model.layers.${layer}.mlp.experts.`
      const part = (e: number, name: string) => tensors.get(`${mlp}${e}.${name}_proj.weight`)!.data
      const [gateUp, down] = [[] as number[], [] as number[]]
      for (const e of [0, 1, 2]) {
        gateUp.push(...part(e, 'gate'), ...part(e, 'up'))
        down.push(...part(e, 'down'))
        for (const name of ['gate', 'up', 'down']) tensors.delete(`${mlp}${e}.${name}_proj.weight`)
      }
      tensors.set(
        `${mlp}gate_up_proj`,
        floats([3, 4, 4], (i) => gateUp[i]),
      )
      tensors.set(
        `${mlp}down_proj`,
        floats([3, 4, 2], (i) => down[i]),
      )
    }
  })
  expectEqualTensors(await (await loadPretrained(folder)).stateDict(), await model.stateDict())
})

test('saving reads each tensor of the model once, a stack of experts too', async () => {
  manualSeed(3)
  const experts = { count: 3, active: 2, width: 2, sharedWidth: 2 }
  const model = new Transformer({ ...hybrid, experts })
  const reads = vi.spyOn(Tensor.prototype, 'data')
  onTestFinished(() => void reads.mockRestore())
  await savePretrained(model, join(await temporaryFolder(), 'model'))
  expect(reads).toHaveBeenCalledTimes(model.namedTensors().size)
})

test('what cannot be saved or loaded is said, and nothing is written', async () => {
  const folder = join(await temporaryFolder(), 'model')
  const save = (changes: object, options = {}) =>
    savePretrained(new Transformer({ ...small, ...changes }), folder, options)
  await expect(save({ norm: 'sandwich' })).rejects.toThrow(
    /no family can express this model: qwen3 cannot express norm/,
  )
  await expect(save({}, { family: 'qwen3_next' })).rejects.toThrow(/qwen3_next cannot express zeroCentredNorm: false/)
  await expect(save({}, { family: 'llama' })).rejects.toThrow(/there is no family 'llama'; there are qwen3, qwen3_next/)
  await expect(save({}, { dtype: 'int8' })).rejects.toThrow(/dtype must be float32/)
  await expect(loadPretrained(folder)).rejects.toThrow(/config.json cannot be read: ENOENT/)
  await save({})
  const names = (await readdir(folder)).sort()
  expect(names).toEqual(['config.json', 'model.safetensors'])
  await expect(save({})).rejects.toThrow(/already holds (config.json|model.safetensors); give a new folder/)
  const path = join(folder, 'config.json')
  const text = await readFile(path, 'utf8')
  await writeFile(path, text.slice(0, -3))
  await expect(loadPretrained(folder)).rejects.toThrow(/config.json is not JSON/)
  await writeFile(path, '[]')
  await expect(loadPretrained(folder)).rejects.toThrow(/config.json must hold an object/)
})
