/** The memory of a delta layer after the last token: a matrix a head, rows are keys, columns values. */
import { useMemo, useState } from 'preact/hooks'
import { paintSigned } from '../paint.ts'
import type { Arm, DeltaLook } from '../protocol.ts'
import { armNames, shown } from '../words.ts'
import { Matrix, type Place } from './matrix.tsx'

interface Props {
  readonly arm: Arm
  readonly layer: number
  readonly state: DeltaLook
  /** The end of the colours' scale. */
  readonly greatest: number
  /** Tells a screen reader. */
  say(sentence: string): void
}

/** The largest absolute value of a memory. */
export function greatestOf({ values }: DeltaLook): number {
  let greatest = 0
  for (const value of values) greatest = Math.max(greatest, Math.abs(value))
  return greatest
}

export function Memory({ arm, layer, state, greatest, say }: Props) {
  const { values, shape } = state
  const [heads, K, V] = shape
  const parts = useMemo(
    () => Array.from({ length: heads }, (_, h) => values.subarray(h * K * V, (h + 1) * K * V)),
    [values, heads, K, V],
  )
  return (
    <div>
      <p class="note">
        Memory after the last token, keys by values: blue below 0, brown above, to ±{shown(greatest, 2)}.
      </p>
      <div class="maps" style={{ '--across': Math.min(heads, 4) }}>
        {parts.map((part, head) => (
          <MemoryHead key={head} head={head} values={part} {...{ arm, layer, K, V, greatest, say }} />
        ))}
      </div>
    </div>
  )
}

interface HeadProps {
  readonly arm: Arm
  readonly layer: number
  readonly head: number
  readonly values: Float32Array
  readonly K: number
  readonly V: number
  readonly greatest: number
  say(sentence: string): void
}

function MemoryHead({ arm, layer, head, values, K, V, greatest, say }: HeadProps) {
  const [cell, setCell] = useState<Place | undefined>(undefined)
  const norm = useMemo(() => Math.hypot(...values), [values])
  const paint = useMemo(
    () => (canvas: HTMLCanvasElement, each: Float32Array) => paintSigned(canvas, each, K, V, greatest),
    [K, V, greatest],
  )
  const sentence = ([key, value]: Place): string => `key ${key}, value ${value}`
  const inside = cell && cell[0] < K && cell[1] < V ? cell : undefined
  return (
    <figure class="head memory">
      <Matrix
        rows={K}
        columns={V}
        values={values}
        paint={paint}
        label={`Memory of run ${armNames[arm]}, layer ${layer}, head ${head}, ${K} keys by ${V} values: norm ${shown(norm, 2)}. Arrow keys choose a cell.`}
        cell={inside}
        first={[0, 0]}
        point={(place, byKey) => {
          setCell(place)
          if (place && byKey) say(`${sentence(place)}: ${shown(values[place[0] * V + place[1]])}`)
        }}
      />
      <figcaption>
        {inside ? (
          <>
            <span>{sentence(inside)}</span>
            <b>{shown(values[inside[0] * V + inside[1]])}</b>
          </>
        ) : (
          <>
            <span>head {head}</span>
            <b title="Norm of the matrix">{shown(norm, 2)}</b>
          </>
        )}
      </figcaption>
    </figure>
  )
}
