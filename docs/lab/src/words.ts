/** What things are called on the page. */
import { formatFixed } from '../../../src/train/report/format.ts'
import { tokenLabel } from '../../../src/train/report/markup.ts'
import { type ArmChoice, hasAttention } from './plan.ts'

export const armNames = ['A', 'B'] as const
export const arms = [0, 1] as const

export const mixerWords: Readonly<Record<ArmChoice['mixer'], string>> = {
  attention: 'softmax attention',
  hybrid: 'Gated DeltaNet and attention in turns',
  gatedDelta: 'Gated DeltaNet',
  delta: 'DeltaNet, no decay',
  kda: 'Kimi Delta Attention',
}

export const gateWords: Readonly<Record<ArmChoice['gate'], string>> = {
  none: 'none',
  G1: 'G1, attention’s output',
  G2: 'G2, values',
  G3: 'G3, keys',
  G4: 'G4, queries',
  G5: 'G5, after the projection',
}

export const grainWords: Readonly<Record<ArmChoice['grain'], string>> = {
  elementwise: 'one score a dimension',
  headwise: 'one score a head',
}

export const activationWords: Readonly<Record<ArmChoice['activation'], string>> = {
  sigmoid: 'sigmoid',
  nsSigmoid: '½ + ½ sigmoid',
  silu: 'SiLU',
  identity: 'identity',
}

/** Tasks by their names in the registry; one that is missing here is shown by that name. */
export const taskWords: Readonly<Record<string, string>> = {
  bigramBackcopy: 'Bigram-Backcopy',
  copy: 'Copying',
  selectiveCopy: 'Selective copying',
  multiQueryRecall: 'Multi-query recall',
  parity: 'Parity',
  modularArithmetic: 'Modular arithmetic',
  text: 'A text',
}

/** 'triggerPercent' as 'Trigger percent'. */
export function optionWords(key: string): string {
  const words = key.replace(/([a-z])([A-Z])/g, (_, before: string, after: string) => `${before} ${after.toLowerCase()}`)
  return words[0]!.toUpperCase() + words.slice(1)
}

/** What an arm is, in a few words. */
export function describe(arm: ArmChoice): string {
  if (!hasAttention(arm)) return mixerWords[arm.mixer]
  const { mixer, gate, grain, activation } = arm
  if (gate === 'none') return `${mixerWords[mixer]}, no gate`
  return `${mixerWords[mixer]}, ${activationWords[activation]} gate at ${gate}${grain === 'headwise' ? ', a score a head' : ''}`
}

/** A token where it stands by itself. */
export const shownToken = (label: string): string => tokenLabel(label, 12)

/** A number of three decimals; a dash for none. */
export function shown(value: number | undefined, decimals = 3): string {
  return value === undefined || Number.isNaN(value) ? '–' : formatFixed(value, decimals)
}

/** A share as a percentage with one decimal, which does not jump in width; a dash for none. */
export function shownShare(share: number | undefined): string {
  return share === undefined || Number.isNaN(share) ? '–' : `${formatFixed(100 * share, 1)}%`
}
