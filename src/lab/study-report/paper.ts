/** The paper's numbers beside which a study's variants are shown. */

/** What the paper reports of one variant; null where it reports nothing. */
export interface PaperFigures {
  /** ln of the perplexity over the baseline's: nats, negative is better. */
  readonly lossDifference: number | null
  readonly firstToken: number | null
  readonly massiveActivation: number | null
  readonly gateScore: number | null
}

const nothing: PaperFigures = { lossDifference: null, firstToken: null, massiveActivation: null, gateScore: null }

export function paperOf(_variant: string): PaperFigures {
  return nothing
}

/** The variant's title; its name where it is not among the known ones. */
export function titleOf(variant: string): string {
  return variant
}
