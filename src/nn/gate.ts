/**
 * The gate's settings: where it sits, how fine it is, and what it computes. Y' = Y ⊙ sigmoid(X W) and its variants,
 * "Gated Attention for Large Language Models", NeurIPS 2025, section 2.2 and table 1.
 */
import type { GateActivation, GateOptions } from '../ops/attention.ts'
import { type Check, checkRecord, flag, isRecord, oneOf, type Schema } from './validate.ts'

/**
 * G1 on attention's output, before the output projection; G2, G3, G4 on values, keys, queries, right after their
 * projection; G5 after the output projection.
 */
export type GatePosition = 'G1' | 'G2' | 'G3' | 'G4' | 'G5'

/** A gate's settings: where it sits, how fine it is, and what it computes. */
export interface GateConfig {
  /** 'G1' unless given. */
  readonly position: GatePosition
  /** One score a head and dimension, or one a head. At G5, where heads are joined, all of [C] counts as one head. */
  readonly grain: 'elementwise' | 'headwise'
  /** One score for all heads: the mean over heads of the activated scores. */
  readonly shared: boolean
  /** Y' = Y ⊙ s, or Y + s; 'mul' unless given. */
  readonly op: 'mul' | 'add'
  /** The activation of the scores; 'sigmoid' unless given. */
  readonly act: GateActivation
  /** 'x': scores from the layer's normed input; 'none': learned scores that do not depend on it, 0 at the start. */
  readonly input: 'x' | 'none'
}

/** No gate, or one at G1 with everything else as the paper's best has it. */
export type GateShorthand = 'none' | 'elementwise' | 'headwise'

/** A gate as settings name it. */
export type GateInput = GateShorthand | Partial<GateConfig>

const defaultGate: GateConfig = {
  position: 'G1',
  grain: 'elementwise',
  shared: false,
  op: 'mul',
  act: 'sigmoid',
  input: 'x',
}

const gateSchema: Schema<GateConfig> = {
  position: oneOf('G1', 'G2', 'G3', 'G4', 'G5'),
  grain: oneOf('elementwise', 'headwise'),
  shared: flag,
  op: oneOf('mul', 'add'),
  act: oneOf('sigmoid', 'silu', 'identity', 'nsSigmoid'),
  input: oneOf('x', 'none'),
}

const shorthand = oneOf('none', 'elementwise', 'headwise')

export const checkGate: Check = (value) =>
  isRecord(value) || shorthand(value) === null ? null : `${shorthand(value)}, or an object`

/** The full settings of a gate; 'none' for none. @throws SluiceError for unknown keys and values */
export function gateConfig(operation: string, given: GateInput = 'elementwise'): GateConfig | 'none' {
  if (given === 'none') return 'none'
  if (typeof given === 'string') return { ...defaultGate, grain: given }
  checkRecord(operation, given, gateSchema, 'gate.')
  return { ...defaultGate, ...withoutUndefined(given) }
}

/** What `applyGate` takes. */
export function gateOptions({ act, op, shared }: GateConfig): GateOptions {
  return { act, op, shared }
}

/**
 * The heads that a gate acts on and their width: [H, D] at G1 and G4, [KV, D] at G2 and G3, [1, C] at G5.
 */
export function gatedShape(
  { position }: GateConfig,
  {
    heads,
    keyValueHeads,
    headWidth,
    width,
  }: { heads: number; keyValueHeads: number; headWidth: number; width: number },
): [heads: number, width: number] {
  if (position === 'G5') return [1, width]
  return [position === 'G2' || position === 'G3' ? keyValueHeads : heads, headWidth]
}

/**
 * Standard deviation of the gate's initial rows: 0.905 / sqrt(C).
 *
 * With inputs of mean square 1 the logits then start with deviation 0.905, as in the paper's models (0.02 at C = 2048);
 * 0.02 at a toy width would start the gate as a constant 0.5.
 */
export function paperGateStd(width: number): number {
  return 0.905 / Math.sqrt(width)
}

/** A copy without the keys that are undefined, so that spreading it keeps the defaults. */
export function withoutUndefined<T extends object>(given: T): T {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T
}
