/** `sluice train`: trains on the user's own text or on a generated task, and writes the run's report. */
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { device } from '../device/registry.ts'
import { SluiceError } from '../errors.ts'
import { reportData } from '../lab/report.ts'
import { readCheckpoint } from '../train/checkpoint.ts'
import { trainConfig } from '../train/config.ts'
import { LiveDisplay } from '../train/live.ts'
import { renderReport } from '../train/report/report.ts'
import { checkpointFolder } from '../train/run.ts'
import { type SavedConfig, type TrainOptions, type TrainResult, train } from '../train/trainer.ts'
import { interruptSignal, wholeNumber } from './options.ts'

const usage = `usage: sluice train --data FILE [--config FILE] [options]
       sluice train --task NAME [--config FILE] [options]
       sluice train --resume FOLDER [--steps N]

  --data FILE      a UTF-8 text to learn from
  --task NAME      a generated task: copy, selectiveCopy, multiQueryRecall, parity, modularArithmetic
  --config FILE    JSON; every key has a default (docs/training.md lists them)
  --name NAME      of the run; its folder is runs/NAME
  --steps N        how far to train
  --seed N         of weights, data order and dropout
  --device NAME    cpu (default), reference, or auto
  --overwrite      replace an earlier run of the same name
  --resume FOLDER  go on from the newest checkpoint of a run, or from one checkpoint file

Ctrl-C stops after the current step and leaves a checkpoint.`

async function readConfig(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw new SluiceError('sluice train', `the configuration ${path} cannot be read: ${error.message}`)
  })
  try {
    const value: unknown = JSON.parse(text)
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>
  } catch (error) {
    throw new SluiceError('sluice train', `the configuration ${path} is not JSON: ${(error as Error).message}`)
  }
  throw new SluiceError('sluice train', `the configuration ${path} must be a JSON object`)
}

/** The folder of the run that a checkpoint file or a run's folder belongs to. */
function runFolder(resume: string): string {
  const path = resume.replace(/[\\/]+$/, '')
  return path.endsWith('.safetensors') ? path.split(/[\\/]/).slice(0, -2).join('/') || '.' : path
}

async function planned(values: Record<string, string | undefined>): Promise<{ options: TrainOptions; folder: string }> {
  const steps = wholeNumber('steps', values.steps)
  if (values.resume !== undefined) {
    const folder = runFolder(values.resume)
    const resume = values.resume.endsWith('.safetensors') ? values.resume : checkpointFolder(folder)
    const saved = (await readCheckpoint(resume)).config as SavedConfig
    return { folder, options: { folder, resume, config: { steps: steps ?? saved.train.steps } } }
  }
  const given = values.config === undefined ? {} : await readConfig(values.config)
  const data = { ...(given.data as object | undefined) } as Record<string, unknown>
  if (values.data !== undefined) data.text = values.data
  if (values.task !== undefined) data.task = values.task
  const config: Record<string, unknown> = { ...given, data }
  const seed = wholeNumber('seed', values.seed)
  if (values.name !== undefined) config.name = values.name
  if (steps !== undefined) config.steps = steps
  if (seed !== undefined) config.seed = seed
  const { name } = trainConfig(config)
  return { folder: `runs/${name}`, options: { folder: `runs/${name}`, config } }
}

/** Trains with a live line, and stops cleanly on Ctrl-C. */
export async function trainLive(name: string, options: TrainOptions, display: LiveDisplay): Promise<TrainResult> {
  const interrupt = interruptSignal()
  try {
    return await train({
      ...options,
      signal: interrupt.signal,
      onStep: (p) =>
        display.update({
          name,
          step: p.step,
          steps: p.steps,
          loss: p.loss,
          heldOutLoss: p.heldOutLoss,
          tokensPerSecond: p.tokensPerSecond,
          seconds: p.sessionSeconds,
          firstStep: p.firstStep,
        }),
    })
  } finally {
    display.finish()
    interrupt.release()
  }
}

export const trainCommand = {
  summary: 'train on a text or a generated task',
  usage,
  async run(given: string[]): Promise<void> {
    const text = { type: 'string' } as const
    const { values } = parseArgs({
      args: given,
      options: {
        data: text,
        task: text,
        config: text,
        name: text,
        steps: text,
        seed: text,
        device: text,
        resume: text,
        overwrite: { type: 'boolean' },
      },
    })
    const chosen = await device(values.device ?? 'auto')
    const { overwrite, ...texts } = values
    const { options, folder } = await planned(texts)
    const result = await trainLive(
      folder.split('/').pop()!,
      { ...options, overwrite, device: chosen.name },
      new LiveDisplay(),
    )
    const { model, config, step, log } = result
    if (step < config.steps) {
      console.log(`stopped after step ${step} of ${config.steps}; go on with: sluice train --resume ${folder}`)
      model.dispose()
      return
    }
    const held = log.at(-1)
    console.log(
      `${step} steps on ${chosen.name}: held-out loss ${held?.heldOutLoss?.toFixed(4)} nats a token, accuracy ${((held?.heldOutAccuracy ?? 0) * 100).toFixed(1)} %`,
    )
    await writeFile(
      `${folder}/report.html`,
      renderReport(await reportData(config.name, [{ name: config.name, result }])),
    )
    console.log(`report: ${folder}/report.html`)
    model.dispose()
  },
}
