/**
 * When a claim shows, does not show, or cannot be told, from intervals over seeds.
 *
 * Every rule has a margin m, the smallest effect that would count. A claim shows when the 95 % interval lies on its side
 * and the mean is m or more; it does not show when the interval rules out an effect of m; between the two, and with fewer
 * than two seeds, the data cannot tell. So 'does not show' is never said for want of data.
 */
import type { Spread } from './study-report/arms.ts'

export type Verdict = 'shows' | 'does not show' | 'cannot be told'

/** What one comparison says. */
export interface Judged {
  readonly verdict: Verdict
  /** The numbers, and the reason where there is one to give. */
  readonly here: string
}

type Format = (value: number) => string

/** `0.31 [0.28, 0.34]`; one seed has no interval. */
export function spreadText({ mean, low, high }: Spread, format: Format): string {
  return Number.isFinite(low) ? `${format(mean)} [${format(low)}, ${format(high)}]` : `${format(mean)} (one seed)`
}

const hasInterval = ({ low, high }: Spread): boolean => Number.isFinite(low) && Number.isFinite(high)

/**
 * Whether `lower` lies below `higher`.
 *
 * @param difference lower minus higher, seed by seed
 * @param apart also asks that the two arms' own intervals do not overlap
 */
export function judgeLower(
  { lower, higher, difference }: { lower: Spread; higher: Spread; difference: Spread },
  { margin, format, apart }: { margin: number; format: Format; apart: boolean },
): Judged {
  const here = `${spreadText(lower, format)} against ${spreadText(higher, format)}, difference ${spreadText(difference, format)}`
  if (!hasInterval(difference)) return { verdict: 'cannot be told', here }
  if (difference.low > -margin) return { verdict: 'does not show', here }
  const clear = apart ? lower.high < higher.low : difference.high < 0
  return { verdict: clear && difference.mean <= -margin ? 'shows' : 'cannot be told', here }
}

/** Whether a difference is nearer to nothing than the margin. */
export function judgeNear(difference: Spread, { margin, format }: { margin: number; format: Format }): Judged {
  const here = `difference ${spreadText(difference, format)}`
  if (!hasInterval(difference)) return { verdict: 'cannot be told', here }
  const { low, high } = difference
  if (low > margin || high < -margin) return { verdict: 'does not show', here }
  return { verdict: low >= -margin && high <= margin ? 'shows' : 'cannot be told', here }
}

/** Whether a quantity lies above a threshold, or below it. */
export function judgeSide(
  value: Spread,
  { threshold, side, format }: { threshold: number; side: 'above' | 'below'; format: Format },
): Judged {
  const here = spreadText(value, format)
  if (!hasInterval(value)) return { verdict: 'cannot be told', here }
  const above = value.low > threshold
  const below = value.high < threshold
  if (side === 'above' ? above : below) return { verdict: 'shows', here }
  return { verdict: (side === 'above' ? below : above) ? 'does not show' : 'cannot be told', here }
}

/** A claim about several arms: each part that was measured has to show. */
export function together(parts: readonly { name: string; judged: Judged | undefined }[]): Judged {
  const measured = parts.flatMap(({ judged }) => (judged ? [judged.verdict] : []))
  const several = parts.length > 1
  const here = parts
    .map(({ name, judged }) => {
      if (!judged) return `${name}: not measured`
      const verdict = several && new Set(measured).size > 1 ? ` (${judged.verdict})` : ''
      return `${name}: ${judged.here}${verdict}`
    })
    .join('; ')
  return { verdict: worst(measured), here }
}

function worst(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes('does not show')) return 'does not show'
  return verdicts.length > 0 && verdicts.every((verdict) => verdict === 'shows') ? 'shows' : 'cannot be told'
}
