/**
 * The configuration of a training run: plain JSON, every key with a default, unknown keys refused.
 */
import { SluiceError } from '../errors.ts'

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

export interface TrainConfig {
  /** Name of the run, and of its folder under `runs`. */
  name: string
  data: DataConfig
  /** The model's own configuration; `transformerConfig` checks it. Vocabulary and context come from here. */
  model: Record<string, unknown>
  /** Sequences a step, B. */
  batchSize: number
  /** Tokens a sequence, T; a task brings its own. */
  contextLength: number
  steps: number
  /** Of weights, data order and dropout. */
  seed: number
  optimizer: OptimizerConfig
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

const choices: Readonly<Record<string, readonly string[]>> = {
  'data.tokenizer': ['character', 'byte'],
  'optimizer.name': ['adamw', 'muon', 'sgd'],
  'schedule.name': ['cosine', 'linear', 'constant'],
}

/** Kinds of values that a default does not show. */
const kinds: Readonly<Record<string, string>> = { 'data.text': 'string', 'data.task': 'string', clip: 'number or null' }

/** Objects whose keys are somebody else's to check. */
const open = new Set(['model', 'data.taskOptions'])

const counts = new Set(['batchSize', 'contextLength', 'evaluateEvery', 'evaluationBatches', 'checkpointEvery'])
const wholes = new Set(['steps', 'seed', 'schedule.warmup'])

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
  if (!/^[\w][\w.-]*$/.test(config.name)) {
    throw new SluiceError(
      'trainConfig',
      `name '${config.name}' names a folder: expected letters, digits, '.', '_', '-'`,
    )
  }
  if (config.data.text !== undefined && config.data.task !== undefined) {
    throw new SluiceError('trainConfig', 'data has both a text and a task; give one of them')
  }
  return config
}

function merge(path: string, defaults: Record<string, unknown>, given: unknown): Record<string, unknown> {
  if (given === undefined) return structuredClone(defaults)
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    throw new SluiceError(
      'trainConfig',
      `${path || 'the configuration'} must be an object, got ${JSON.stringify(given)}`,
    )
  }
  const result: Record<string, unknown> = structuredClone(defaults)
  for (const [key, value] of Object.entries(given)) {
    const name = path ? `${path}.${key}` : key
    if (!Object.hasOwn(defaults, key)) {
      throw new SluiceError('trainConfig', `unknown key ${name}; the nearest is ${nearest(key, Object.keys(defaults))}`)
    }
    if (value === undefined) continue
    const own = defaults[key]
    const isObject = own !== null && typeof own === 'object'
    if (isObject && !open.has(name)) result[key] = merge(name, own as Record<string, unknown>, value)
    else result[key] = checked(name, own, value)
  }
  return result
}

function checked(name: string, own: unknown, value: unknown): unknown {
  const kind = kinds[name] ?? typeof own
  const fits = kind === 'number or null' ? value === null || typeof value === 'number' : typeof value === kind
  const fail = (expected: string): never => {
    throw new SluiceError('trainConfig', `${name} must be ${expected}, got ${JSON.stringify(value)}`)
  }
  if (!fits || (kind === 'object' && (value === null || Array.isArray(value)))) fail(`a ${kind}`)
  if (choices[name] && !choices[name].includes(value as string)) fail(`one of ${choices[name].join(', ')}`)
  if (typeof value === 'number') {
    if (counts.has(name) && !(Number.isSafeInteger(value) && value >= 1)) fail('a positive integer')
    if (wholes.has(name) && !(Number.isSafeInteger(value) && value >= 0)) fail('an integer from 0')
    if (!Number.isFinite(value) || value < 0) fail('a finite number from 0')
  }
  return value
}

/** The known name with the fewest edits from `name`. */
export function nearest(name: string, known: readonly string[]): string {
  return known.reduce((best, candidate) => (edits(name, candidate) < edits(name, best) ? candidate : best))
}

/** Levenshtein's distance. */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(
        Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1].toLowerCase() === b[j - 1].toLowerCase() ? 0 : 1)),
      )
    }
    row = next
  }
  return row[b.length]
}
