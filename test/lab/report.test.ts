/** Reports of runs that were really trained: the page says what was measured. */
import { describe, expect, it } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import { activationOf, attentionSink, gateScores, massiveActivation } from '../../src/lab/metrics.ts'
import { reportData } from '../../src/lab/report.ts'
import { formatInteger } from '../../src/train/report/format.ts'
import { renderReport } from '../../src/train/report/report.ts'
import type { TokenBatch } from '../../src/train/text.ts'
import { type TrainResult, train } from '../../src/train/trainer.ts'
import { alphabet, copyTask, smallConfig } from '../train/small-run.ts'

/** What a reader sees: text without tags, runs of blanks as one. */
const readable = (page: string) =>
  page
    .replace(/<style>.*?<\/style>/s, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&nbsp;|\s/g, ' ')
    .replace(/ +/g, ' ')

const row = (page: string, name: string) => {
  const start = page.indexOf(`<tr><th scope="row">${name}`)
  expect(start).toBeGreaterThan(0)
  return readable(page.slice(start, page.indexOf('</tr>', start)))
}

const twin = (gate: string) =>
  train({ text: alphabet, config: smallConfig({ steps: 8, batchSize: 4, model: { gate, layers: 2 } }) })

/** The rows that are measured: the first 8 at most of the first held-out batch. */
const firstRows = ({ data }: TrainResult): TokenBatch => data.heldOut[0]

describe('two runs', () => {
  it('are measured and drawn side by side, with the numbers that were measured', async () => {
    const [gated, ungated] = [await twin('elementwise'), await twin('none')]
    const before = findDevice('cpu').statistics()
    const runs = [
      { name: 'gated', result: gated, sample: 'bcd <b>&' },
      { name: 'ungated', result: ungated },
    ]
    const baselines = [{ name: 'bigram', loss: 1.2345 }]
    const data = await reportData('Twins', runs, { prompt: 'a', textName: 'the alphabet', baselines })
    expect(findDevice('cpu').statistics()).toEqual(before)
    expect(data.text).toEqual({ name: 'the alphabet', characters: 1040, vocabularySize: 26 })
    expect(data.lossUnit).toBe('nats per character')
    for (const [i, result] of [gated, ungated].entries()) {
      const run = data.runs[i]
      const batch = firstRows(result)
      expect(run.parameters).toBe(result.model.parameterCount)
      expect([run.steps, run.seconds, run.tokensPerSecond]).toEqual([8, result.seconds, result.tokensPerSecond])
      expect(run.trainLoss).toEqual(result.log.map(({ step, loss }) => ({ step, loss })))
      expect(run.heldOutLoss.map(({ step }) => step)).toEqual([3, 6, 8])
      expect(run.finalHeldOutLoss).toBe(result.heldOut!.loss)
      expect(run.firstToken).toEqual(await attentionSink(result.model, batch))
      expect(run.gateScores).toEqual(await gateScores(result.model, batch))
      expect(run.maximumActivation).toEqual((await massiveActivation(result.model, batch)).perLayer)
      // The map is of the first held-out row: a character a column, rows that sum to 1.
      const { tokens, layers } = run.attention!
      expect(tokens.join('')).toBe(result.data.tokenizer!.decode(batch.inputs.subarray(0, 8)))
      expect(layers.map(({ heads }) => heads.length)).toEqual([2, 2])
      for (const weights of layers.flatMap(({ heads }) => heads)) {
        expect(weights).toHaveLength(64)
        // 8 float32 additions of numbers up to 1.
        for (let i = 0; i < 64; i += 8) expect(weights.slice(i, i + 8).reduce((a, b) => a + b)).toBeCloseTo(1, 6)
      }
    }
    expect(data.runs[0].gateScores).toBeDefined()
    expect(data.runs[1].gateScores).toBeUndefined()

    const page = renderReport(data)
    const losses = [gated, ungated].map(({ heldOut }) => heldOut!.loss.toFixed(3))
    for (const loss of losses) expect(row(page, 'Held-out loss')).toContain(loss)
    for (const run of data.runs) {
      expect(row(page, 'First-token attention')).toContain(run.firstToken!.mean.toFixed(3))
      expect(row(page, 'Largest activation')).toContain(Math.max(...run.maximumActivation!).toFixed(1))
      expect(row(page, 'Parameters')).toContain(readable(formatInteger(run.parameters)))
    }
    expect(row(page, 'Mean gate score')).toContain(data.runs[0].gateScores!.mean.toFixed(3))
    expect(row(page, 'Mean gate score')).toContain('not measured')
    expect(page).toContain('bcd &lt;b&gt;&amp;')
    expect(readable(page)).toContain('the alphabet')
    for (const { model } of [gated, ungated]) model.dispose()
  })
})

it('a task run has no tokenizer: its tokens are numbers', async () => {
  const result = await train({ config: smallConfig({ data: copyTask }) })
  const data = await reportData('Copy', [{ name: 'copy', result }])
  expect([data.text, data.lossUnit]).toEqual([undefined, 'nats per answer'])
  expect(data.runs[0].attention!.tokens).toEqual([...result.data.heldOut[0].inputs.subarray(0, 8)].map(String))
  const page = renderReport(data)
  expect(row(page, 'Held-out loss')).toContain(result.heldOut!.loss.toFixed(3))
  expect(row(page, 'Held-out loss')).toContain('nats per answer')
  result.model.dispose()
})

it('a run of no steps, and one of bytes, are drawn too', async () => {
  const config = smallConfig({ steps: 0, data: { tokenizer: 'byte' } })
  const result = await train({ text: 'é😀'.repeat(100), config })
  const data = await reportData('Nothing', [{ name: 'none', result }])
  expect(data.runs[0].finalHeldOutLoss).toBe(result.heldOut!.loss)
  expect([data.lossUnit, data.text!.characters, data.text!.vocabularySize]).toEqual(['nats per byte', 200, 256])
  expect(row(renderReport(data), 'Held-out loss')).toContain(result.heldOut!.loss.toFixed(3))
  result.model.dispose()
})

it('of a large batch 8 rows are read', async () => {
  const result = await train({ text: alphabet, config: smallConfig({ steps: 1, batchSize: 12 }) })
  const [{ inputs, targets, T }] = result.data.heldOut
  const eight = { inputs: inputs.slice(0, 8 * T), targets: targets.slice(0, 8 * T), B: 8, T }
  const [run] = (await reportData('Large', [{ name: 'large', result }])).runs
  expect(result.data.heldOut[0].B).toBe(12)
  expect(run.firstToken).toEqual(await attentionSink(result.model, eight))
  expect(run.maximumActivation).toHaveLength(1)
  expect(activationOf([]).perLayer).toEqual([])
  result.model.dispose()
})
