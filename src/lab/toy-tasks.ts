/**
 * Toy tasks that tell token mixers apart: each is trained on fresh sequences and tested where the task is hard, which for
 * some is on sequences longer than any it was trained on.
 */
import { SluiceError } from '../errors.ts'
import { noSuch } from '../nearest.ts'
import { Generator } from '../tensor/random.ts'
import { streamSeed } from '../train/data.ts'
import { evaluate } from '../train/evaluate.ts'
import { ignoredTarget, type TaskBatch, type TaskOptions, taskNamed } from '../train/tasks.ts'
import { train } from '../train/trainer.ts'
import { mixerNamed } from './mixers.ts'

/** One row of the table: what is trained, for how long, and what is counted. */
export interface ToyTask {
  readonly name: string
  readonly title: string
  /** The generated task and its options in training. */
  readonly task: string
  readonly training: TaskOptions
  /** Options that differ in the test. */
  readonly test: TaskOptions
  /** Position from which answers count in the test: longer than in training, where that is the question. */
  readonly countFrom: number
  /** Batches of the test. */
  readonly testBatches: number
  /** Accuracy of a guess: scores are (accuracy - chance) / (1 - chance); 0 leaves the accuracy as it is. */
  readonly chance: number
  readonly steps: number
  /** Held-out accuracy at which training may stop; every `evaluateEvery` steps are looked at. */
  readonly enough: number
  readonly model: Readonly<Record<string, unknown>>
  readonly config: Readonly<Record<string, unknown>>
  /** Those that are compared unless asked otherwise. */
  readonly mixers: readonly string[]
  readonly source: string
}

const small = { width: 64, layers: 2, heads: 4, gate: 'headwise', feedForwardWidth: 64 }

/**
 * What is recalled lies under keys of this width. At a rate of 3e-3, or with keys of 16, Gated DeltaNet was at 0.92 of mqar after 2000 steps; at
 * this rate its loss was 0.02 after 1000. One head of attention, as in Zoology: four with a gate left one seed of three at 0.26.
 */
const recalling = { ...small, heads: 1, delta: { keyHeads: 2, keyWidth: 64, valueWidth: 32 } }
const recallOptimizer = { learningRate: 2e-3 }

/**
 * A head's memory lasts as long as its decay allows, and that is drawn. Where no head of the first layer drew one that lasts for 64 tokens,
 * a decay of some 0.02 a token, Gated DeltaNet stayed at 0.26: from one seed of three with two value heads a layer, from another with
 * four. With eight each of the three has one.
 */
const recallingAmongPairs = { ...recalling, delta: { ...recalling.delta, valueHeads: 8, valueWidth: 16 } }

/** Four small memories a layer: one of them that turns its sign is enough. */
const tracking = { ...small, position: 'none' }
const trackingOptimizer = { learningRate: 4e-3 }

const usual = ['attention', 'delta-net', 'gated-delta-net', 'hybrid']
/** Where the sign of the memory's eigenvalues decides. */
const withNegative = ['attention', 'delta-net', 'delta-net-negative', 'gated-delta-net', 'hybrid']

/** Every row, in the order of the table. */
export const toyTasks: readonly ToyTask[] = [
  {
    name: 'mqar',
    title: 'multi-query recall (V 256, T 64, 4 pairs)',
    task: 'multiQueryRecall',
    training: { vocabularySize: 256, sequenceLength: 64, pairs: 4 },
    test: {},
    countFrom: 0,
    testBatches: 16,
    chance: 0,
    steps: 2000,
    enough: 0.995,
    model: recallingAmongPairs,
    config: { batchSize: 64, optimizer: recallOptimizer },
    mixers: usual,
    source: 'Zoology, arXiv 2312.04927',
  },
  {
    name: 'copy',
    title: 'copying (V 16, T 64, 16 letters)',
    task: 'copy',
    training: { vocabularySize: 16, sequenceLength: 64, copyLength: 16 },
    test: {},
    countFrom: 0,
    testBatches: 16,
    chance: 0,
    steps: 1500,
    enough: 0.995,
    model: recalling,
    config: { batchSize: 32, optimizer: recallOptimizer },
    mixers: usual,
    source: 'MAD, arXiv 2403.17844',
  },
  {
    name: 'selective-copy',
    title: 'selective copying (V 16, T 64, 16 letters)',
    task: 'selectiveCopy',
    training: { vocabularySize: 16, sequenceLength: 64, copyLength: 16 },
    test: {},
    countFrom: 0,
    testBatches: 16,
    chance: 0,
    steps: 2000,
    enough: 0.995,
    model: recalling,
    config: { batchSize: 32, optimizer: recallOptimizer },
    mixers: usual,
    source: 'MAD, arXiv 2403.17844',
  },
  {
    name: 'parity',
    title: 'parity (trained to length 40, tested at 41 to 256)',
    task: 'parity',
    training: { minLength: 3, maxLength: 40 },
    test: { minLength: 41, maxLength: 256, batchSize: 64 },
    countFrom: 40,
    testBatches: 8,
    chance: 0.5,
    steps: 2000,
    enough: 2,
    model: tracking,
    config: { batchSize: 32, optimizer: trackingOptimizer },
    mixers: withNegative,
    source: 'arXiv 2411.12537',
  },
  {
    name: 'modular',
    title: 'arithmetic modulo 5 (trained to length 40, tested at 41 to 256)',
    task: 'modularArithmetic',
    training: { modulus: 5, minLength: 3, maxLength: 40 },
    test: { minLength: 41, maxLength: 256, batchSize: 64 },
    countFrom: 40,
    testBatches: 8,
    chance: 0.2,
    steps: 1000,
    enough: 2,
    model: tracking,
    config: { batchSize: 32, optimizer: trackingOptimizer },
    mixers: withNegative,
    source: 'arXiv 2411.12537',
  },
]

/** @throws SluiceError naming the nearest one */
export function toyTaskNamed(name: string): ToyTask {
  const found = toyTasks.find((task) => task.name === name)
  if (found) return found
  const known = toyTasks.map((task) => task.name)
  throw new SluiceError('toyTask', noSuch('toy task', name, known))
}

export interface ToyResult {
  readonly task: string
  readonly mixer: string
  readonly seed: number
  /** Share of right answers in the test, 0 for guessing where the task has a chance. */
  readonly score: number
  /** The same on held-out sequences of the kind that it was trained on. */
  readonly trained: number
  readonly steps: number
  readonly seconds: number
  readonly parameters: number
}

export interface ToyOptions {
  /** Fewer steps than the recipe's, for trying. */
  readonly steps?: number
  readonly device?: string
  readonly onStep?: (step: number, steps: number, loss: number) => void
  readonly signal?: AbortSignal
}

/** Steps between looks at the held-out accuracy. */
const evaluateEvery = 250

const deltaOf = ({ delta }: Readonly<Record<string, unknown>>): object => (delta as object | undefined) ?? {}

const scaled = (accuracy: number, chance: number): number => (accuracy - chance) / (1 - chance)

/**
 * Trains one mixer on one task from one seed, and tests it.
 *
 * All mixers of a seed see the same batches. Training stops early when held-out accuracy is `enough`.
 *
 * @throws SluiceError for unknown names, and when training is stopped by `signal`
 *
 * @example
 * const { score } = await runToyTask('mqar', 'gated-delta-net', 1)
 */
export async function runToyTask(
  name: string,
  mixer: string,
  seed: number,
  { steps, device, onStep, signal }: ToyOptions = {},
): Promise<ToyResult> {
  const recipe = toyTaskNamed(name)
  const planned = steps ?? recipe.steps
  const mixing = mixerNamed(mixer).model
  const stop = new AbortController()
  signal?.addEventListener('abort', () => stop.abort(), { once: true })
  let trained = 0
  const result = await train({
    config: {
      ...recipe.config,
      name: `${name}-${mixer}-${seed}`,
      data: { task: recipe.task, taskOptions: recipe.training },
      model: { ...recipe.model, ...mixing, delta: { ...deltaOf(recipe.model), ...deltaOf(mixing) } },
      seed,
      steps: planned,
      evaluateEvery,
      evaluationBatches: 4,
    },
    device,
    signal: stop.signal,
    onStep: ({ step, loss, heldOutAccuracy }) => {
      onStep?.(step, planned, loss)
      if (heldOutAccuracy === undefined) return
      trained = heldOutAccuracy
      if (heldOutAccuracy >= recipe.enough) stop.abort()
    },
  })
  const { model, step, seconds } = result
  try {
    if (signal?.aborted) throw new SluiceError('runToyTask', `stopped after step ${step} of ${planned}`)
    const { accuracy } = await evaluate(model, toyTestBatches(recipe, seed), { ignoreIndex: ignoredTarget })
    return {
      task: name,
      mixer,
      seed,
      score: scaled(accuracy, recipe.chance),
      trained: scaled(trained, recipe.chance),
      steps: step,
      seconds,
      parameters: model.parameterCount,
    }
  } finally {
    model.dispose()
  }
}

/** The test's batches, from a stream that training never draws from; what does not count is asked for nowhere. */
export function toyTestBatches(recipe: ToyTask, seed: number): TaskBatch[] {
  const random = new Generator(streamSeed(seed, 3))
  const options = { batchSize: recipe.config.batchSize as number, ...recipe.training, ...recipe.test }
  return Array.from({ length: recipe.testBatches }, () => {
    const batch = taskNamed(recipe.task).generate(random, options)
    const { targets, T } = batch
    for (let i = 0; i < targets.length; i++) if (i % T < recipe.countFrom) targets[i] = ignoredTarget
    return batch
  })
}
