/** `sluice train`: trains on the user's own text or on a generated task, and writes the run's report. */
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { device } from '../device/registry.ts'
import { SluiceError } from '../errors.ts'
import { mixerNamed } from '../lab/mixers.ts'
import { type MeasuredRun, type ReportOptions, reportData } from '../lab/report.ts'
import { showValue } from '../shown.ts'
import { trainConfig } from '../train/config.ts'
import { LiveDisplay } from '../train/live.ts'
import { type TrainOptions, type TrainResult, train } from '../train/trainer.ts'
import { readObject } from './files.ts'
import { interruptSignal, wholeNumber } from './options.ts'
import { writePage } from './page.ts'
import { resumed } from './resumed.ts'

const usage = `usage: sluice train --data FILE [--config FILE] [options]
       sluice train --task NAME [--config FILE] [options]
       sluice train --resume RUN [--steps N]

  --data FILE      a UTF-8 text to learn from
  --task NAME      a generated task: mqar, copy, selective-copy, parity, modular, backcopy
  --mixer NAME     what mixes tokens: attention (default), delta-net, delta-net-negative, gated-delta-net, hybrid
  --config FILE    JSON; every key has a default (docs/training.md lists them)
  --name NAME      of the run; its folder is runs/NAME
  --steps N        how far to train
  --seed N         of weights, data order and dropout
  --device NAME    auto (default: webgpu where a hardware adapter answers, else cpu), cpu, webgpu, reference
  --overwrite      replace an earlier run of the same name
  --resume RUN     go on from the newest checkpoint of a run's folder, from one checkpoint file, or from the zip of a run,
                   which is unpacked beside itself

Ctrl-C stops after the current step and leaves a checkpoint.`

/** What a resumed run does not take, because it keeps its own. */
const fixed = ['data', 'task', 'mixer', 'config', 'name', 'seed'] as const

async function planned(values: Record<string, string | undefined>): Promise<TrainOptions & { folder: string }> {
  const steps = wholeNumber('steps', values.steps)
  if (values.resume !== undefined) {
    const second = fixed.find((name) => values[name] !== undefined)
    if (second) {
      throw new SluiceError('sluice train', `--resume goes on with the run as it is; leave out --${second}`)
    }
    return { ...(await resumed(values.resume)), config: { steps } }
  }
  const given = values.config === undefined ? {} : await readObject('sluice train', 'the configuration', values.config)
  const config: Record<string, unknown> = { ...given }
  if (values.data !== undefined) config.data = { ...sectionOf('data', given), text: values.data, task: undefined }
  if (values.task !== undefined) config.data = { ...sectionOf('data', given), task: values.task, text: values.data }
  if (values.mixer !== undefined) config.model = { ...sectionOf('model', given), ...mixerNamed(values.mixer).model }
  const seed = wholeNumber('seed', values.seed)
  if (values.name !== undefined) config.name = values.name
  if (steps !== undefined) config.steps = steps
  if (seed !== undefined) config.seed = seed
  const { name, data } = trainConfig(config)
  if (data.text === undefined && data.task === undefined) {
    throw new SluiceError('sluice train', 'there is nothing to learn from: give --data FILE or --task NAME')
  }
  return { folder: join('runs', name), config }
}

/** A section of a configuration; one of another type is refused as `trainConfig` would. */
function sectionOf(name: string, { [name]: section }: Record<string, unknown>): object {
  if (section === undefined || (typeof section === 'object' && section !== null && !Array.isArray(section))) {
    return section ?? {}
  }
  throw new SluiceError('sluice train', `${name} must be an object in the configuration, got ${showValue(section)}`)
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

/** Measures the runs and writes `report.html` into a folder, which is made if missing. */
export async function writeReport(
  folder: string,
  title: string,
  runs: readonly MeasuredRun[],
  options?: ReportOptions,
): Promise<string> {
  return writePage(join(folder, 'report.html'), await reportData(title, runs, options))
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
        mixer: text,
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
    if (overwrite && values.resume !== undefined) {
      throw new SluiceError('sluice train', '--resume goes on with a run and --overwrite replaces it; give one of them')
    }
    const options = await planned(texts)
    const { folder } = options
    const shown = { ...options, overwrite, device: chosen.name }
    const result = await trainLive(basename(resolve(folder)), shown, new LiveDisplay())
    const { model, config, step, heldOut } = result
    if (!heldOut) {
      console.log(`stopped after step ${step} of ${config.steps}; go on with: sluice train --resume ${folder}`)
      model.dispose()
      return
    }
    console.log(
      `${step} steps on ${chosen.name}: held-out loss ${heldOut.loss.toFixed(4)} nats a token, accuracy ` +
        `${(heldOut.accuracy * 100).toFixed(1)} %`,
    )
    console.log(`report: ${await writeReport(folder, config.name, [{ name: config.name, result }])}`)
    model.dispose()
  },
}
