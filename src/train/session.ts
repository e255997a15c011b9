/**
 * A run as it is trained: one step, a held-out loss or a checkpoint at a time.
 *
 * Everything that the next step depends on is in a checkpoint: weights, optimizer moments, the place in both random
 * streams and the step. So a run that was stopped and resumed ends with the bits of one that never stopped.
 */
import { Divergence, SluiceError } from '../errors.ts'
import type { Transformer } from '../nn/index.ts'
import { count, fieldsOf } from '../nn/validate.ts'
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

/** What is trained, where it is kept, and from where it goes on. */
export interface SessionOptions {
  /** What differs from the defaults; see `TrainConfig`. Not needed when resuming: then only `steps` may change. */
  config?: unknown
  /** The text to learn from, instead of reading `config.data.text`. */
  text?: string
  /** Folder for log and checkpoints; nothing is written unless given. */
  folder?: string
  /** Go on from the newest checkpoint of `folder`, or from this checkpoint file or folder of checkpoints. */
  resume?: boolean | string
  /** Remove the checkpoints that an earlier run left in `folder`; without it such a folder is refused. */
  overwrite?: boolean
  /** Device of the model; the default device unless given. */
  device?: string
  /** The file system that checkpoints are on; Node's unless given. */
  files?: CheckpointFiles
}

/** Looks into a model while it is trained. */
export type ModelLook = (model: Transformer, data: RunData, step: number) => Promise<Record<string, number>>

interface SavedGenerators {
  data: GeneratorState
  weights: GeneratorState
}

const isState = fieldsOf({ seed: count, draws: count })
const areGenerators = fieldsOf({ data: isState, weights: isState })

/** A checkpoint to go on from. */
interface Origin extends Checkpoint {
  readonly path: string
  readonly config: SavedConfig
  /** Whether it lies in the folder of this session. */
  readonly own: boolean
}

async function findOrigin(options: SessionOptions): Promise<Origin | undefined> {
  const { resume, folder, files = nodeFiles } = options
  if (resume === undefined || resume === false) return undefined
  if (resume === true && folder === undefined) {
    throw new SluiceError('train', 'resume needs the folder of the run, or the path of a checkpoint')
  }
  const place = resume === true ? checkpointFolder(folder!) : resume
  const newest = await newestCheckpoint(place, files)
  if (newest === undefined && resume === true) throw await nothingSaved(folder!, files)
  const path = newest ?? place
  const checkpoint = await readCheckpoint(path, { files })
  const own = folder !== undefined && (await isInside(path, checkpointFolder(folder)))
  const config = savedConfig(path, checkpoint)
  const expected = areGenerators(checkpoint.generator)
  if (expected === null) return { ...checkpoint, path, config, own }
  throw new SluiceError('train', `${path} cannot be gone on with: its generator is not ${expected}`)
}

/** Why there is nothing to go on from in the folder of a run. */
async function nothingSaved(folder: string, files: CheckpointFiles): Promise<SluiceError> {
  const isThere = await files.list(folder).then(
    () => true,
    () => false,
  )
  return new SluiceError(
    'train',
    isThere
      ? `${folder} holds no checkpoint: a run that was stopped before its first one is begun again, not resumed`
      : `there is no folder ${folder}, so no run to resume`,
  )
}

async function isInside(path: string, folder: string): Promise<boolean> {
  const { dirname, resolve } = await import('node:path')
  return dirname(resolve(path)) === resolve(folder)
}

/** What a session is made of. */
interface Parts {
  readonly config: TrainConfig
  readonly data: RunData
  readonly model: Transformer
  readonly optimizer: Optimizer
  readonly log: RunLog
  readonly folder: string | undefined
  readonly files: CheckpointFiles
  readonly random: GeneratorState
  readonly origin: Origin | undefined
}

/**
 * Readies a run, new or resumed.
 *
 * Runs draw from streams of their own: the default generator is left where it was, and several may be trained in turn.
 *
 * @throws SluiceError for bad configurations and data, before anything is written
 *
 * @example
 * const session = await openSession({ text: 'to be or not to be '.repeat(200), config: { steps: 100, contextLength: 32 } })
 * const { loss } = await session.step()
 * session.dispose()
 */
export async function openSession(options: SessionOptions): Promise<TrainingSession> {
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
    return new TrainingSession({ config, data, model, optimizer, log, folder, files, random: stream.random, origin })
  } catch (error) {
    optimizer?.dispose()
    model.dispose()
    throw error
  }
}

/** The data of the run; for a resumed one, what it learned from before. */
async function openData(
  { text }: SessionOptions,
  config: TrainConfig,
  before: SavedConfig | undefined,
): Promise<RunData> {
  if (before?.text && text === undefined && config.data.text === undefined) {
    throw new SluiceError('train', 'a program gave this run its text: resume it there, or give the same text here')
  }
  const data = await loadData(config, text, before?.tokenizer ?? undefined)
  if (before && (data.vocabularySize !== before.vocabularySize || data.contextLength !== before.contextLength)) {
    const shown = [before, data].map(
      ({ vocabularySize, contextLength }) => `${vocabularySize} tokens in ${contextLength}`,
    )
    throw new SluiceError('train', `the run learned from ${shown[0]}, its configuration gives it ${shown[1]}`)
  }
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

/** A run that is being trained; `openSession` makes it. */
export class TrainingSession {
  /** The whole configuration. */
  readonly config: TrainConfig
  /** What it learns from and is tested on. */
  readonly data: RunData
  /** The model in training. */
  readonly model: Transformer
  /** What moves its weights. */
  readonly optimizer: Optimizer
  /** The model's, by name; of any shapes. */
  readonly parameters: ReadonlyMap<string, Tensor>
  /** One entry a step. */
  readonly log: RunLog
  /** Steps done when the session began. */
  readonly firstStep: number
  /** Place in the stream of initial weights and dropout. */
  random: GeneratorState
  /** The newest checkpoint, to go on from when this session fails. */
  checkpoint: string | undefined
  /** The step of the newest checkpoint in the session's own folder. */
  savedStep: number | undefined
  readonly #folder: string | undefined
  readonly #files: CheckpointFiles
  readonly #schedule: (step: number) => number
  readonly #before: { readonly seconds: number; readonly tokens: number }
  #program: Stepper | undefined
  #stepsDone: number
  #seconds: number
  #tokens: number

  constructor({ config, data, model, optimizer, log, folder, files, random, origin }: Parts) {
    const { seconds = 0, tokens = 0 } = origin?.config ?? {}
    this.config = config
    this.data = data
    this.model = model
    this.optimizer = optimizer
    this.parameters = model.namedParameters()
    this.log = log
    this.firstStep = origin?.step ?? 0
    this.random = random
    this.checkpoint = origin?.path
    this.savedStep = origin?.own ? origin.step : undefined
    this.#folder = folder
    this.#files = files
    this.#schedule = makeSchedule(config)
    this.#before = { seconds, tokens }
    this.#stepsDone = this.firstStep
    this.#seconds = seconds
    this.#tokens = tokens
  }

  /** Steps done, over all sessions. */
  get stepsDone(): number {
    return this.#stepsDone
  }

  /** Whether all steps of the configuration are done. */
  get isComplete(): boolean {
    return this.#stepsDone >= this.config.steps
  }

  /** Time spent training, over all sessions; evaluation and checkpoints left out. */
  get seconds(): number {
    return this.#seconds
  }

  /** Over all sessions; 0 when there was no step. */
  get tokensPerSecond(): number {
    return this.#seconds > 0 ? this.#tokens / this.#seconds : 0
  }

  /** Since this session began. */
  get sessionSeconds(): number {
    return this.#seconds - this.#before.seconds
  }

  /** Since this session began; 0 when there was no step. */
  get sessionTokensPerSecond(): number {
    return this.sessionSeconds > 0 ? (this.#tokens - this.#before.tokens) / this.sessionSeconds : 0
  }

  /**
   * `step`, with the held-out loss where the configuration asks for one and after the last step, written into the log.
   *
   * @param look looks into the model after a held-out loss, and leaves it as it is; what it finds goes into the log
   * @throws Divergence as `step` and `evaluate` do
   */
  async loggedStep(look?: ModelLook): Promise<LogEntry> {
    const entry = await this.step()
    if (entry.step % this.config.evaluateEvery === 0 || this.isComplete) {
      const { loss, accuracy } = await this.evaluate()
      Object.assign(entry, { heldOutLoss: loss, heldOutAccuracy: accuracy })
      if (look) entry.found = await look(this.model, this.data, entry.step)
    }
    this.log.add(entry)
    return entry
  }

  /**
   * Trains one step. What it says of itself is the caller's to add to the log.
   *
   * @throws Divergence when loss or gradient are not finite; the weights are as they were
   */
  async step(): Promise<LogEntry> {
    const started = performance.now()
    const learningRate = this.#schedule(this.#stepsDone)
    const batch = this.data.next()
    this.optimizer.lr = learningRate
    this.#program ??= stepProgram(this)
    const { loss, norm } = await this.#program.run(batch)
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
      const what = `the loss is ${loss} and the gradient's norm ${norm}`
      throw await this.#divergence(this.#stepsDone + 1, what, 'the weights were not updated')
    }
    this.#stepsDone++
    this.#tokens += batch.B * batch.T
    this.#seconds += (performance.now() - started) / 1000
    return { step: this.#stepsDone, loss, learningRate, norm, seconds: this.#seconds }
  }

  /** Held-out loss and accuracy. @throws Divergence when the last update broke the model */
  async evaluate(): Promise<Evaluation> {
    const held = await evaluate(this.model, this.data.heldOut, { ignoreIndex: this.data.ignoreIndex })
    if (Number.isFinite(held.loss)) return held
    throw await this.#divergence(this.#stepsDone, `the held-out loss is ${held.loss}`)
  }

  /**
   * Writes the log and a checkpoint, if there is a folder to write to.
   *
   * @throws Divergence when the weights are not finite; no checkpoint is written then
   */
  async save(): Promise<void> {
    if (this.#folder === undefined) return
    await this.log.flush()
    const folder = checkpointFolder(this.#folder)
    this.checkpoint = await writeCheckpoint(folder, await this.snapshot(), { files: this.#files })
    this.savedStep = this.#stepsDone
    await removeLater(folder, this.#stepsDone, this.#files)
  }

  /** The run as it is, for `writeCheckpoint`. @throws Divergence when the weights are not finite */
  async snapshot(): Promise<Checkpoint> {
    const { config, data } = this
    const tensors = new Map<string, HostTensor>()
    for (const [name, t] of await this.model.stateDict()) {
      // Written, it would take the place of one that can be gone on from.
      if (t.data.some((x) => !Number.isFinite(x))) {
        const what = 'the weights are no longer finite'
        throw await this.#divergence(this.#stepsDone, what, 'no checkpoint was written')
      }
      tensors.set(`model.${name}`, t)
    }
    for (const [name, t] of await this.optimizer.state()) tensors.set(`optimizer.${name}`, t)
    const { text } = data
    const saved: SavedConfig = {
      train: config,
      tokenizer: data.tokenizer?.toJSON() ?? null,
      vocabularySize: data.vocabularySize,
      contextLength: data.contextLength,
      text: text ? { tokens: text.train.length + text.heldOut.length, fingerprint: text.fingerprint } : null,
      seconds: this.#seconds,
      tokens: this.#tokens,
    }
    const generator: SavedGenerators = { data: data.generator.state, weights: this.random }
    // Through JSON once, so that keys without a value are not an error.
    return { step: this.#stepsDone, tensors, config: JSON.parse(JSON.stringify(saved)), generator }
  }

  /** Frees all but the model, which is the caller's from then on. */
  release(): Transformer {
    this.#program?.dispose()
    this.#program = undefined
    this.optimizer.dispose()
    return this.model
  }

  /** Frees all that the session holds. */
  dispose(): void {
    this.release().dispose()
  }

  async #divergence(step: number, ...what: string[]): Promise<Divergence> {
    const where = await firstFault(this.parameters)
    const kept = this.checkpoint ? `the last checkpoint is ${this.checkpoint}` : 'there is no checkpoint yet'
    return new Divergence(
      'train',
      step,
      `step ${step}: ${[what[0], where, ...what.slice(1), kept].join('; ')}. ` +
        'Try a lower learning rate, a longer warm-up or a smaller clip',
    )
  }
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
