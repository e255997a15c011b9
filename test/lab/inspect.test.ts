/** Looking into models layer by layer: the same figures as the measures on the whole model, for hybrids too. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { device, manualSeed, scope, tensor } from '../../src/index.ts'
import { type Inspection, inspectedRun, mapTokens, summariseLayer, totals } from '../../src/lab/inspect.ts'
import { attentionSink, gateScores, massiveActivation, readLayers } from '../../src/lab/metrics.ts'
import { type LayerObservation, Transformer, transformerConfig } from '../../src/nn/index.ts'
import { renderReport } from '../../src/train/report/report.ts'

const shape = { vocabularySize: 11, width: 16, layers: 4, heads: 4, keyValueHeads: 2 }

function inspect(model: Transformer, inputs: Int32Array, B: number, T: number): Inspection {
  const layers = scope(() => {
    const seen: ReturnType<typeof summariseLayer>[] = []
    const tokens = tensor(inputs, { shape: [B, T], device: model.device })
    model.forward(tokens, { observe: (layer) => void seen.push(summariseLayer(layer)) })
    return seen
  })
  const tokens = Array.from({ length: Math.min(T, mapTokens) }, (_, i) => String(inputs[i]))
  return { name: 'model', parameters: model.parameterCount, loss: 2, length: T, tokens, layers }
}

describe('a model looked into', () => {
  const gates = ['none', 'elementwise', 'headwise', { position: 'G2' }, { position: 'G5', grain: 'headwise' }] as const

  test('layer by layer has the sink, the gate scores and the activations of the whole', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...gates),
        fc.constantFrom(1, 2, 4),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 2, max: 60 }),
        fc.nat({ max: 1000 }),
        async (gate, fullAttentionInterval, B, T, seed) => {
          manualSeed(seed)
          const model = new Transformer(transformerConfig({ ...shape, gate, fullAttentionInterval, initStd: 0.3 }))
          const inputs = Int32Array.from({ length: B * T }, (_, i) => (i * i + seed) % 11)
          const batch = { inputs, targets: inputs, B, T }
          const seen = inspect(model, inputs, B, T)
          const [found, run] = [totals(seen), inspectedRun(seen)]
          const sink = await attentionSink(model, batch)
          expect(run.firstToken?.perLayerHead).toEqual(sink.perLayerHead)
          // The same numbers added in another order, in double precision.
          expect(found.firstToken).toBeCloseTo(sink.mean, 12)
          expect(found.corrected).toBeCloseTo(sink.corrected, 12)
          const scores = await gateScores(model, batch)
          expect(found.gate === undefined).toBe(scores === undefined)
          if (scores) {
            expect(run.gateScores?.layers).toEqual(scores.layers)
            for (const key of ['mean', 'shareBelowTenth', 'shareAboveNineTenths'] as const) {
              expect(found.gate?.[key]).toBeCloseTo(scores[key], 12)
            }
          }
          const activation = await massiveActivation(model, batch)
          expect(run.maximumActivation).toEqual(activation.perLayer)
          expect(found.meanLargest).toBeCloseTo(activation.mean, 12)
          model.dispose()
        },
      ),
      { numRuns: 200 },
    )
  })

  test('has a mean of the gate for each head that it acts on', async () => {
    manualSeed(3)
    const model = new Transformer(transformerConfig({ ...shape, layers: 1, gateStd: 1 }))
    const [T, H, D] = [5, 4, 4]
    const inputs = Int32Array.of(1, 2, 3, 4, 5)
    const [layer] = inspect(model, inputs, 1, T).layers
    const [{ gateScores: scores }] = await readLayers(model, { inputs, targets: inputs, B: 1, T })
    for (let h = 0; h < H; h++) {
      let sum = 0
      for (let t = 0; t < T; t++) for (let d = 0; d < D; d++) sum += scores![(t * H + h) * D + d]
      expect(layer.gate?.perHead[h]).toBeCloseTo(sum / (T * D), 12)
    }
    model.dispose()
  })

  test('keeps the maps of the first tokens', async () => {
    manualSeed(4)
    const model = new Transformer(transformerConfig({ ...shape, layers: 1 }))
    const T = mapTokens + 5
    const inputs = Int32Array.from({ length: T }, (_, i) => i % 11)
    const [{ maps }] = inspect(model, inputs, 1, T).layers
    const [{ weights }] = await readLayers(model, { inputs, targets: inputs, B: 1, T })
    expect(maps).toHaveLength(4)
    for (const [h, map] of maps.entries()) {
      for (const [i, j] of [
        [0, 0],
        [7, 3],
        [mapTokens - 1, mapTokens - 1],
        [mapTokens - 1, 0],
      ]) {
        expect(map[i * mapTokens + j]).toBe(weights![(h * T + i) * T + j])
      }
    }
    model.dispose()
  })

  test('makes a page that does not speak of training', () => {
    const model = new Transformer(transformerConfig({ ...shape, fullAttentionInterval: 2 }))
    const seen = inspect(model, Int32Array.of(1, 2, 3), 1, 3)
    const page = renderReport({
      title: 'a',
      createdAt: '',
      configuration: {},
      baselines: [],
      runs: [inspectedRun(seen)],
    })
    expect(page).toContain('looked into')
    expect(page).not.toMatch(/trained|Held-out|Steps|Speed/)
    model.dispose()
  })

  test('is refused on a device that cannot be read at once', async () => {
    await device('cpu')
    const hidden = { device: 'webgpu', shape: [1, 1, 1] }
    const seen = { type: 'delta', hidden, layer: 0 } as unknown as LayerObservation
    expect(() => summariseLayer(seen)).toThrow(
      'summariseLayer: the model is on webgpu; look into it on cpu or reference',
    )
  })
})
