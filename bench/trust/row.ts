/** What every part of `npm run trust` gives: rows of one table. */

/** A short form for every change, and the whole one that `docs/trust.md` shows. */
export type Scale = 'short' | 'whole'

export interface TrustRow {
  readonly test: string
  /** How often it was tried. */
  readonly tries: number
  /** What was done to it, and how often: '200 kills, 61 of them while saving'. */
  readonly faults: string
  /** Tries that lost or left something, crashed, hung, or gave another result; each is also noted with what it needs to be repeated. */
  readonly losses: number
  /** The worst that was measured, with its unit, where there is something to measure. */
  readonly worst: string
}

export interface TrustSuite {
  /** As `--only` names it. */
  readonly name: string
  /** @param note for the terminal: progress, and what was lost */
  run(scale: Scale, note: (line: string) => void): Promise<TrustRow[]>
}

/** The row of what cannot be tried here. */
export const leftOut = (test: string, reason: string): TrustRow => ({
  test: `${test}: left out`,
  tries: 0,
  faults: reason,
  losses: 0,
  worst: '',
})
