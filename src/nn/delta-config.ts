/** Settings of a delta layer: plain JSON, checked, with every default filled in. */
import { SluiceError } from '../errors.ts'
import { withoutUndefined } from './gate.ts'
import { checkRecord, flag, needKeys, nonNegative, oneOf, positive, positiveInteger, type Schema } from './validate.ts'

/** Settings of a model's delta layers. */
export interface DeltaNetConfig {
  /**
   * S = alpha (I - beta k k^T) S + beta k v^T: 'gatedDelta' with one decay alpha a head (Gated DeltaNet), 'delta' without
   * decay (DeltaNet), 'kda' with one a channel of the key (Kimi Delta Attention). 'gatedDelta' unless given.
   */
  readonly rule: 'gatedDelta' | 'delta' | 'kda'
  /** Hk, heads of queries and keys. */
  readonly keyHeads: number
  /** Hv, heads of values and of the state, a multiple of Hk: value head j reads key head floor(j Hk / Hv). Hk unless given. */
  readonly valueHeads: number
  /** K, width of a query and a key. */
  readonly keyWidth: number
  /** V, width of a value. K unless given. */
  readonly valueWidth: number
  /** W, taps of the causal convolution over queries, keys and values, this step's input included; 4 unless given. */
  readonly convolutionWidth: number
  /** beta in (0, 2) instead of (0, 1), so that I - beta k k^T may turn a direction round (arXiv 2411.12537). */
  readonly negativeEigenvalues: boolean
  /** What the read memory is multiplied by, after its norm. 'sigmoid' with rule 'kda', else 'silu', unless given. */
  readonly outputGate: 'silu' | 'sigmoid' | 'none'
}

/** Settings of one `GatedDeltaNet`. */
export interface GatedDeltaNetConfig extends DeltaNetConfig {
  /** C, the model's width. */
  readonly width: number
  /** Of the output norm; 1e-6 unless given. */
  readonly eps: number
  /** Standard deviation of initial projections; 0.02 unless given. */
  readonly initStd: number
  /** The same of the output projection; `initStd` unless given. */
  readonly outputStd: number
}

/** What differs from the defaults; `gatedDeltaNetConfig` fills in the rest. */
export type GatedDeltaNetConfigInput = Partial<GatedDeltaNetConfig> & {
  /** C */
  readonly width: number
  /** Hk */
  readonly keyHeads: number
}

const deltaSchema: Schema<DeltaNetConfig> = {
  rule: oneOf('gatedDelta', 'delta', 'kda'),
  keyHeads: positiveInteger,
  valueHeads: positiveInteger,
  keyWidth: positiveInteger,
  valueWidth: positiveInteger,
  convolutionWidth: positiveInteger,
  negativeEigenvalues: flag,
  outputGate: oneOf('silu', 'sigmoid', 'none'),
}

const layerSchema: Schema<GatedDeltaNetConfig> = {
  ...deltaSchema,
  width: positiveInteger,
  eps: positive,
  initStd: nonNegative,
  outputStd: nonNegative,
}

function filled(
  operation: string,
  given: Partial<DeltaNetConfig>,
  heads: number,
  headWidth: () => number,
  path = '',
): DeltaNetConfig {
  const { rule = 'gatedDelta', keyHeads = heads, keyWidth = headWidth() } = given
  const config: DeltaNetConfig = {
    rule,
    keyHeads,
    valueHeads: keyHeads,
    keyWidth,
    valueWidth: keyWidth,
    convolutionWidth: 4,
    negativeEigenvalues: false,
    outputGate: rule === 'kda' ? 'sigmoid' : 'silu',
    ...withoutUndefined(given),
  }
  if (config.valueHeads % keyHeads !== 0) {
    throw new SluiceError(
      operation,
      `${path}valueHeads must be a multiple of ${path}keyHeads, got ${config.valueHeads} and ${keyHeads}`,
    )
  }
  return config
}

/** The delta layers of a model. @throws SluiceError for unknown keys, wrong values, heads that do not divide */
export function deltaNetConfig(
  operation: string,
  given: Partial<DeltaNetConfig> | undefined,
  { heads, headWidth }: { heads: number; headWidth: number },
): DeltaNetConfig {
  checkRecord(operation, given ?? {}, deltaSchema, 'delta.')
  return filled(operation, given ?? {}, heads, () => headWidth, 'delta.')
}

/** Full settings of a delta layer. @throws SluiceError for unknown keys, wrong values, sizes that do not fit */
export function gatedDeltaNetConfig(given: GatedDeltaNetConfigInput): GatedDeltaNetConfig {
  const operation = 'GatedDeltaNet'
  checkRecord(operation, given, layerSchema)
  needKeys(operation, given, ['width', 'keyHeads'])
  const { width, keyHeads, eps = 1e-6, initStd = 0.02, outputStd = initStd, ...delta } = given
  const keyWidth = (): number => {
    if (width % keyHeads === 0) return width / keyHeads
    throw new SluiceError(
      operation,
      `width ${width} does not divide into ${keyHeads} key heads; change one of width and keyHeads, or set keyWidth`,
    )
  }
  return { width, eps, initStd, outputStd, ...filled(operation, { keyHeads, ...delta }, keyHeads, keyWidth) }
}
