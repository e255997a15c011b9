/** Clamps against models that have the clamped value built in. */
import { describe, expect, it } from 'vitest'
import { findDevice } from '../../../src/device/registry.ts'
import { tensor } from '../../../src/index.ts'
import { batchLoss, clampGate, clampLosses, readLayers } from '../../../src/lab/metrics.ts'
import type { GateConfig } from '../../../src/nn/index.ts'
import { batch, modelOf, withValuesOf } from './readings.ts'

/** Losses around 3 in float64; the readings that some expected values come from are float32: 2^-24 relative of scores. */
const close = 1e-6

describe('clampGate', () => {
  it.each([
    ['G1', 'elementwise'],
    ['G1', 'headwise'],
    ['G2', 'elementwise'],
    ['G4', 'elementwise'],
    ['G5', 'elementwise'],
  ] as [GateConfig['position'], GateConfig['grain']][])(
    'at 1 is the model without its gate: %s %s',
    async (position, grain) => {
      const model = modelOf({ gate: { position, grain } })
      const bare = await withValuesOf(model, { gate: 'none' })
      const loss = await clampGate(model, batch, 'one')
      expect(Math.abs(loss - (await batchLoss(bare, batch)))).toBeLessThan(1e-11)
      expect(Math.abs(loss - (await batchLoss(model, batch)))).toBeGreaterThan(1e-4)
      model.dispose()
      bare.dispose()
    },
  )

  it('at 0 is the model without attention at G1, without a gate if it is added', async () => {
    const model = modelOf({ gate: 'elementwise' })
    const silent = await withValuesOf(model, { gate: 'none' })
    for (const { attention } of silent.layers) {
      const { weight } = attention!.outputProjection
      weight.assign(tensor(new Float64Array(weight.size), { shape: [...weight.shape], device: 'reference' }))
    }
    expect(Math.abs((await clampGate(model, batch, 'zero')) - (await batchLoss(silent, batch)))).toBeLessThan(1e-11)

    const adding = modelOf({ gate: { op: 'add', act: 'silu' } })
    const bare = await withValuesOf(adding, { gate: 'none' })
    expect(Math.abs((await clampGate(adding, batch, 'zero')) - (await batchLoss(bare, batch)))).toBeLessThan(1e-11)
    for (const each of [model, silent, adding, bare]) each.dispose()
  })

  it('at the mean is a gate without input whose score is the mean of the layer', async () => {
    for (const grain of ['elementwise', 'headwise'] as const) {
      const model = modelOf({ gate: { grain } })
      const constant = await withValuesOf(model, { gate: { grain, input: 'none' } })
      const layers = await readLayers(model, batch)
      const means = layers.map(({ gateScores }) => gateScores!.reduce((a, b) => a + b, 0) / gateScores!.length)
      constant.layers.forEach(({ attention }, layer) => {
        const logits = attention!.gateLogits!
        const logit = Math.log(means[layer] / (1 - means[layer]))
        logits.assign(
          tensor(new Float64Array(logits.size).fill(logit), { shape: [...logits.shape], device: 'reference' }),
        )
      })
      expect(Math.abs((await clampGate(model, batch, 'mean')) - (await batchLoss(constant, batch)))).toBeLessThan(close)
      // The two layers' means differ, so that one could not stand for the other.
      expect(Math.abs(means[0] - means[1])).toBeGreaterThan(1e-3)
      // A gate that says nothing is its own mean.
      expect(Math.abs((await clampGate(constant, batch, 'mean')) - (await batchLoss(constant, batch)))).toBeLessThan(
        1e-11,
      )
      model.dispose()
      constant.dispose()
    }
  })

  it('needs a gate in attention', async () => {
    for (const settings of [{ gate: 'none' }, { fullAttentionInterval: 0 }] as const) {
      const model = modelOf(settings)
      await expect(clampGate(model, batch, 'one')).rejects.toThrow('clampGate: the model has no gate in attention')
      model.dispose()
    }
  })

  it('leaves nothing behind, on cpu too, where it agrees with the reference', async () => {
    const model = modelOf({ gate: 'elementwise', fullAttentionInterval: 2 }, 'cpu')
    const exact = modelOf({ gate: 'elementwise', fullAttentionInterval: 2 }, 'reference')
    const before = findDevice('cpu').statistics()
    const losses = await clampLosses(model, batch)
    expect(findDevice('cpu').statistics()).toEqual(before)
    const expected = await clampLosses(exact, batch)
    // Float32 through two layers of 16: some hundred roundings of 6e-8 on values up to 10.
    for (const key of ['none', 'one', 'mean', 'zero'] as const) {
      expect(Math.abs(losses[key] - expected[key])).toBeLessThan(1e-4)
    }
    expect(losses.none).toBeCloseTo(await batchLoss(model, batch), 12)
    model.dispose()
    exact.dispose()
  })
})
