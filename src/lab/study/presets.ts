/** Settings of whole studies: one that ends in a minute, one in about an hour on two cores, one for a GPU. */
import { SluiceError } from '../../errors.ts'
import { noSuch } from '../../nearest.ts'
import type { StudySettings } from './settings.ts'

/** The rows of the paper's tables 1 to 4 that its claims rest on, the baseline first. */
const mainVariants = [
  'baseline',
  'g1-elementwise',
  'g1-headwise',
  'g1-shared',
  'g2-elementwise',
  'g5',
  'g1-ns-sigmoid',
  'g1-input-independent',
  'sdpa-norm',
  'sdpa-silu',
  'g1-additive-silu',
]

const rateVariants = ['baseline', 'sandwich', 'g1-elementwise']

const scalingVariants = ['baseline', 'g1-elementwise', 'gated-delta-hybrid']

const base = { width: 64, layers: 3, heads: 2, headWidth: 32, feedForwardWidth: 192 }

const common = {
  data: { task: 'bigramBackcopy' },
  batchSize: 32,
  contextLength: 64,
  optimizer: { name: 'adamw', beta2: 0.95, weightDecay: 0.1 },
  clip: 1,
  matchParameters: true,
} as const

/** Every preset by its name. */
export const studyPresets: Readonly<Record<string, StudySettings>> = {
  smoke: {
    ...common,
    preset: 'smoke',
    title: 'Gated attention, a first look',
    batchSize: 8,
    schedule: { name: 'cosine', warmup: 10, floor: 0.1 },
    sizes: { base: { ...base, layers: 2 } },
    learningRate: 3e-3,
    main: { variants: mainVariants.slice(0, 3), size: 'base', steps: 150 },
    rates: { variants: ['baseline', 'g1-elementwise'], learningRates: [1e-2, 1e-1], size: 'base', steps: 60, seeds: 1 },
    scaling: { variants: ['baseline', 'g1-elementwise'], sizes: ['base'], steps: [40, 80], seeds: 1 },
    seeds: [1, 2],
    evaluateEvery: 50,
    evaluationBatches: 4,
    checkpointEvery: 100,
  },
}

/** @throws SluiceError naming the nearest one */
export function studyPreset(name: string): StudySettings {
  if (Object.hasOwn(studyPresets, name)) return studyPresets[name]!
  throw new SluiceError('study', noSuch('preset', name, Object.keys(studyPresets)))
}
