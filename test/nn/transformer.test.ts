/** The transformer: its parts in their places, gradients, generation with a cache, options. */
import { describe, expect, it } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import { checkLeaks, manualSeed, noGrad, scope, type Tensor, tensor } from '../../src/index.ts'
import { type LayerObservation, Transformer, type TransformerConfigInput } from '../../src/nn/index.ts'
import { holdsOfLanguageModels, ints, targets, tokens } from './language-model.ts'
import { gradcheckModule, largestGap, randomise } from './module-check.ts'

const small = { vocabularySize: 7, width: 8, layers: 2, heads: 4, keyValueHeads: 2, contextLength: 6 } as const

function modelOf(settings: Partial<TransformerConfigInput> = {}, device = 'reference'): Transformer {
  const model = new Transformer({ ...small, ...settings }, { device })
  randomise(model, 1, 0.4)
  return model
}

const variants: [string, Partial<TransformerConfigInput>][] = [
  ['the defaults', {}],
  ['an own head and no gate', { tied: false, gate: 'none' }],
  ['learned positions and GELU', { position: 'learned', feedForward: 'gelu', queryKeyNorm: false }],
  ['sandwich norms, zero-centred', { norm: 'sandwich', zeroCentredNorm: true }],
  ['partial rotary positions', { headWidth: 4, rope: { dims: 2, base: 50 } }],
  ['no positions and a headwise value gate', { position: 'none', gate: { position: 'G2', grain: 'headwise' } }],
  ['a gate on the layer output and a norm a head', { gate: { position: 'G5' }, sdpaPost: 'headRmsNorm' }],
]

describe.each(variants)('with %s', (_what, settings) => {
  it('has the gradient that finite differences measure, for every parameter', async () => {
    // As small as shows every part: each element of each parameter costs two evaluations.
    const model = modelOf({ layers: 1, width: 4, heads: 2, keyValueHeads: 1, feedForwardWidth: 3, ...settings })
    const [x, y] = [ints([[1, 6, 0]]), ints([[6, 0, 2]])]
    const { elements } = await gradcheckModule(model, [x, y], (a, b) => model.loss(a, b))
    expect(elements).toBe(model.parameterCount)
    for (const t of [model, x, y]) t.dispose()
  })

  holdsOfLanguageModels((device) => modelOf(settings, device))
})

describe('Transformer', () => {
  it('names its parameters', () => {
    const model = new Transformer({ ...small, layers: 1, norm: 'sandwich', position: 'learned', tied: false })
    expect([...model.namedParameters()].map(([name, { shape }]) => `${name} [${shape.join(', ')}]`)).toEqual([
      'tokenEmbedding.weight [7, 8]',
      'positionEmbedding.weight [6, 8]',
      'layers.0.mixerNorm.weight [8]',
      'layers.0.attention.queryProjection.weight [8, 8]',
      'layers.0.attention.keyProjection.weight [4, 8]',
      'layers.0.attention.valueProjection.weight [4, 8]',
      'layers.0.attention.gateProjection.weight [8, 8]',
      'layers.0.attention.queryNorm.weight [2]',
      'layers.0.attention.keyNorm.weight [2]',
      'layers.0.attention.outputProjection.weight [8, 8]',
      'layers.0.mixerOutputNorm.weight [8]',
      'layers.0.feedForwardNorm.weight [8]',
      'layers.0.feedForward.gateProjection.weight [24, 8]',
      'layers.0.feedForward.upProjection.weight [24, 8]',
      'layers.0.feedForward.downProjection.weight [8, 24]',
      'layers.0.feedForwardOutputNorm.weight [8]',
      'norm.weight [8]',
      'head.weight [7, 8]',
    ])
    // Labelled without being asked, so that errors name parameters from the start.
    expect(model.norm.weight.label).toBe('norm.weight')
    model.dispose()
  })

  it('starts near a uniform guess, with smaller projections into the residual stream', async () => {
    manualSeed(2)
    const model = new Transformer({ vocabularySize: 65, width: 64, layers: 8, heads: 4, contextLength: 8 })
    using loss = scope(() => noGrad(() => model.loss(tokens('cpu'), targets('cpu'))))
    expect(Math.abs((await loss.item()) - Math.log(65))).toBeLessThan(0.2)
    const deviation = ({ weight }: { weight: Tensor }) =>
      Math.sqrt([...weight.dataNow()].reduce((sum, w) => sum + w * w, 0) / weight.size)
    const { attention, feedForward } = model.layers[3]
    // 4096 normals and more: 1 / sqrt(8192) = 1.1 %; five times that.
    for (const projection of [attention!.outputProjection, feedForward!.downProjection]) {
      expect(Math.abs(deviation(projection) / (0.02 / 4) - 1)).toBeLessThan(0.055)
    }
    expect(Math.abs(deviation(attention!.queryProjection) / 0.02 - 1)).toBeLessThan(0.055)
    expect(Math.abs(deviation(attention!.gateProjection!) / (0.905 / 8) - 1)).toBeLessThan(0.055)
    model.dispose()
  })

  it('reads the head from the token table when tied', async () => {
    const tied = modelOf()
    const own = modelOf({ tied: false })
    const state = await tied.stateDict()
    own.loadStateDict(new Map([...state, ['head.weight', state.get('tokenEmbedding.weight')!]]))
    expect(own.parameterCount - tied.parameterCount).toBe(7 * 8)
    using a = noGrad(() => tied.forward(tokens()))
    using b = noGrad(() => own.forward(tokens()))
    expect(await a.data()).toEqual(await b.data())
    tied.dispose()
    own.dispose()
  })

  it('builds the same model again from its config as JSON and its state', async () => {
    const model = modelOf({ gate: 'headwise', norm: 'sandwich', clip: 3 })
    const again = new Transformer(JSON.parse(JSON.stringify(model.config)), { device: 'reference' })
    expect(again.config).toEqual(model.config)
    again.loadStateDict(await model.stateDict())
    using a = noGrad(() => model.forward(tokens()))
    using b = noGrad(() => again.forward(tokens()))
    expect(await a.data()).toEqual(await b.data())
    model.dispose()
    again.dispose()
  })

  it('leaves ignored positions out of the loss', async () => {
    const model = modelOf()
    using y = ints([
      [2, -100, -100, -100, -100],
      [-100, -100, -100, -100, -100],
    ])
    using loss = noGrad(() => scope(() => model.loss(tokens(), y, { ignoreIndex: -100 })))
    using first = noGrad(() => scope(() => model.loss(ints([[1]]), ints([[2]]))))
    // One position, computed in a batch and alone: the same float64 sums but for their order.
    expect(Math.abs((await loss.item()) - (await first.item()))).toBeLessThan(1e-12)
    model.dispose()
  })

  it('clips both branches before they are added', async () => {
    const model = modelOf({ clip: 1e-3, layers: 1, position: 'none' })
    const seen = scope(() => {
      const list: LayerObservation[] = []
      model.forward(tokens(), { observe: (observation) => list.push(observation) })
      return list.map(({ hidden }) => hidden)
    })
    using start = noGrad(() => model.tokenEmbedding.forward(tokens()))
    const moved = largestGap(await seen[0].data(), await start.data())
    expect(moved).toBeGreaterThan(1e-3)
    expect(moved).toBeLessThanOrEqual(2e-3 + 1e-15)
    model.dispose()
  })

  it('drops only when training', async () => {
    const model = modelOf({ dropout: 0.5 })
    const logits = async (training?: boolean) => {
      using y = noGrad(() => scope(() => model.forward(tokens(), { training })))
      return [...(await y.data())]
    }
    manualSeed(3)
    const [plain, dropped, other] = [await logits(), await logits(true), await logits(true)]
    expect(await logits(false)).toEqual(plain)
    expect(dropped).not.toEqual(plain)
    expect(dropped).not.toEqual(other)
    model.dispose()
  })

  it('shows an observer every layer, the last of which the head reads', async () => {
    const model = modelOf()
    const { seen, logits } = scope(() => {
      const list: LayerObservation[] = []
      return { logits: model.forward(tokens(), { observe: (observation) => list.push(observation) }), seen: list }
    })
    expect(seen.map(({ layer }) => layer)).toEqual([0, 1])
    expect(seen[1]).toMatchObject({ type: 'attention', weights: { shape: [2, 4, 5, 5] } })
    expect(seen[1].hidden.shape).toEqual([2, 5, 8])
    using again = noGrad(() =>
      scope(() => model.norm.forward(seen[1].hidden).matmul(model.tokenEmbedding.weight, { transposeB: true })),
    )
    expect(await again.data()).toEqual(await logits.data())
    model.dispose()
  })

  it('trains in a scope without leaving a buffer, and frees its cache', () => {
    const device = findDevice('cpu')
    expect(
      checkLeaks(() => {
        const model = new Transformer(small)
        const step = () =>
          scope(() => {
            model.loss(tokens('cpu'), targets('cpu')).backward()
            for (const parameter of model.parameters()) {
              parameter.grad!.dispose()
              parameter.grad = null
            }
          })
        step()
        const before = device.statistics()
        step()
        expect(device.statistics()).toEqual(before)
        const cache = model.createCache()
        scope(() => {
          model.forward(tokens('cpu'), { cache })
        })
        scope(() => {
          model.forward(ints([[1], [2]], 'cpu'), { cache })
        })
        expect(cache.length).toBe(6)
        cache.dispose()
        expect(device.statistics()).toEqual(before)
        model.dispose()
      }),
    ).toEqual([])
  })

  it('refuses more positions than it has learned, before the cache has changed', () => {
    const model = modelOf({ position: 'learned' })
    const cache = model.createCache()
    const message = /^Transformer: 7 positions .* exceed the contextLength of 6 learned ones/
    expect(() => model.forward(ints([[0, 1, 2, 3, 4, 5, 6]]))).toThrow(message)
    model.forward(ints([[0, 1, 2, 3]]), { cache }).dispose()
    expect(() => model.forward(ints([[0, 1, 2]]), { cache })).toThrow(/7 positions \(4 cached/)
    expect(cache.length).toBe(4)
    const other = modelOf({ layers: 1 })
    expect(() => other.forward(ints([[0]]), { cache })).toThrow(/the cache has 2 layers, the model 1/)
    expect(() => model.forward(tensor(Int32Array.of(1), { device: 'reference' }))).toThrow(/tokens must be \[B, T\]/)
    cache.dispose()
    model.dispose()
    other.dispose()
  })
})
