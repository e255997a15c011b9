/**
 * The training loop: batch, loss, gradient, clip, update; held-out losses, checkpoints and an exact resume.
 *
 * Everything that the next step depends on is in a checkpoint: weights, optimizer moments, the place in both random
 * streams and the step. So a run that was stopped and resumed ends with the bits of one that never stopped.
 */
import { DeviceFault, Divergence, SluiceError } from '../errors.ts'
import type { Transformer } from '../nn/index.ts'
import type { Optimizer } from '../optim/index.ts'
import type { HostTensor } from '../tensor/host.ts'
import type { GeneratorState } from '../tensor/random.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type Checkpoint, type CheckpointFiles, nodeFiles, readCheckpoint, writeCheckpoint } from './checkpoint.ts'
import { resumedConfig, type TrainConfig, trainConfig } from './config.ts'
import { loadData, type RunData, streamSeed } from './data.ts'
import { type Evaluation, evaluate } from './evaluate.ts'
import { buildModel, part, type SavedConfig, savedConfig } from './load.ts'
import { makeOptimizer, makeSchedule } from './optimizer.ts'
import { checkpointFolder, clearFolder, type LogEntry, newestCheckpoint, RunLog, readLog, removeLater } from './run.ts'
import { drawing, type Stepper, stepProgram } from './step.ts'

export interface TrainOptions {
  /** What differs from the defaults; see `TrainConfig`. Not needed when resuming: then only `steps` may change. */
  config?: unknown
  /** The text to learn from, instead of reading `config.data.text`. */
  text?: string
  /** Folder for log and checkpoints; nothing is written unless given. */
  folder?: string
  /** Go on from the newest checkpoint of `folder`, or from this checkpoint file. */
  resume?: boolean | string
  /** Remove the checkpoints that an earlier run left in `folder`; without it such a folder is refused. */
  overwrite?: boolean
  /** Device of the model; the default device unless given. */
  device?: string
  /** Stops after the current step, with a checkpoint. */
  signal?: AbortSignal
  /** Called after every step. */
  onStep?: (progress: Progress) => void
  /** Called after every held-out loss to look into the model, which it leaves as it is; what it finds goes into the log. */
  onEvaluate?: (model: Transformer, data: RunData, step: number) => Promise<Record<string, number>>
  /** The file system that checkpoints are on; Node's unless given. */
  files?: CheckpointFiles
}

export interface Progress extends LogEntry {
  steps: number
  firstStep: number
  tokensPerSecond: number
  /** Time since this session began to train. */
  sessionSeconds: number
}

export interface TrainResult {
  model: Transformer
  config: TrainConfig
  data: RunData
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

interface SavedGenerators {
  data: GeneratorState
  weights: GeneratorState
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
 * const { model, log } = await train({ text: 'to be or not to be '.repeat(200), config: { steps: 100 } })
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const session = await open(options)
  try {
    return await loop(options, session)
  } catch (error) {
    // The failure that stopped the run is the one to tell, whatever becomes of the log.
    await session.log.flush().catch(() => {})
    session.model.dispose()
    throw error instanceof DeviceFault ? stoppedByDevice(options, session, error) : error
  } finally {
    session.optimizer.dispose()
  }
}

/** What to do when the device failed: the run goes on from its newest checkpoint. */
function stoppedByDevice({ folder }: TrainOptions, session: Session, fault: DeviceFault): DeviceFault {
  const { checkpoint, model, step } = session
  const where = checkpoint === undefined ? 'there is no checkpoint yet' : `the last checkpoint is ${checkpoint}`
  const device = model.device === 'cpu' ? '' : ` --device ${model.device}`
  // A checkpoint of another folder is where this run came from.
  const isOwn = folder !== undefined && session.savedStep !== undefined
  const next = isOwn ? `; go on from it with: sluice train --resume ${folder}${device}` : ''
  return new DeviceFault('train', `the run stopped after step ${step}: ${fault.message}; ${where}${next}`)
}

/** What a session works with. */
interface Session {
  readonly config: TrainConfig
  readonly data: RunData
  readonly model: Transformer
  readonly optimizer: Optimizer
  readonly parameters: ReadonlyMap<string, Tensor>
  readonly log: RunLog
  readonly files: CheckpointFiles
  /** Steps done when the session began. */
  readonly first: number
  /** Place in the stream of initial weights and dropout. */
  random: GeneratorState
  step: number
  seconds: number
  tokens: number
  /** The newest checkpoint, to go on from when this session fails. */
  checkpoint: string | undefined
  /** The step of the newest checkpoint in the session's own folder. */
  savedStep: number | undefined
}

/** A checkpoint to go on from. */
interface Origin extends Checkpoint {
  readonly path: string
  readonly config: SavedConfig
  /** Whether it lies in the folder of this session. */
  readonly own: boolean
}

async function findOrigin(options: TrainOptions): Promise<Origin | undefined> {
  const { resume, folder, files = nodeFiles } = options
  if (resume === undefined || resume === false) return undefined
  if (resume === true && folder === undefined) {
    throw new SluiceError('train', 'resume needs the folder of the run, or the path of a checkpoint')
  }
  const place = resume === true ? checkpointFolder(folder!) : resume
  const path = (await newestCheckpoint(place, files)) ?? place
  const checkpoint = await readCheckpoint(path, { files })
  const own = folder !== undefined && (await isInside(path, checkpointFolder(folder)))
  return { ...checkpoint, path, config: savedConfig(path, checkpoint.config), own }
}

async function isInside(path: string, folder: string): Promise<boolean> {
  const { dirname, resolve } = await import('node:path')
  return dirname(resolve(path)) === resolve(folder)
}

async function open(options: TrainOptions): Promise<Session> {
  const { folder, files = nodeFiles } = options
  const origin = await findOrigin(options)
  const before = origin?.config
  const config = before ? resumedConfig(before.train, options.config) : trainConfig(options.config ?? {})
  if (origin && origin.step > config.steps) {
    throw new SluiceError('train', `${origin.path} has done ${origin.step} steps already, more than ${config.steps}`)
  }
  const data = await openData(options, config, before)
  const stream = { random: { seed: streamSeed(config.seed, 0), draws: 0 } }
  const model = drawing(stream, () => buildModel(config, data.vocabularySize, data.contextLength, options.device))
  let optimizer: Optimizer | undefined
  try {
    optimizer = makeOptimizer(config, model)
    if (origin) {
      model.loadStateDict(part(origin.tensors, 'model.'))
      optimizer.loadState(part(origin.tensors, 'optimizer.'))
      const generators = origin.generator as SavedGenerators
      data.generator.state = generators.data
      stream.random = generators.weights
    }
    // From here on the folder is changed: all that can be wrong with the data and the configuration was found.
    if (folder !== undefined && !origin?.own) await clearFolder(folder, options.overwrite ?? false, files)
    const log = new RunLog(folder, origin?.own ? await readLog(folder!, origin.step) : [])
    await log.start()
    return {
      config,
      data,
      model,
      optimizer,
      parameters: model.namedParameters(),
      log,
      files,
      first: origin?.step ?? 0,
      random: stream.random,
      step: origin?.step ?? 0,
      seconds: before?.seconds ?? 0,
      tokens: before?.tokens ?? 0,
      checkpoint: origin?.path,
      savedStep: origin?.own ? origin.step : undefined,
    }
  } catch (error) {
    optimizer?.dispose()
    model.dispose()
    throw error
  }
}

/** The data of the run; for a resumed one, what it learned from before. */
async function openData(
  { text }: TrainOptions,
  config: TrainConfig,
  before: SavedConfig | undefined,
): Promise<RunData> {
  if (before?.text && text === undefined && config.data.text === undefined) {
    throw new SluiceError('train', 'a program gave this run its text: resume it there, or give the same text here')
  }
  const data = await loadData(config, text, before?.tokenizer ?? undefined)
  if (before?.text && data.text && before.text.fingerprint !== data.text.fingerprint) {
    const tokens = data.text.train.length + data.text.heldOut.length
    throw new SluiceError(
      'train',
      `the text has changed since the run began (${before.text.tokens} tokens then, ${tokens} now); resume with the ` +
        'same text, or begin a new run',
    )
  }
  return data
}

async function loop(options: TrainOptions, session: Session): Promise<TrainResult> {
  const steps = stepProgram(session)
  try {
    return await runSteps(options, session, steps)
  } finally {
    steps.dispose()
  }
}

async function runSteps(options: TrainOptions, session: Session, steps: Stepper): Promise<TrainResult> {
  const { config, data, model, optimizer, log, first } = session
  const schedule = makeSchedule(config)
  const [tokensBefore, secondsBefore] = [session.tokens, session.seconds]
  let heldOut: Evaluation | undefined
  while (session.step < config.steps && !options.signal?.aborted) {
    const started = performance.now()
    const learningRate = schedule(session.step)
    const batch = data.next()
    optimizer.lr = learningRate
    const { loss, norm } = await steps.run(batch)
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
      const what = `the loss is ${loss} and the gradient's norm ${norm}`
      throw await divergence(session, session.step + 1, what, 'the weights were not updated')
    }
    const step = ++session.step
    session.tokens += batch.B * batch.T
    session.seconds += (performance.now() - started) / 1000

    const entry: LogEntry = { step, loss, learningRate, norm, seconds: session.seconds }
    heldOut = step % config.evaluateEvery === 0 || step === config.steps ? await measure(session) : undefined
    if (heldOut) {
      Object.assign(entry, { heldOutLoss: heldOut.loss, heldOutAccuracy: heldOut.accuracy })
      if (options.onEvaluate) entry.found = await options.onEvaluate(model, data, step)
    }
    log.add(entry)
    const sessionSeconds = session.seconds - secondsBefore
    const tokensPerSecond = (session.tokens - tokensBefore) / sessionSeconds
    options.onStep?.({ ...entry, steps: config.steps, firstStep: first, tokensPerSecond, sessionSeconds })
    if (step % config.checkpointEvery === 0 || step === config.steps) await save(options, session)
    // Lets timers, signals and the abort of `signal` in between steps.
    await new Promise<void>((resolve) => setTimeout(resolve, 0))
  }
  // A run that was stopped, or has no steps to do, is a run all the same.
  if (session.savedStep !== session.step) await save(options, session)
  const { step, seconds, tokens, checkpoint } = session
  heldOut = step === config.steps ? (heldOut ?? (await measure(session))) : undefined
  await log.flush()
  return {
    model,
    config,
    data,
    log: log.entries,
    step,
    heldOut,
    seconds,
    tokensPerSecond: seconds > 0 ? tokens / seconds : 0,
    checkpoint: options.folder === undefined ? undefined : checkpoint,
  }
}

/** Held-out loss and accuracy. @throws SluiceError when the last update broke the model */
async function measure(session: Session): Promise<Evaluation> {
  const { model, data, step } = session
  const held = await evaluate(model, data.heldOut, { ignoreIndex: data.ignoreIndex })
  if (!Number.isFinite(held.loss)) throw await divergence(session, step, `the held-out loss is ${held.loss}`)
  return held
}

async function divergence({ parameters, checkpoint }: Session, step: number, ...what: string[]): Promise<Divergence> {
  const where = await firstFault(parameters)
  const kept = checkpoint ? `the last checkpoint is ${checkpoint}` : 'there is no checkpoint yet'
  return new Divergence(
    'train',
    step,
    `step ${step}: ${[what[0], where, ...what.slice(1), kept].join('; ')}. ` +
      'Try a lower learning rate, a longer warm-up or a smaller clip',
  )
}

/** The first parameter, in the order of the model, whose value or gradient is not finite. */
async function firstFault(parameters: ReadonlyMap<string, Tensor>): Promise<string> {
  for (const what of ['value', 'gradient'] as const) {
    for (const [name, parameter] of parameters) {
      const t = what === 'value' ? parameter : parameter.grad
      if (t && (await t.data()).some((x) => !Number.isFinite(x)))
        return `the ${what} of ${name} is the first that is not finite`
    }
  }
  return 'every parameter and gradient is finite, so it arose in the loss itself'
}

/** Writes the log and a checkpoint, if there is a folder to write to. */
async function save({ folder }: TrainOptions, session: Session): Promise<void> {
  if (folder === undefined) return
  const { files, step } = session
  await session.log.flush()
  const checkpoint = await snapshot(session)
  for (const [name, { data }] of checkpoint.tensors) {
    // Written, it would take the place of one that can be gone on from.
    if (name.startsWith('model.') && data.some((x) => !Number.isFinite(x))) {
      throw await divergence(session, step, 'the weights are no longer finite', 'no checkpoint was written')
    }
  }
  session.checkpoint = await writeCheckpoint(checkpointFolder(folder), checkpoint, { files })
  session.savedStep = step
  await removeLater(checkpointFolder(folder), step, files)
}

async function snapshot(session: Session): Promise<Checkpoint> {
  const { config, data, model, optimizer, step, seconds, tokens, random } = session
  const tensors = new Map<string, HostTensor>()
  for (const [name, t] of await model.stateDict()) tensors.set(`model.${name}`, t)
  for (const [name, t] of await optimizer.state()) tensors.set(`optimizer.${name}`, t)
  const { text } = data
  const saved: SavedConfig = {
    train: config,
    tokenizer: data.tokenizer?.toJSON() ?? null,
    vocabularySize: data.vocabularySize,
    contextLength: data.contextLength,
    text: text ? { tokens: text.train.length + text.heldOut.length, fingerprint: text.fingerprint } : null,
    seconds,
    tokens,
  }
  const generators: SavedGenerators = { data: data.generator.state, weights: random }
  // Through JSON once, so that keys without a value are not an error.
  return { step, tensors, config: JSON.parse(JSON.stringify(saved)), generator: generators }
}
