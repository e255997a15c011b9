import { describe, expect, it } from 'vitest'
import { findDevice } from '../../../src/device/registry.ts'
import {
  attentionOutput,
  attentionSink,
  clampLosses,
  gateScores,
  massiveActivation,
  measureModel,
  sinkRate,
} from '../../../src/lab/index.ts'
import { batch, modelOf } from './readings.ts'

describe('measureModel', () => {
  it('gathers every measure, as JSON that can be kept', async () => {
    for (const settings of [{ gate: 'headwise' }, { gate: 'elementwise', fullAttentionInterval: 2 }] as const) {
      const model = modelOf(settings, 'cpu')
      const before = findDevice('cpu').statistics()
      const measures = await measureModel(model, batch, { bins: 7, epsilon: 0.2 })
      expect(findDevice('cpu').statistics()).toEqual(before)
      const { ofFirst, any } = await sinkRate(model, batch, { epsilon: 0.2 })
      // The same code on the same bits.
      expect(measures).toEqual({
        firstToken: await attentionSink(model, batch),
        sinkRate: { ofFirst, any },
        massiveActivation: await massiveActivation(model, batch),
        gate: await gateScores(model, batch, 7),
        attentionOutput: await attentionOutput(model, batch),
        clamp: await clampLosses(model, batch),
      })
      expect(JSON.parse(JSON.stringify(measures))).toEqual(measures)
      model.dispose()
    }
  })

  it('has null for what a model has not', async () => {
    const ungated = modelOf({ gate: 'none' })
    const measures = await measureModel(ungated, batch)
    expect([measures.gate, measures.clamp]).toEqual([null, null])
    expect(measures.firstToken).not.toBeNull()
    expect(measures.attentionOutput!.sparsityMeanGate).toBeNull()
    const delta = modelOf({ fullAttentionInterval: 0 })
    expect(await measureModel(delta, batch)).toEqual({
      firstToken: null,
      sinkRate: null,
      massiveActivation: await massiveActivation(delta, batch),
      gate: null,
      attentionOutput: null,
      clamp: null,
    })
    ungated.dispose()
    delta.dispose()
  })
})
