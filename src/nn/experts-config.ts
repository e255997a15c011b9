/** Settings of the mixture of experts: plain JSON, checked, with every default filled in. */
import { SluiceError } from '../errors.ts'
import { withoutUndefined } from './gate.ts'
import { type Check, checkRecord, flag, needKeys, nonNegative, positiveInteger, type Schema } from './validate.ts'

/** What one layer's experts are. */
export interface ExpertsLayerConfig {
  /** E, experts to choose from. */
  readonly count: number
  /** k, experts that a token goes to. */
  readonly active: number
  /** F, hidden width of an expert. */
  readonly width: number
  /** Hidden width of the expert that every token goes to; 0, the default, for none. */
  readonly sharedWidth: number
  /**
   * Divide the k routing weights by their sum; true unless given. With k = 1 the weight is then always 1, and the router learns
   * from the load-balancing loss alone.
   */
  readonly normalise: boolean
}

/** The experts of a model: what they are, in which layers, and what training adds to the loss for them. */
export interface ExpertsConfig extends ExpertsLayerConfig {
  /** Layer i has experts when (i + 1) % every = 0; 1 unless given. */
  readonly every: number
  /** Layers that keep the one feed-forward, whatever `every` says; none unless given. */
  readonly dense: readonly number[]
  /** Coefficient of the load-balancing loss; 0.001 unless given. */
  readonly loadBalance: number
  /** Coefficient of the router's z-loss; 0 unless given. */
  readonly zLoss: number
}

/** What differs from the defaults: at least E experts (`count`), of which k (`active`) a token. */
export type ExpertsConfigInput = Partial<ExpertsConfig> & { readonly count: number; readonly active: number }

/** Settings of one `MixtureOfExperts`. */
export interface MixtureOfExpertsConfig extends ExpertsLayerConfig {
  /** C, the model's width. */
  readonly modelWidth: number
  /** Standard deviation of initial weights; 0.02 unless given. */
  readonly initStd: number
  /** The same of the projections back to C; `initStd` unless given. */
  readonly outputStd: number
}

/** What differs from the defaults; `mixtureOfExpertsConfig` fills in the rest. */
export type MixtureOfExpertsConfigInput = Partial<MixtureOfExpertsConfig> & {
  /** C */
  readonly modelWidth: number
  /** E */
  readonly count: number
  /** k, experts that a token goes through. */
  readonly active: number
  /** F, hidden width of an expert. */
  readonly width: number
}

const countFrom0: Check = (value) =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? null : 'an integer from 0 up'

const indices: Check = (value) =>
  Array.isArray(value) && value.every((i) => countFrom0(i) === null) ? null : 'a list of layers, integers from 0 up'

const layerSchema: Schema<ExpertsLayerConfig> = {
  count: positiveInteger,
  active: positiveInteger,
  width: positiveInteger,
  sharedWidth: countFrom0,
  normalise: flag,
}

const modelSchema: Schema<ExpertsConfig> = {
  ...layerSchema,
  every: positiveInteger,
  dense: indices,
  loadBalance: nonNegative,
  zLoss: nonNegative,
}

const moduleSchema: Schema<MixtureOfExpertsConfig> = {
  ...layerSchema,
  modelWidth: positiveInteger,
  initStd: nonNegative,
  outputStd: nonNegative,
}

function needFewer(operation: string, { count, active }: ExpertsLayerConfig, path = ''): void {
  if (active > count) {
    throw new SluiceError(operation, `${path}active must be at most ${path}count, got ${active} of ${count} experts`)
  }
}

/** The experts of a model of `layers` layers; null for none. @throws SluiceError for unknown keys and wrong values */
export function expertsConfig(
  operation: string,
  given: ExpertsConfigInput | null | undefined,
  { layers, width }: { layers: number; width: number },
): ExpertsConfig | null {
  if (given === null || given === undefined) return null
  const path = 'experts.'
  checkRecord(operation, given, modelSchema, path)
  needKeys(operation, given, ['count', 'active'], path)
  const config: ExpertsConfig = {
    ...{ width, sharedWidth: 0, normalise: true, every: 1, dense: [], loadBalance: 0.001, zLoss: 0 },
    ...withoutUndefined(given),
  }
  needFewer(operation, config, path)
  const beyond = config.dense.find((layer) => layer >= layers)
  if (beyond !== undefined) {
    throw new SluiceError(operation, `${path}dense names layer ${beyond}; there are layers 0 to ${layers - 1}`)
  }
  return config
}

/** Full settings of one mixture. @throws SluiceError for unknown keys and wrong values */
export function mixtureOfExpertsConfig(given: MixtureOfExpertsConfigInput): MixtureOfExpertsConfig {
  const operation = 'MixtureOfExperts'
  checkRecord(operation, given, moduleSchema)
  needKeys(operation, given, ['modelWidth', 'count', 'active', 'width'])
  const { initStd = 0.02 } = given
  const config = { sharedWidth: 0, normalise: true, outputStd: initStd, ...withoutUndefined(given), initStd }
  needFewer(operation, config)
  return config
}
