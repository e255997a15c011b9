/** What the page lets one choose of the two runs, and the training configurations that follow. */
import { textFile } from '../../../src/train/archive.ts'
import type { Both, FreshRun } from './protocol.ts'

/** What mixes tokens: attention in every layer, the delta rule in every layer, or both in turns, attention in every second layer. */
export type Mixer = 'attention' | 'hybrid' | 'gatedDelta' | 'delta' | 'kda'

/** What the two arms may differ in. */
export interface ArmChoice {
  readonly mixer: Mixer
  /** Of attention layers; the rest of the gate's settings count only with one. */
  readonly gate: 'none' | 'G1' | 'G2' | 'G3' | 'G4' | 'G5'
  readonly grain: 'elementwise' | 'headwise'
  readonly activation: 'sigmoid' | 'nsSigmoid' | 'silu' | 'identity'
}

/** What they have in common. */
export interface RunChoice {
  /** A task's name in `tasks`, or 'text'. */
  readonly data: string
  /** Of the task: what differs from its defaults. */
  readonly taskOptions: Readonly<Record<string, number | boolean>>
  readonly width: number
  readonly layers: number
  readonly heads: number
  readonly learningRate: number
  readonly seed: number
  readonly steps: number
  readonly batchSize: number
  /** T of a text; a task brings its own. */
  readonly contextLength: number
}

/** Everything that makes an experiment but the text itself. */
export interface Choice extends RunChoice {
  readonly arms: Both<ArmChoice>
}

/** Steps between held-out losses, and between what is measured on held-out data. */
export const evaluateEvery = 25

/** The keys of a model that say what mixes its tokens. */
export const mixerKeys = ['gate', 'layerTypes', 'fullAttentionInterval', 'delta'] as const

/**
 * The two runs of a choice. All that is not the arm's own is the same in both: seed, order of the data, schedule, size.
 *
 * @param text the text to learn from, for data 'text'
 *
 * @example
 * plansOf(choice).map(({ config }) => config.name) // ['a-attention', 'b-attention-g1-elementwise-sigmoid']
 */
export function plansOf(choice: Choice, text?: string): Both<FreshRun> {
  const plan = (arm: 0 | 1): FreshRun => ({
    from: 'config',
    config: configOf(choice, choice.arms[arm], `${'ab'[arm]}-${nameOf(choice.arms[arm])}`),
    text: choice.data === 'text' ? text : undefined,
  })
  return [plan(0), plan(1)]
}

function configOf(choice: RunChoice, arm: ArmChoice, name: string): Record<string, unknown> {
  const { data, taskOptions, batchSize, contextLength, steps, seed, width, layers, heads, learningRate } = choice
  return {
    name,
    data: data === 'text' ? { text: textFile } : { task: data, taskOptions },
    model: { width, layers, heads, headWidth: headWidth(width, heads), ...mixing(arm) },
    batchSize,
    contextLength,
    steps,
    seed,
    optimizer: { learningRate },
    schedule: { warmup: Math.min(50, Math.ceil(steps / 10)) },
    evaluateEvery,
    evaluationBatches: 2,
    checkpointEvery: steps,
  }
}

/** Heads of at least 32, as the norm of queries and keys bounds logits by the root of a head's width; even, for rotary positions. */
const headWidth = (width: number, heads: number): number => Math.max(32, 2 * Math.ceil(width / heads / 2))

export const hasAttention = ({ mixer }: ArmChoice): boolean => mixer === 'attention' || mixer === 'hybrid'

function mixing(arm: ArmChoice): Record<string, unknown> {
  const { mixer, gate: position, grain, activation: act } = arm
  const gate = position === 'none' || !hasAttention(arm) ? 'none' : { position, grain, act }
  if (mixer === 'attention') return { gate }
  const rule = mixer === 'hybrid' ? 'gatedDelta' : mixer
  return { gate, fullAttentionInterval: mixer === 'hybrid' ? 2 : 0, delta: { rule } }
}

/** What an arm is, in words that a folder's name may have. */
function nameOf(arm: ArmChoice): string {
  const { mixer, gate, grain, activation } = arm
  const words = gate === 'none' || !hasAttention(arm) ? [mixer] : [mixer, gate, grain, activation]
  return words.map((word) => word.replace(/([a-z])([A-Z])/g, '$1-$2').toLowerCase()).join('-')
}
