/** A matrix as pixels, whose cells are pointed at with a pointer or, once it has the focus, with the arrow keys. */
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'

/** Row and column. */
export type Place = readonly [row: number, column: number]

interface Props {
  readonly rows: number
  readonly columns: number
  /** What is drawn; drawn again whenever it is another one. */
  readonly values: Float32Array
  paint(canvas: HTMLCanvasElement, values: Float32Array): void
  /** What it shows and its main numbers, for who does not see it. */
  readonly label: string
  readonly cell: Place | undefined
  /** Where arrow keys begin. */
  readonly first: Place
  /** A row to mark. */
  readonly row?: number
  /** @param byKey whether the cell was reached with the arrow keys */
  point(cell: Place | undefined, byKey: boolean): void
  choose?(cell: Place): void
  readonly children?: ComponentChildren
}

const moves: Readonly<Record<string, Place>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
}

const clamp = (value: number, size: number): number => Math.max(0, Math.min(size - 1, value))

export function Matrix({ rows, columns, values, paint, label, cell, first, row, point, choose }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null)
  useLayoutEffect(() => {
    if (canvas.current) paint(canvas.current, values)
  }, [values, paint])

  // Keys may come faster than the page is drawn: the next one goes on from the last, not from what is seen.
  const latest = useRef(cell)
  latest.current = cell
  const pointAt = (place: Place | undefined, byKey: boolean): void => {
    latest.current = place
    point(place, byKey)
  }

  const placeOf = (event: MouseEvent): Place => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect()
    return [
      clamp(Math.floor(((event.clientY - box.top) / box.height) * rows), rows),
      clamp(Math.floor(((event.clientX - box.left) / box.width) * columns), columns),
    ]
  }
  const press = (event: KeyboardEvent): void => {
    const move = moves[event.key]
    if (move) {
      const from = latest.current
      pointAt(from ? [clamp(from[0] + move[0], rows), clamp(from[1] + move[1], columns)] : first, true)
    } else if (event.key === 'Enter' && latest.current && choose) choose(latest.current)
    else if (event.key === 'Escape') pointAt(undefined, true)
    else return
    event.preventDefault()
  }
  return (
    <div
      class="matrix"
      role="application"
      aria-roledescription="map"
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys move in it, which is what the role says
      tabIndex={0}
      onPointerMove={(event) => point(placeOf(event), false)}
      onPointerDown={(event) => point(placeOf(event), false)}
      onPointerLeave={() => point(undefined, false)}
      onClick={(event) => choose?.(placeOf(event))}
      onKeyDown={press}
      onBlur={() => point(undefined, false)}
    >
      <canvas ref={canvas} />
      {row !== undefined && <div class="row" style={{ top: `${(100 * row) / rows}%`, height: `${100 / rows}%` }} />}
      {cell && (
        <div
          class="cell"
          style={{
            top: `${(100 * cell[0]) / rows}%`,
            left: `${(100 * cell[1]) / columns}%`,
            height: `${100 / rows}%`,
            width: `${100 / columns}%`,
          }}
        />
      )}
    </div>
  )
}
