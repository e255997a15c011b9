/** Hybrids: layers of both types, experts and multi-token prediction in one model, from its loss to training and generation. */
import { describe, expect, it } from 'vitest'
import { capture, concat, manualSeed, noGrad, scope, type Tensor, tensor } from '../../src/index.ts'
import { massiveActivation, readLayers } from '../../src/lab/metrics.ts'
import { reportData } from '../../src/lab/report.ts'
import {
  Block,
  KeyValueCache,
  type LayerObservation,
  loadBalancingLoss,
  type Routing,
  routerZLoss,
  Transformer,
  TransformerCache,
  type TransformerConfigInput,
  transformerConfig,
} from '../../src/nn/index.ts'
import { AdamW, clipGradNorm, decayGroups } from '../../src/optim/index.ts'
import { evaluate } from '../../src/train/evaluate.ts'
import { generate } from '../../src/train/generate.ts'
import { loadRun } from '../../src/train/load.ts'
import { renderReport } from '../../src/train/report/report.ts'
import { train } from '../../src/train/trainer.ts'
import { alphabet, copyTask, remains, smallConfig, temporaryFolder, trainUntil } from '../train/small-run.ts'
import { holdsOfLanguageModels, ints, targets, texts, tokens } from './language-model.ts'
import { gradcheckModule, randomise } from './module-check.ts'

const small = {
  vocabularySize: 7,
  width: 8,
  layers: 4,
  heads: 2,
  keyValueHeads: 1,
  fullAttentionInterval: 4,
  feedForwardWidth: 6,
  contextLength: 6,
} as const satisfies TransformerConfigInput

const experts = { count: 4, active: 2, width: 5, sharedWidth: 3, loadBalance: 0.05, zLoss: 0.02 } as const

function modelOf(settings: Partial<TransformerConfigInput> = {}, device = 'reference'): Transformer {
  const model = new Transformer({ ...small, ...settings }, { device })
  randomise(model, 1, 0.4)
  return model
}

const variants: [string, Partial<TransformerConfigInput>][] = [
  ['three delta layers to one of attention', {}],
  ['delta layers only', { fullAttentionInterval: 0 }],
  ['delta after attention', { layerTypes: ['attention', 'delta'], layers: 2, fullAttentionInterval: undefined }],
  ['shared key heads and negative eigenvalues', { delta: { keyHeads: 1, valueHeads: 2, negativeEigenvalues: true } }],
  ['decays by channel', { delta: { rule: 'kda' } }],
  ['no decay, sandwich norms, biases', { delta: { rule: 'delta' }, norm: 'sandwich', bias: true }],
  ['experts', { experts, zeroCentredNorm: true, tied: false }],
  ['experts in some layers, and the token after next', { experts: { ...experts, every: 2 }, multiTokenPrediction: {} }],
]

describe.each(variants)('a hybrid with %s', (_what, settings) => {
  it('has the gradient that finite differences measure, for every parameter of the training loss', async () => {
    const model = modelOf({ width: 4, feedForwardWidth: 3, ...settings })
    const [x, y] = [ints([[1, 6, 0, 2]]), ints([[6, 0, 2, 3]])]
    // Many parameters: along random directions, not one by one.
    await gradcheckModule(model, [x, y], (a, b) => model.loss(a, b, { training: true }), { mode: 'direction' })
    for (const t of [model, x, y]) t.dispose()
  })

  holdsOfLanguageModels((device) => modelOf(settings, device))

  it('builds the same model again from its config as JSON and its state', async () => {
    const model = modelOf(settings)
    expect(transformerConfig(model.config)).toEqual(model.config)
    const again = new Transformer(JSON.parse(JSON.stringify(model.config)), { device: 'reference' })
    expect(again.config).toEqual(model.config)
    again.loadStateDict(await model.stateDict())
    const loss = (of: Transformer) => noGrad(() => scope(() => of.loss(tokens(), targets(), { training: true })))
    using a = loss(model)
    using b = loss(again)
    expect(await a.item()).toBe(await b.item())
    model.dispose()
    again.dispose()
  })
})

describe('the loss of training', () => {
  it('adds the losses of the experts with their coefficients, over all layers, once', async () => {
    const model = modelOf({ experts })
    const [training, plain, balance, z, count] = scope(() =>
      noGrad(() => {
        const routings: Routing[] = []
        const loss = model.loss(tokens(), targets(), { training: true, routed: (routing) => routings.push(routing) })
        const plainly = model.loss(tokens(), targets())
        const balanced = loadBalancingLoss(routings)
        return [loss, plainly, balanced, routerZLoss(routings), tensor(routings.length, { device: 'reference' })]
      }),
    )
    expect(await count.item()).toBe(4)
    const expected = (await plain.item()) + 0.05 * (await balance.item()) + 0.02 * (await z.item())
    // Float64 sums of four numbers of size up to 10.
    expect(Math.abs((await training.item()) - expected)).toBeLessThan(1e-13)
    expect(await balance.item()).toBeGreaterThan(1)
    for (const t of [training, plain, balance, z, count]) t.dispose()
    model.dispose()
  })

  it('adds the cross-entropy of the token after next', async () => {
    const model = modelOf({ multiTokenPrediction: { weight: 0.25 }, tied: false, layers: 1, fullAttentionInterval: 1 })
    const { nextToken, tokenEmbedding, head } = model
    const [training, plain, later] = scope(() =>
      noGrad(() => {
        let hidden: Tensor | undefined
        const observe = (seen: LayerObservation) => void (hidden = seen.hidden)
        const plainly = model.loss(tokens(), targets(), { observe })
        // Position i knows h_i and token i + 1 and predicts token i + 2.
        const next = tokenEmbedding.forward(ints(texts.map((row) => row.slice(1, 5))))
        const before = hidden!.slice([null, [0, 4]])
        const joined = concat([nextToken!.embeddingNorm.forward(next), nextToken!.hiddenNorm.forward(before)], -1)
        const mixed = nextToken!.block.forward(nextToken!.projection.forward(joined))
        const logits = head!.forward(nextToken!.norm.forward(mixed))
        const after = ints(texts.map((row) => row.slice(2)))
        return [model.loss(tokens(), targets(), { training: true }), plainly, logits.crossEntropy(after)]
      }),
    )
    expect(Math.abs((await training.item()) - (await plain.item()) - 0.25 * (await later.item()))).toBeLessThan(1e-13)
    expect(await later.item()).not.toBeCloseTo(await plain.item(), 3)
    for (const t of [training, plain, later]) t.dispose()
    expect(() => model.loss(ints([[1]]), ints([[2]]), { training: true })).toThrow(
      /multiTokenPrediction needs at least 2 positions, got \[1, 1\]/,
    )
    model.dispose()
  })
})

describe('a hybrid shows an observer', () => {
  it('each layer by its type', async () => {
    const model = modelOf()
    const seen = scope(() => {
      const list: LayerObservation[] = []
      model.forward(tokens(), { observe: (observation) => list.push(observation) })
      return list
    })
    expect(seen.map(({ layer, type }) => [layer, type])).toEqual([
      [0, 'delta'],
      [1, 'delta'],
      [2, 'delta'],
      [3, 'attention'],
    ])
    for (const layer of seen) {
      expect(layer.hidden.shape).toEqual([2, 5, 8])
      if (layer.type === 'attention') expect(layer.weights.shape).toEqual([2, 2, 5, 5])
      else {
        const { beta, decay, state } = layer
        expect([beta.shape, decay!.shape, state.shape]).toEqual([
          [2, 5, 2],
          [2, 5, 2],
          [2, 2, 4, 4],
        ])
      }
      for (const t of Object.values(layer)) if (typeof t === 'object') t?.dispose()
    }
    model.dispose()
  })
})

describe('training a hybrid', () => {
  const model = {
    width: 16,
    layers: 4,
    heads: 2,
    fullAttentionInterval: 4,
    experts: { count: 4, active: 2, width: 8, sharedWidth: 8, zLoss: 1e-3 },
    multiTokenPrediction: { weight: 0.1 },
  } as const

  it('gives the same bits captured and eager', async () => {
    const run = async (isCaptured: boolean) => {
      manualSeed(11)
      const trained = new Transformer({ ...model, vocabularySize: 7, contextLength: 6, dropout: 0.1 })
      const optimizer = new AdamW(decayGroups(trained, 0.1), { lr: 0.01 })
      const step = (x: Tensor, y: Tensor) => {
        const loss = trained.loss(x, y, { training: true })
        loss.backward()
        const norm = clipGradNorm(trained.parameters(), 1)
        optimizer.step(norm.add(loss.mul(0)))
        optimizer.zeroGrad()
        return [loss.detach(), norm]
      }
      const program = isCaptured ? capture(step) : undefined
      const losses: number[] = []
      for (let i = 0; i < 5; i++) {
        const rows = texts.map((row) => row.map((id) => (id * (i + 1) + i) % 7))
        const [x, y] = [rows.map((row) => row.slice(0, -1)), rows.map((row) => row.slice(1))].map((r) => ints(r, 'cpu'))
        const [loss, norm] = program ? program(x, y) : scope(() => step(x, y))
        losses.push(await loss.item())
        for (const t of [x, y, loss, norm]) t.dispose()
      }
      const state = [...(await trained.stateDict())].map(([name, { data }]) => [name, Array.from(data)])
      program?.dispose()
      optimizer.dispose()
      trained.dispose()
      return { losses, state }
    }
    const [eager, captured] = [await run(false), await run(true)]
    expect(captured).toEqual(eager)
    expect(eager.losses.every(Number.isFinite)).toBe(true)
  })

  it.each(['adamw', 'muon'])(
    'with %s saves, resumes with the same bits, learns, evaluates and generates',
    async (name) => {
      const folders = [await temporaryFolder(), await temporaryFolder()]
      const config = smallConfig({ model: { ...model, dropout: 0.1 }, optimizer: { name }, steps: 6 })
      const whole = await train({ text: alphabet, config, folder: folders[0] })
      const stopped = await trainUntil(4, { text: alphabet, config, folder: folders[1] })
      stopped.model.dispose()
      const resumed = await train({ text: alphabet, folder: folders[1], resume: true })
      expect(await remains(resumed)).toEqual(await remains(whole))
      const { model: loaded } = await loadRun(folders[1])
      const prompt = [0, 1, 2]
      // Longer than the context of 8, so that the cache is filled afresh on the way.
      const written = await generate(loaded, prompt, { length: 12 })
      expect(await generate(whole.model, prompt, { length: 12 })).toEqual(written)
      expect(written.length).toBe(12)
      const held = await evaluate(loaded, whole.data.heldOut)
      expect(held).toEqual(whole.heldOut)
      for (const t of [whole.model, resumed.model, loaded]) t.dispose()
    },
  )

  it('learns to copy', async () => {
    const config = smallConfig({ data: copyTask, model, steps: 60, batchSize: 8, evaluateEvery: 60 })
    const { log, model: trained } = await train({ config })
    const mean = (entries: typeof log) => entries.reduce((sum, { loss }) => sum + loss, 0) / entries.length
    // It begins near log 5, or 1.6, and the smallest terms of experts and the token after next above it.
    expect(mean(log.slice(0, 5)) - mean(log.slice(-5))).toBeGreaterThan(0.5)
    trained.dispose()
  })

  it('is reported with its attention layers', async () => {
    const config = smallConfig({ model, steps: 2, batchSize: 2 })
    const result = await train({ text: alphabet, config })
    const data = await reportData('A hybrid', [{ name: 'hybrid', result }])
    const [run] = data.runs
    expect(run.attention!.layers.map(({ heads }) => heads.length)).toEqual([0, 0, 0, 2])
    expect(run.firstToken!.perLayerHead.map((heads) => heads.length)).toEqual([0, 0, 0, 2])
    expect(run.gateScores!.layers.map(({ layer }) => layer)).toEqual([3])
    expect(run.maximumActivation).toEqual((await massiveActivation(result.model, result.data.heldOut[0])).perLayer)
    const page = renderReport(data)
    expect(page).toContain('no attention in this layer')
    expect(page).toContain('<h3>Layer 3</h3>')
    expect(page).toContain('hybrid, layer 3: histogram of gate scores')
    result.model.dispose()
  })

  it('without attention is reported without it', async () => {
    const config = smallConfig({ model: { fullAttentionInterval: 0 }, steps: 1, batchSize: 2 })
    const result = await train({ text: alphabet, config })
    const [run] = (await reportData('A memory', [{ name: 'delta', result }])).runs
    expect([run.firstToken, run.gateScores]).toEqual([undefined, undefined])
    expect((await readLayers(result.model, result.data.heldOut[0])).map(({ weights }) => weights)).toEqual([undefined])
    expect(renderReport(await reportData('A memory', [{ name: 'delta', result }]))).not.toContain('first token')
    result.model.dispose()
  })
})

describe('caches', () => {
  it('are of the type of their layer', () => {
    const model = modelOf()
    expect(model.createCache().layers.map(({ type }) => type)).toEqual(['delta', 'delta', 'delta', 'attention'])
    const other = new TransformerCache(['delta', 'attention', 'delta', 'attention'], 'reference')
    expect(() => model.forward(tokens(), { cache: other })).toThrow(
      /^Transformer: layer 1 is 'delta', the cache has 'attention' there; make it with model.createCache\(\)/,
    )
    const block = new Block(model.config, { type: 'delta', device: 'reference' })
    const x = tensor(new Float64Array(8), { shape: [1, 1, 8], device: 'reference' })
    expect(() => block.forward(x, { cache: new KeyValueCache('reference') })).toThrow(
      /^Block: a layer of type 'delta' got a cache for 'attention'/,
    )
    for (const t of [model, block, x, other]) t.dispose()
  })
})
