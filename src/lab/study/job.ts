/** One run of a study: train a variant, then measure it. */
import { Divergence, SluiceError } from '../../errors.ts'
import type { Transformer } from '../../nn/index.ts'
import { trainConfig } from '../../train/config.ts'
import { loadData, type RunData } from '../../train/data.ts'
import { checkpointFolder, type LogEntry, newestCheckpoint, readLog } from '../../train/run.ts'
import { type Progress, type TrainResult, train } from '../../train/trainer.ts'
import { readLayers, sinkOf } from '../metrics.ts'
import { firstRows } from '../report.ts'
import type { StudyJob, StudyRun } from '../study-report/data.ts'
import { type ModelSettings, matchParameters, variantNamed } from '../variants.ts'
import { divergedRun, measuredRun } from './measure.ts'
import { jobName, type StudySettings } from './settings.ts'

/** Where and how a job runs. */
export interface StudyJobOptions {
  /** The text itself, instead of reading `settings.data.text`. */
  readonly text?: string
  /** Where log and checkpoints are, from which a killed run goes on; nothing is written unless given. */
  readonly folder?: string
  /** Name of the device; the default device unless given. */
  readonly device?: string
  /** Called after every step. */
  readonly onStep?: (progress: Progress) => void
  /** Stops after the current step, with a checkpoint. */
  readonly signal?: AbortSignal
}

/** The model of a job: the variant made from the baseline of its size. */
export function jobModel({ sizes, matchParameters: match }: StudySettings, { size, variant }: StudyJob): ModelSettings {
  const base = Object.hasOwn(sizes, size) ? sizes[size] : undefined
  if (!base) {
    throw new SluiceError('study', `there is no size '${size}'; the sizes are ${Object.keys(sizes).join(', ')}`)
  }
  const changed = variantNamed(variant).configure(base)
  return match ? matchParameters(base, changed) : changed
}

/** The training configuration of a job. Runs of one seed see the same batches, whatever the variant. */
export function jobConfig(settings: StudySettings, job: StudyJob) {
  const { data, batchSize, contextLength, optimizer, schedule, clip } = settings
  const { evaluateEvery, evaluationBatches, checkpointEvery } = settings
  return {
    name: jobName(job),
    data,
    batchSize,
    contextLength,
    model: jobModel(settings, job),
    steps: job.steps,
    seed: job.seed,
    optimizer: { ...optimizer, learningRate: job.learningRate },
    schedule,
    clip,
    evaluateEvery,
    evaluationBatches,
    checkpointEvery,
  }
}

/** Sequences that first-token attention is read from while training goes on. */
const rowsRead = 4

/** Attention on the first token, for the run's log; nothing for a model without attention. */
async function firstTokenNow(model: Transformer, data: RunData): Promise<Record<string, number>> {
  if (!model.config.layerTypes.includes('attention')) return {}
  const batch = firstRows(data.heldOut[0]!, rowsRead)
  const { mean, corrected } = sinkOf(await readLayers(model, batch), batch)
  return { firstToken: mean, firstTokenCorrected: corrected }
}

/**
 * Trains and measures one run of a study.
 *
 * A run that diverges is a result: its curve up to there, without measures. With a folder, a run that was killed goes on from its
 * newest checkpoint.
 *
 * @throws SluiceError for unknown names and bad settings, and when training is stopped by `signal`
 *
 * @example
 * const settings = studyPreset('smoke')
 * const { loss } = await runStudyJob(settings, studyJobs(settings)[0])
 */
export async function runStudyJob(
  settings: StudySettings,
  job: StudyJob,
  { text, folder, device, onStep, signal }: StudyJobOptions = {},
): Promise<StudyRun> {
  const config = jobConfig(settings, job)
  const isBegun = folder !== undefined && (await newestCheckpoint(checkpointFolder(folder))) !== undefined
  const log: LogEntry[] = []
  let result: TrainResult
  try {
    result = await train({
      config,
      text,
      folder,
      device,
      signal,
      ...(isBegun ? { resume: true } : { overwrite: true }),
      onStep: (progress) => {
        log.push(progress)
        onStep?.(progress)
      },
      onEvaluate: firstTokenNow,
    })
  } catch (error) {
    if (!(error instanceof Divergence)) throw error
    const data = await loadData(trainConfig(config), text)
    return divergedRun(settings, job, config.model, data, folder === undefined ? log : await readLog(folder), error)
  }
  try {
    if (result.step < job.steps) throw new SluiceError('study', `stopped after step ${result.step} of ${job.steps}`)
    return await measuredRun(settings, job, result)
  } finally {
    result.model.dispose()
  }
}
