/** The paper's numbers beside which a study's variants are shown. */
import { type PaperNumbers, variants } from '../variants.ts'

/** What the paper reports of one variant; null where it reports nothing. */
export type PaperFigures = Pick<PaperNumbers, 'lossDifference' | 'firstToken' | 'massiveActivation' | 'gateScore'>

type Unknown = { readonly [Figure in keyof PaperFigures]: null }

const nothing: Unknown = { lossDifference: null, firstToken: null, massiveActivation: null, gateScore: null }
const known = new Map(variants.map((variant) => [variant.name, variant]))

/** All null for a variant that the paper does not have, or that this version does not know. */
export function paperOf(variant: string): PaperFigures | Unknown {
  return known.get(variant)?.paper ?? nothing
}

/** The variant's title; its name where it is not among the known ones. */
export function titleOf(variant: string): string {
  return known.get(variant)?.title ?? variant
}
