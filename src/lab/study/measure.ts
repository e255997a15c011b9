/** What a study keeps of a run that has ended, well or not. */
import type { Divergence } from '../../errors.ts'
import { parameterCount, type Transformer } from '../../nn/index.ts'
import { Generator } from '../../tensor/random.ts'
import { type RunData, streamSeed } from '../../train/data.ts'
import type { LogEntry } from '../../train/run.ts'
import { ignoredTarget, taskNamed } from '../../train/tasks.ts'
import type { TrainResult } from '../../train/trainer.ts'
import { batchLoss } from '../metrics/loss.ts'
import {
  excesses,
  inContext,
  lengthCurve,
  measureModel,
  prefixMatching,
  readLayers,
  rescaledBase,
  spikes,
} from '../metrics.ts'
import { firstRows, showTokens } from '../report.ts'
import type { StudyJob, StudyRun } from '../study-report/data.ts'
import type { ModelSettings } from '../variants.ts'
import { jobName, type StudySettings } from './settings.ts'

/** Points of a training curve that are kept, besides its spikes. */
const curvePoints = 250
/** In nats over the losses before it: a point that is kept whatever its place. */
const spikeKept = 0.1
/** Sequences that a model is measured on, and positions of one that its maps show. */
const measuredRows = 16
const mapTokens = 48

const round = (x: number, digits: number): number => Number(x.toFixed(digits))

/** Of a log: what the report draws. */
function curveOf(log: readonly LogEntry[], warmup: number): StudyRun['curve'] {
  const every = Math.ceil(log.length / curvePoints)
  const high = new Set(
    excesses(losses(log), { warmup }).flatMap(({ index, excess }) => (excess > spikeKept ? [index] : [])),
  )
  const kept = log.filter((_, i) => i % every === 0 || i === log.length - 1 || high.has(i))
  return {
    step: kept.map(({ step }) => step),
    loss: kept.map(({ loss }) => round(loss, 4)),
    heldOut: log.flatMap(({ step, heldOutLoss: loss }) => (loss === undefined ? [] : [{ step, loss: round(loss, 5) }])),
    firstToken: log.flatMap(({ step, found }) =>
      found?.firstToken === undefined
        ? []
        : [{ step, mean: round(found.firstToken, 5), corrected: round(found.firstTokenCorrected!, 5) }],
    ),
  }
}

const losses = (log: readonly LogEntry[]): number[] => log.map(({ loss }) => loss)

/** What every run has, however it ended. */
function recordOf(settings: StudySettings, job: StudyJob, log: readonly LogEntry[]) {
  const { warmup } = settings.schedule
  const { count, rate, maximum } = spikes(losses(log), { warmup })
  return {
    job,
    name: jobName(job),
    seconds: log.at(-1)?.seconds ?? 0,
    curve: curveOf(log, warmup),
    spikes: { count, rate, maximum, warmup },
  }
}

/** The record of a run that diverged. */
export function divergedRun(
  settings: StudySettings,
  job: StudyJob,
  model: ModelSettings,
  { vocabularySize, contextLength }: Pick<RunData, 'vocabularySize' | 'contextLength'>,
  log: readonly LogEntry[],
  { step, message }: Divergence,
): StudyRun {
  return {
    ...recordOf(settings, job, log),
    parameters: parameterCount({ ...model, vocabularySize }),
    tokens: log.length * settings.batchSize * contextLength,
    diverged: { step, reason: message },
    loss: null,
    measures: null,
    length: null,
    inContext: null,
    maps: null,
  }
}

/** The record of a run that reached its end, with its model measured. */
export async function measuredRun(settings: StudySettings, job: StudyJob, result: TrainResult): Promise<StudyRun> {
  const { model, data, log, step, heldOut } = result
  const batch = firstRows(data.heldOut[0]!, measuredRows)
  const attends = model.config.layerTypes.includes('attention')
  const isFirst = job.group === 'main' && job.seed === settings.seeds[0]
  return {
    ...recordOf(settings, job, log),
    parameters: model.parameterCount,
    tokens: step * data.heldOut[0]!.B * data.heldOut[0]!.T,
    diverged: null,
    loss: heldOut!.loss,
    measures: await measureModel(model, batch),
    length: await lengths(settings, job, result),
    inContext: attends ? await contextUse(result) : null,
    maps: isFirst && attends ? await mapsOf(model, result) : null,
  }
}

/** How much the context helps; null for a task that does not ask for every token. */
async function contextUse({ model, data }: TrainResult): Promise<StudyRun['inContext']> {
  if (data.heldOut.some(({ targets }) => targets.includes(ignoredTarget))) return null
  const { early, late } = await inContext(model, data.heldOut)
  return { early, late, prefixMatching: (await prefixMatching(model)).maximum }
}

/** Multiples of the training length at which the loss is read. */
const multiples = [1, 2, 4, 8]
/** Sequences of a generated task that are read at each length. */
const lengthRows = 8

/**
 * The loss beyond the training length; null where it cannot be asked: with learned positions, a held-out text too short for one of the
 * longest windows, or a task whose sequences have a length of their own.
 */
async function lengths(
  settings: StudySettings,
  job: StudyJob,
  { model, data }: TrainResult,
): Promise<StudyRun['length']> {
  const { contextLength: T, position, rope } = model.config
  if (position !== 'rope') return null
  const wanted = multiples.map((factor) => factor * T)
  if (data.text) {
    return data.text.heldOut.length > wanted.at(-1)! ? lengthCurve(model, data.text.heldOut, { lengths: wanted }) : null
  }
  const { task, taskOptions } = settings.data
  const definition = taskNamed(task!)
  if (!('sequenceLength' in definition.defaults)) return null
  const curve: { length: number; loss: number; rescaled: number }[] = []
  for (const length of wanted) {
    const options = { ...taskOptions, sequenceLength: length, batchSize: lengthRows }
    const batch = definition.generate(new Generator(streamSeed(job.seed, 3)), options)
    const ropeBase = rescaledBase(rope.base, rope.dims, length / T)
    curve.push({
      length,
      loss: await batchLoss(model, batch, { ignoreIndex: data.ignoreIndex }),
      rescaled: await batchLoss(model, batch, { ignoreIndex: data.ignoreIndex, ropeBase }),
    })
  }
  return curve
}

/** The attention of the first held-out sequence, its first positions, to three digits. */
async function mapsOf(model: Transformer, { data }: TrainResult): Promise<StudyRun['maps']> {
  const one = firstRows(data.heldOut[0]!, 1)
  const T = Math.min(one.T, mapTokens)
  const batch = { inputs: one.inputs.slice(0, T), targets: one.targets.slice(0, T), B: 1, T }
  const layers = await readLayers(model, batch)
  return {
    tokens: showTokens(batch, data.tokenizer),
    layers: layers.map(({ weights = new Float32Array(), heads }) => ({
      heads: Array.from({ length: heads }, (_, h) =>
        Array.from(weights.subarray(h * T * T, (h + 1) * T * T), (a) => round(a, 3)),
      ),
    })),
  }
}
