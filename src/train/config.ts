/**
 * The configuration of a training run: plain JSON, every key with a default, unknown keys refused.
 */
import { SluiceError } from '../errors.ts'
import { nearest } from '../nearest.ts'
import {
  type Check,
  count,
  everyOf,
  isRecord,
  nonNegative,
  oneOf,
  orNull,
  positive,
  positiveInteger,
  probability,
  record,
  text,
} from '../nn/validate.ts'
import { showName, showValue } from '../shown.ts'

/** Where the tokens come from: a text file, or a generated task. */
export interface DataConfig {
  /** Path of a UTF-8 text; or the name under which the caller gives the text itself. */
  text?: string
  tokenizer: 'character' | 'byte'
  /** Part of the text, at its end, that is held out. */
  heldOutShare: number
  /** Name of a generated task, instead of a text. */
  task?: string
  /** The task's own options. */
  taskOptions: Record<string, number | boolean>
}

export interface OptimizerConfig {
  name: 'adamw' | 'muon' | 'sgd'
  /** Peak learning rate. */
  learningRate: number
  beta1: number
  beta2: number
  eps: number
  /** On matrices only. */
  weightDecay: number
  momentum: number
}

export interface ScheduleConfig {
  name: 'cosine' | 'linear' | 'constant'
  /** Steps of linear warm-up from 0. */
  warmup: number
  /** Learning rate at the end, as a share of the peak. */
  floor: number
}

/** A training run: plain JSON, every key with a default; see `trainConfig`. */
export interface TrainConfig {
  /** Name of the run, and of its folder under `runs`. */
  name: string
  /** Where the tokens come from. */
  data: DataConfig
  /** The model's own configuration; `transformerConfig` checks it. Vocabulary and context come from here. */
  model: Record<string, unknown>
  /** Sequences a step, B. */
  batchSize: number
  /** Tokens a sequence, T; a task brings its own. */
  contextLength: number
  /** Training steps. */
  steps: number
  /** Of weights, data order and dropout. */
  seed: number
  /** What moves the weights. */
  optimizer: OptimizerConfig
  /** The learning rate over the steps. */
  schedule: ScheduleConfig
  /** Largest global norm of the gradient; null for none. */
  clip: number | null
  /** Steps between held-out losses; one comes at the end in any case. */
  evaluateEvery: number
  /** Batches a held-out loss is the mean of. */
  evaluationBatches: number
  /** Steps between checkpoints; one comes at the end in any case. */
  checkpointEvery: number
}

/** The configuration that `trainConfig({})` gives. */
export const defaultTrainConfig: TrainConfig = {
  name: 'run',
  data: { text: undefined, tokenizer: 'character', heldOutShare: 0.1, task: undefined, taskOptions: {} },
  model: {},
  batchSize: 16,
  contextLength: 64,
  steps: 1000,
  seed: 1,
  optimizer: {
    name: 'adamw',
    learningRate: 3e-3,
    beta1: 0.9,
    beta2: 0.95,
    eps: 1e-8,
    weightDecay: 0.1,
    momentum: 0.95,
  },
  schedule: { name: 'cosine', warmup: 50, floor: 0.1 },
  clip: 1,
  evaluateEvery: 250,
  evaluationBatches: 20,
  checkpointEvery: 500,
}

/** The greatest seed from which the streams of weights, data and held-out tasks can be told apart. */
const greatestSeed = 2 ** 51 - 1

const seed: Check = (value) =>
  count(value) === null && (value as number) <= greatestSeed ? null : 'an integer from 0 to 2^51 - 1'
const share: Check = (value) => (positive(value) === null && (value as number) < 1 ? null : 'a number between 0 and 1')
const fraction: Check = (value) =>
  nonNegative(value) === null && (value as number) <= 1 ? null : 'a number from 0 to 1'
const numberOrSwitch: Check = (value) =>
  typeof value === 'number' || typeof value === 'boolean' ? null : 'a number, or true or false'
const runName: Check = (value) =>
  typeof value === 'string' && /^\w[\w.-]*$/.test(value)
    ? null
    : "a name for a folder, of letters, digits, '.', '_', '-' and not beginning with a '.' or '-'"

/** What each value must be; `model` and `data.taskOptions` are objects whose keys are somebody else's to check. */
const checks: Readonly<Partial<Record<string, Check>>> = {
  name: runName,
  'data.text': text,
  'data.tokenizer': oneOf('character', 'byte'),
  'data.heldOutShare': share,
  'data.task': text,
  'data.taskOptions': everyOf(numberOrSwitch),
  model: record,
  batchSize: positiveInteger,
  contextLength: positiveInteger,
  steps: count,
  seed,
  'optimizer.name': oneOf('adamw', 'muon', 'sgd'),
  'optimizer.learningRate': positive,
  'optimizer.beta1': probability,
  'optimizer.beta2': probability,
  'optimizer.eps': nonNegative,
  'optimizer.weightDecay': nonNegative,
  'optimizer.momentum': probability,
  'schedule.name': oneOf('cosine', 'linear', 'constant'),
  'schedule.warmup': count,
  'schedule.floor': fraction,
  clip: orNull(positive),
  evaluateEvery: positiveInteger,
  evaluationBatches: positiveInteger,
  checkpointEvery: positiveInteger,
}

/** Keys of the model that follow from the data. */
const fromData = { vocabularySize: 'the data', contextLength: 'contextLength, beside model' }

/**
 * A whole configuration from the parts that differ from the defaults.
 *
 * @param given a plain object, as JSON gives it
 * @throws SluiceError naming the key that is unknown (with the nearest known one), of another type, or out of range
 *
 * @example
 * trainConfig({ steps: 200, data: { text: 'book.txt' } }).batchSize // 16
 */
export function trainConfig(given: unknown): TrainConfig {
  const config = merge('', defaultTrainConfig as unknown as Record<string, unknown>, given) as unknown as TrainConfig
  for (const [key, place] of Object.entries(fromData)) {
    if (config.model[key] === undefined) continue
    throw new SluiceError('trainConfig', `model.${key} cannot be set: it comes from ${place}`)
  }
  if (config.data.text !== undefined && config.data.task !== undefined) {
    throw new SluiceError('trainConfig', 'data has both a text and a task; give one of them')
  }
  return config
}

/**
 * The configuration of a run that goes on: all as it was, except how far it goes.
 *
 * @param given what the caller says again, or nothing
 * @throws SluiceError naming a key that differs from what the run began with
 */
export function resumedConfig(saved: TrainConfig, given: unknown = {}): TrainConfig {
  trainConfig(given)
  const { steps = saved.steps, ...rest } = given as Partial<TrainConfig>
  const key = changedKey('', { ...saved }, rest)
  if (key !== undefined) {
    throw new SluiceError(
      'trainConfig',
      `a resumed run keeps its configuration, but ${key} differs; leave it out, or begin a new run (only steps may change)`,
    )
  }
  return trainConfig({ ...saved, steps })
}

/** The first key of `given` whose value is not the saved one. */
function changedKey(
  path: string,
  saved: Readonly<Record<string, unknown>>,
  given: Readonly<Record<string, unknown>>,
): string | undefined {
  for (const [key, value] of Object.entries(given)) {
    const name = path + key
    const old = saved[key]
    if (value === undefined) continue
    if (isRecord(value) && isRecord(old)) {
      const inner = changedKey(`${name}.`, old, value)
      if (inner !== undefined) return inner
    } else if (JSON.stringify(value) !== JSON.stringify(old)) {
      return name
    }
  }
  return undefined
}

function merge(path: string, defaults: Record<string, unknown>, given: unknown): Record<string, unknown> {
  const result: Record<string, unknown> = structuredClone(defaults)
  if (given === undefined) return result
  if (!isRecord(given)) {
    throw new SluiceError('trainConfig', `${path || 'the configuration'} must be an object, got ${showValue(given)}`)
  }
  for (const [key, value] of Object.entries(given)) {
    const name = path ? `${path}.${key}` : key
    if (!Object.hasOwn(defaults, key)) {
      throw new SluiceError(
        'trainConfig',
        `unknown key ${showName(name)}; the nearest is ${nearest(key, Object.keys(defaults))}`,
      )
    }
    if (value === undefined) continue
    const check = checks[name]
    const expected = check?.(value) ?? null
    if (expected !== null) {
      // JSON has no NaN.
      const shown = typeof value === 'number' ? String(value) : showValue(value)
      throw new SluiceError('trainConfig', `${name} must be ${expected}, got ${shown}`)
    }
    result[key] = check ? value : merge(name, defaults[key] as Record<string, unknown>, value)
  }
  return result
}
