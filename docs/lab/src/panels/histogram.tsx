/** How often a gate's scores lie where in [0, 1]. */
import { shownShare } from '../words.ts'

interface Props {
  readonly title: string
  /** Scores in bins of equal width on [0, 1]. */
  readonly counts: readonly number[]
  /** The share at the top of the scale. */
  readonly top: number
}

/** The largest share of a bin. */
export function topOf(counts: readonly number[]): number {
  const total = counts.reduce((a, b) => a + b, 0)
  return total === 0 ? 0 : Math.max(...counts) / total
}

export function Histogram({ title, counts, top }: Props) {
  const total = counts.reduce((a, b) => a + b, 0) || 1
  const shares = counts.map((count) => count / total)
  const width = 100 / counts.length
  const quarter = counts.length / 4
  const closed = shares.slice(0, quarter).reduce((a, b) => a + b, 0)
  const open = shares.slice(-quarter).reduce((a, b) => a + b, 0)
  return (
    <figure class="histogram">
      <h4>{title}</h4>
      <svg viewBox="0 0 100 40" preserveAspectRatio="none" aria-hidden="true">
        {shares.map((share, bin) => (
          <rect
            key={bin}
            x={bin * width + 0.3}
            width={width - 0.6}
            y={40 - (40 * share) / (top || 1)}
            height={(40 * share) / (top || 1)}
          >
            <title>{`${((bin * width) / 100).toFixed(2)} to ${(((bin + 1) * width) / 100).toFixed(2)}: ${shownShare(share)}`}</title>
          </rect>
        ))}
      </svg>
      <div class="ends" aria-hidden="true">
        <span>0</span>
        <span>½</span>
        <span>1</span>
      </div>
      <figcaption>
        {shownShare(closed)} below ¼, {shownShare(open)} above ¾; the tallest bar holds{' '}
        {shownShare(Math.max(...shares))}.
      </figcaption>
    </figure>
  )
}
