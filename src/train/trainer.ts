/** The training loop: steps, held-out losses and checkpoints of one session, until the last step or a signal. */
import { DeviceFault } from '../errors.ts'
import type { Transformer } from '../nn/index.ts'
import { turn } from '../turn.ts'
import type { TrainConfig } from './config.ts'
import type { RunData } from './data.ts'
import type { Evaluation } from './evaluate.ts'
import type { LogEntry } from './run.ts'
import { type ModelLook, openSession, type SessionOptions, type TrainingSession } from './session.ts'

/** What is trained, and who is told. */
export interface TrainOptions extends SessionOptions {
  /** Stops after the current step, with a checkpoint. */
  signal?: AbortSignal
  /** Called after every step. */
  onStep?: (progress: Progress) => void
  /** Called after every held-out loss to look into the model, which it leaves as it is; what it finds goes into the log. */
  onEvaluate?: ModelLook
}

/** Where a run stands after a step, with what was logged of it. */
export interface Progress extends LogEntry {
  /** Steps of the whole run. */
  steps: number
  /** The step at which this session began. */
  firstStep: number
  /** Tokens trained on, a second, in this session. */
  tokensPerSecond: number
  /** Time since this session began to train. */
  sessionSeconds: number
}

/** A run that ended, or was stopped. */
export interface TrainResult {
  /** The caller's to dispose. */
  model: Transformer
  /** The whole configuration. */
  config: TrainConfig
  /** What it learnt from and was tested on. */
  data: RunData
  /** One entry a step, those before a checkpoint included. */
  log: readonly LogEntry[]
  /** Steps done; below `config.steps` when the run was stopped. */
  step: number
  /** Held-out loss and accuracy of `model`; undefined when the run was stopped. */
  heldOut: Evaluation | undefined
  /** Training time over all sessions, evaluation and checkpoints left out. */
  seconds: number
  /** Over all sessions; 0 when there was no step. */
  tokensPerSecond: number
  /** Path of the last checkpoint, when there is a folder. */
  checkpoint: string | undefined
}

/**
 * Trains a model.
 *
 * Runs draw from streams of their own: the default generator is left where it was, and several may train at once.
 *
 * @returns the model with its log; the caller disposes of `model`
 * @throws SluiceError for bad configurations and data, before anything is written
 * @throws Divergence when the loss, the gradient or a weight is no longer finite, naming the step and the first parameter
 * concerned, with the last checkpoint kept
 * @throws DeviceFault when the device is lost or out of memory, naming the checkpoint and the command that goes on from it
 *
 * @example
 * const { model, log } = await train({ text: 'to be or not to be '.repeat(200), config: { steps: 20, contextLength: 32 } })
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const session = await openSession(options)
  try {
    const result = await runSteps(options, session)
    session.release()
    return result
  } catch (error) {
    // The failure that stopped the run is the one to tell, whatever becomes of the log.
    await session.log.flush().catch(() => {})
    session.dispose()
    throw error instanceof DeviceFault ? stoppedByDevice(options, session, error) : error
  }
}

/** What to do when the device failed: the run goes on from its newest checkpoint. */
function stoppedByDevice({ folder }: TrainOptions, session: TrainingSession, fault: DeviceFault): DeviceFault {
  const { checkpoint, model, stepsDone } = session
  const where = checkpoint === undefined ? 'there is no checkpoint yet' : `the last checkpoint is ${checkpoint}`
  const device = model.device === 'cpu' ? '' : ` --device ${model.device}`
  // A checkpoint of another folder is where this run came from.
  const isOwn = folder !== undefined && session.savedStep !== undefined
  const next = isOwn ? `; go on from it with: sluice train --resume ${folder}${device}` : ''
  return new DeviceFault('train', `the run stopped after step ${stepsDone}: ${fault.message}; ${where}${next}`)
}

async function runSteps(options: TrainOptions, session: TrainingSession): Promise<TrainResult> {
  const { config, data, model, log, firstStep } = session
  const { steps, checkpointEvery } = config
  let heldOut: Evaluation | undefined
  while (!session.isComplete && !options.signal?.aborted) {
    const entry = await session.loggedStep(options.onEvaluate)
    const { step, heldOutLoss: loss, heldOutAccuracy: accuracy } = entry
    heldOut = loss === undefined || accuracy === undefined ? undefined : { loss, accuracy }
    const { sessionSeconds, sessionTokensPerSecond: tokensPerSecond } = session
    options.onStep?.({ ...entry, steps, firstStep, tokensPerSecond, sessionSeconds })
    if (step % checkpointEvery === 0 || step === steps) await session.save()
    // Lets timers, signals and the abort of `signal` in between steps.
    await turn()
  }
  const { stepsDone: step } = session
  // A run that was stopped, or has no steps to do, is a run all the same.
  if (session.savedStep !== step) await session.save()
  heldOut = step === steps ? (heldOut ?? (await session.evaluate())) : undefined
  await log.flush()
  const { seconds, tokensPerSecond } = session
  const checkpoint = options.folder === undefined ? undefined : session.checkpoint
  return { model, config, data, log: log.entries, step, heldOut, seconds, tokensPerSecond, checkpoint }
}
