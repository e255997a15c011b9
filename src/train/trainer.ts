/**
 * The training loop: batch, loss, gradient, clip, update; held-out losses, checkpoints and an exact resume.
 *
 * Everything that the next step depends on is in a checkpoint: weights, optimizer moments, the place in both random
 * streams and the step. So a run that was stopped and resumed ends with the bits of one that never stopped.
 */
import { SluiceError } from '../errors.ts'
import { Transformer, transformerConfig } from '../nn/index.ts'
import { clipGradNorm, type Optimizer } from '../optim/index.ts'
import { tensor } from '../tensor/create.ts'
import type { HostTensor } from '../tensor/host.ts'
import { defaultGenerator, type GeneratorState, manualSeed } from '../tensor/random.ts'
import { scope, type Tensor } from '../tensor/tensor.ts'
import { type Checkpoint, readCheckpoint, writeCheckpoint } from './checkpoint.ts'
import { type TrainConfig, trainConfig } from './config.ts'
import { loadData, type RunData, streamSeed } from './data.ts'
import { evaluate } from './evaluate.ts'
import { makeOptimizer, makeSchedule } from './optimizer.ts'
import { checkpointFolder, clearFolder, type LogEntry, RunLog, readLog } from './run.ts'
import type { TokenizerJSON } from './tokenizer.ts'

export interface TrainOptions {
  /** What differs from the defaults; see `TrainConfig`. Not needed when resuming. */
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
  /** Training time over all sessions, evaluation and checkpoints left out. */
  seconds: number
  tokensPerSecond: number
  /** Path of the last checkpoint, when there is a folder. */
  checkpoint: string | undefined
}

/** What a checkpoint's `config` holds. */
export interface SavedConfig {
  train: TrainConfig
  tokenizer: TokenizerJSON | null
  vocabularySize: number
  contextLength: number
  seconds: number
}

interface SavedGenerators {
  data: GeneratorState
  weights: GeneratorState
}

/** A model as a checkpoint or a configuration describes it. */
export function buildModel(
  config: TrainConfig,
  vocabularySize: number,
  contextLength: number,
  device?: string,
): Transformer {
  return new Transformer(transformerConfig({ ...config.model, vocabularySize, contextLength }), { device })
}

/**
 * Trains a model.
 *
 * @returns the model with its log; the caller disposes of `model`
 * @throws SluiceError for bad configurations and data; and when the loss or the gradient is no longer finite, naming the
 * step and the first parameter concerned, with the last checkpoint kept
 *
 * @example
 * const { model, log } = await train({ text: 'to be or not to be '.repeat(200), config: { steps: 100 } })
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const saved = options.resume ? await readCheckpoint(resumePath(options)) : undefined
  const session = await open(options, saved)
  try {
    return await loop(options, session)
  } finally {
    session.optimizer.dispose()
  }
}

function resumePath({ resume, folder }: TrainOptions): string {
  if (typeof resume === 'string') return resume
  if (folder === undefined)
    throw new SluiceError('train', 'resume needs the folder of the run, or the path of a checkpoint')
  return checkpointFolder(folder)
}

/** What a session works with. */
interface Session {
  config: TrainConfig
  data: RunData
  model: Transformer
  optimizer: Optimizer
  named: Map<string, Tensor>
  log: LogEntry[]
  files: RunLog | undefined
  first: number
  seconds: number
}

async function open(options: TrainOptions, saved: Checkpoint | undefined): Promise<Session> {
  const before = saved?.config as SavedConfig | undefined
  const config = trainConfig(before ? { ...before.train, ...stepsOf(options.config) } : (options.config ?? {}))
  if (!saved && options.folder !== undefined) await clearFolder(options.folder, options.overwrite ?? false)
  const data = await loadData(config, options.text, before?.tokenizer ?? undefined)
  manualSeed(streamSeed(config.seed, 0))
  const model = buildModel(config, data.vocabularySize, data.contextLength, options.device)
  const optimizer = makeOptimizer(config, model)
  if (saved) {
    await model.loadStateDict(part(saved.tensors, 'model.'))
    optimizer.loadState(part(saved.tensors, 'optimizer.'))
    const generators = saved.generator as SavedGenerators
    data.generator.state = generators.data
    defaultGenerator.state = generators.weights
  }
  const first = saved?.step ?? 0
  const log = saved && options.folder !== undefined ? await readLog(options.folder, first) : []
  const files = options.folder === undefined ? undefined : new RunLog(options.folder)
  await files?.start(log)
  return {
    config,
    data,
    model,
    optimizer,
    named: model.namedParameters(),
    log,
    files,
    first,
    seconds: before?.seconds ?? 0,
  }
}

/** A resumed run keeps its configuration; only how far it goes may change. */
function stepsOf(given: unknown): { steps?: number } {
  const steps = (given as { steps?: number } | undefined)?.steps
  return steps === undefined ? {} : { steps }
}

function part(tensors: ReadonlyMap<string, HostTensor>, prefix: string): Map<string, HostTensor> {
  return new Map([...tensors].flatMap(([name, t]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), t]] : [])))
}

async function loop(options: TrainOptions, session: Session): Promise<TrainResult> {
  const { config, data, model, log, files, first } = session
  const schedule = makeSchedule(config)
  let { seconds } = session
  let checkpoint: string | undefined
  let step = first
  let tokens = 0
  let sessionSeconds = 0

  const save = async (): Promise<void> => {
    if (options.folder === undefined) return
    await files?.flush()
    checkpoint = await writeCheckpoint(checkpointFolder(options.folder), await snapshot(session, step, seconds))
  }
  const stopped = () => options.signal?.aborted ?? false
  // A run of no steps is still a run: it is evaluated and saved.
  if (first >= config.steps) await save()
  while (step < config.steps && !stopped()) {
    const started = performance.now()
    const learningRate = schedule(step)
    const batch = data.next()
    const { loss, norm } = await forwardBackward(session, batch, step, checkpoint)
    session.optimizer.lr = learningRate
    session.optimizer.step()
    session.optimizer.zeroGrad()
    step++
    tokens += batch.B * batch.T
    const took = (performance.now() - started) / 1000
    seconds += took
    sessionSeconds += took

    const entry: LogEntry = { step, loss, learningRate, norm, seconds }
    if (step % config.evaluateEvery === 0 || step === config.steps) {
      const held = await evaluate(model, data.heldOut, { ignoreIndex: data.ignoreIndex })
      entry.heldOutLoss = held.loss
      entry.heldOutAccuracy = held.accuracy
    }
    log.push(entry)
    files?.add(entry)
    options.onStep?.({
      ...entry,
      steps: config.steps,
      firstStep: first,
      tokensPerSecond: tokens / sessionSeconds,
      sessionSeconds,
    })
    if (step % config.checkpointEvery === 0 || step === config.steps || stopped()) await save()
    // Lets timers, signals and the abort of `signal` in between steps.
    await new Promise<void>((resolve) => setTimeout(resolve, 0))
  }
  await files?.flush()
  return {
    model,
    config,
    data,
    log,
    step,
    seconds,
    tokensPerSecond: sessionSeconds > 0 ? tokens / sessionSeconds : 0,
    checkpoint,
  }
}

async function forwardBackward(
  { config, data, model, named }: Session,
  { inputs, targets, B, T }: { inputs: Int32Array; targets: Int32Array; B: number; T: number },
  step: number,
  checkpoint: string | undefined,
): Promise<{ loss: number; norm: number }> {
  const parameters = [...named.values()]
  const [lossTensor, normTensor] = scope(() => {
    const shape = { shape: [B, T], device: model.device }
    const loss = model.loss(tensor(inputs, shape), tensor(targets, shape), {
      ignoreIndex: data.ignoreIndex,
      training: true,
    })
    loss.backward()
    return [loss.detach(), clipGradNorm(parameters, config.clip ?? Number.POSITIVE_INFINITY)] as const
  })
  const [loss, norm] = [await lossTensor.item(), await normTensor.item()]
  lossTensor.dispose()
  normTensor.dispose()
  if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
    const where = await firstFault(named)
    const kept = checkpoint ? `the last checkpoint is ${checkpoint}` : 'there is no checkpoint of this session yet'
    throw new SluiceError(
      'train',
      `step ${step + 1}: the loss is ${loss} and the gradient's norm ${norm}; ${where}; the weights were not updated; ${kept}. ` +
        'Try a lower learning rate, a longer warm-up or a smaller clip',
    )
  }
  return { loss, norm }
}

/** The first parameter, in the order of the model, whose value or gradient is not finite. */
async function firstFault(named: ReadonlyMap<string, Tensor>): Promise<string> {
  for (const what of ['value', 'gradient'] as const) {
    for (const [name, parameter] of named) {
      const t = what === 'value' ? parameter : parameter.grad
      if (t && (await t.data()).some((x) => !Number.isFinite(x)))
        return `the ${what} of ${name} is the first that is not finite`
    }
  }
  return 'every parameter and gradient is finite, so it arose in the loss itself'
}

async function snapshot(session: Session, step: number, seconds: number): Promise<Checkpoint> {
  const { config, data, model, optimizer } = session
  const tensors = new Map<string, HostTensor>()
  for (const [name, t] of await model.stateDict()) tensors.set(`model.${name}`, t)
  for (const [name, t] of await optimizer.state()) tensors.set(`optimizer.${name}`, t)
  const saved: SavedConfig = {
    train: config,
    tokenizer: (data.tokenizer?.toJSON() as TokenizerJSON | undefined) ?? null,
    vocabularySize: data.vocabularySize,
    contextLength: data.contextLength,
    seconds,
  }
  const generators: SavedGenerators = { data: data.generator.state, weights: defaultGenerator.state }
  // Through JSON once, so that keys without a value are not an error.
  return { step, tensors, config: JSON.parse(JSON.stringify(saved)), generator: generators }
}
