import { describe, expect, it } from 'vitest'
import { noGrad, scope, tensor } from '../../../src/index.ts'
import { attentionOutput, type LayerReading, outputOf, readLayers } from '../../../src/lab/metrics.ts'
import type { GateConfig } from '../../../src/nn/index.ts'
import { B, batch, deltaLayer, layerOf, modelOf, T } from './readings.ts'

const gate: GateConfig = { position: 'G1', grain: 'headwise', shared: false, op: 'mul', act: 'sigmoid', input: 'x' }

const output = (attended: number[], gated: number[], scores?: number[]): LayerReading =>
  layerOf([[[[1]]]], {
    attended: Float32Array.from(attended),
    gated: Float32Array.from(gated),
    gateScores: scores && Float32Array.from(scores),
  })

describe('outputOf', () => {
  it('has the mean sizes and what is near 0, by layer and over all', () => {
    const layers = [
      output([1, -3, 0.005, 0.0005], [0.5, -0.001953125, 0.0005, 0], [0.5, 0.5, 0, 0]),
      deltaLayer,
      output([2, -2, 2, 2], [1, 1, -1, 1], [0.5, 0.5, 0.5, 0.5]),
    ]
    const seen = outputOf(layers, { gate, sdpaPost: 'none' })
    expect(seen.layers.map(({ layer }) => layer)).toEqual([0, 2])
    // Readings are float32: 2^-24 relative of values up to 4.
    expect(seen.layers[0].before).toBeCloseTo(4.0055 / 4, 6)
    expect(seen.layers[0].after).toBeCloseTo(0.502453125 / 4, 6)
    expect(seen.layers[1]).toEqual({ layer: 2, before: 2, after: 1 })
    expect(seen.before).toBeCloseTo((4.0055 / 4 + 2) / 2, 6)
    expect(seen.after).toBeCloseTo((0.502453125 / 4 + 1) / 2, 6)
    expect(seen.sparsityBefore).toEqual({ '0.01': 2 / 8, '0.001': 1 / 8 })
    expect(seen.sparsityAfter).toEqual({ '0.01': 3 / 8, '0.001': 2 / 8 })
    // Times the mean scores 0.25 and 0.5: 0.00125 is not below 0.001.
    expect(seen.sparsityMeanGate).toEqual({ '0.01': 2 / 8, '0.001': 1 / 8 })
  })

  it('takes the mean of the gate for each layer by itself', () => {
    const layers = [output([0.03], [0], [0.25]), output([0.03], [0], [0.75])]
    expect(outputOf(layers, { gate, sdpaPost: 'none' }).sparsityMeanGate).toEqual({ '0.01': 1 / 2, '0.001': 0 })
  })

  it('has no mean gate where none multiplies the output', () => {
    const layers = [output([1], [1], [0.5])]
    const none = (of: Parameters<typeof outputOf>[1]) => outputOf(layers, of).sparsityMeanGate
    expect(none({ gate: 'none', sdpaPost: 'none' })).toBeNull()
    expect(none({ gate: { ...gate, position: 'G2' }, sdpaPost: 'none' })).toBeNull()
    expect(none({ gate: { ...gate, op: 'add' }, sdpaPost: 'none' })).toBeNull()
    expect(none({ gate, sdpaPost: 'silu' })).toBeNull()
    expect(none({ gate, sdpaPost: 'none' })).not.toBeNull()
  })

  it('needs attention that was read with its output', () => {
    expect(() => outputOf([deltaLayer], { gate, sdpaPost: 'none' })).toThrow('none of the 1 layers has attention')
    expect(() => outputOf([layerOf([[[[1]]]])], { gate, sdpaPost: 'none' })).toThrow(
      'layer 0 was read without attended',
    )
  })
})

describe('attentionOutput', () => {
  it.each(['reference', 'cpu'])('reads Y and Y times the gate on %s', async (device) => {
    for (const settings of [{ gate: 'headwise' }, { gate: 'elementwise' }, { gate: 'none' }] as const) {
      const model = modelOf(settings, device)
      const layers = await readLayers(model, batch)
      for (const { attended, gated, gateScores } of layers) {
        expect(attended).toHaveLength(B * T * 16)
        const each = gateScores ? attended!.length / gateScores.length : 1
        attended!.forEach((y, i) => {
          const score = gateScores ? gateScores[Math.floor(i / each)] : 1
          // One product of float32 values up to 10.
          expect(Math.abs(gated![i] - y * score)).toBeLessThan(1e-5)
        })
      }
      const seen = await attentionOutput(model, batch)
      const size = (of: (layer: LayerReading) => Float32Array) =>
        layers.flatMap((layer) => [...of(layer)]).reduce((sum, y) => sum + Math.abs(y), 0) / (2 * B * T * 16)
      expect(seen.before).toBeCloseTo(
        size(({ attended }) => attended!),
        6,
      )
      expect(seen.after).toBeCloseTo(
        size(({ gated }) => gated!),
        6,
      )
      if (settings.gate === 'none') expect(seen.after).toBeCloseTo(seen.before, 6)
      else expect(seen.after).toBeLessThan(seen.before)
      model.dispose()
    }
  })

  it('is that of one position, whose output is its value', async () => {
    // A single token attends to itself: Y is its value, projected from the normed input.
    const model = modelOf({ gate: 'none', layers: 1 })
    const one = { inputs: Int32Array.of(3), targets: Int32Array.of(1), B: 1, T: 1 }
    const { mixerNorm, attention } = model.layers[0]
    const values = scope(() =>
      noGrad(() => {
        const x = model.tokenEmbedding.forward(tensor(one.inputs, { shape: [1, 1], device: 'reference' }))
        return attention!.valueProjection.forward(mixerNorm.forward(x))
      }),
    )
    const expected = [...(await values.data())].reduce((sum, v) => sum + Math.abs(v), 0) / values.size
    values.dispose()
    const { before } = await attentionOutput(model, one)
    // Each of the two value heads serves two query heads: the mean is the same. Readings are float32.
    expect(before).toBeCloseTo(expected, 6)
    model.dispose()
  })
})
