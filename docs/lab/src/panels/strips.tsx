/** Scores over the text: under each token a strip a head, darker for a higher score. */
import { useMemo, useState } from 'preact/hooks'
import { scoreColour } from '../paint.ts'
import { shown, shownToken } from '../words.ts'

interface Props {
  readonly title: string
  /** [heads, T] */
  readonly scores: Float32Array
  readonly labels: readonly string[]
  /** Whether tokens are characters. */
  readonly isText: boolean
  /** The position whose scores are told where no token is pointed at. */
  readonly at: number
  follow(position: number): void
}

export function Strips({ title, scores, labels, isText, at, follow }: Props) {
  const [hovered, setHovered] = useState<number | undefined>(undefined)
  const T = labels.length
  const heads = scores.length / T
  const means = useMemo(
    () => Array.from({ length: heads }, (_, h) => scores.subarray(h * T, (h + 1) * T).reduce((a, b) => a + b, 0) / T),
    [scores, heads, T],
  )
  const strips = useMemo(
    () =>
      labels.map((label, t) => {
        const bands = Array.from(
          { length: heads },
          (_, h) => `${scoreColour(scores[h * T + t]!)} ${(100 * h) / heads}% ${(100 * (h + 1)) / heads}%`,
        )
        return { label, background: `linear-gradient(to bottom, ${bands.join(', ')})` }
      }),
    [labels, scores, heads, T],
  )
  const told = hovered !== undefined && hovered < T ? hovered : at
  return (
    <div class="strips">
      <h4>{title}</h4>
      {/* Pointers only: the same numbers are in the table of the followed token, which the arrow keys move. */}
      <div
        class={`tokens${isText ? ' characters' : ''}`}
        aria-hidden="true"
        onPointerLeave={() => setHovered(undefined)}
      >
        {strips.map(({ label, background }, t) => (
          // biome-ignore lint/a11y/noStaticElementInteractions: see above
          // biome-ignore lint/a11y/useKeyWithClickEvents: see above
          <span
            key={t}
            class={`token${t === at ? ' followed' : ''}`}
            onPointerEnter={() => setHovered(t)}
            onClick={() => follow(t)}
          >
            {label}
            <i class="strip" style={{ background, height: `${Math.max(8, 4 * heads)}px` }} />
          </span>
        ))}
      </div>
      <p class="read">
        <span>
          {shownToken(labels[told] ?? '')} at {told}
        </span>
        {Array.from({ length: heads }, (_, h) => (
          <span key={h}>
            {heads > 1 && `head ${h} `}
            <b>{shown(scores[h * T + told], 2)}</b> <small>mean {shown(means[h], 2)}</small>
          </span>
        ))}
      </p>
    </div>
  )
}
