/** Curves over the steps, drawn by uPlot in the page's own colours. */
import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import { shown } from '../words.ts'

export interface Curve {
  readonly title: string
  /** Of the style sheet. */
  readonly colour: `--${string}`
  readonly style?: 'faint' | 'dashed'
  readonly steps: readonly number[]
  readonly values: readonly (number | undefined)[]
}

interface Props {
  readonly title: string
  /** What it says, for who does not see it. */
  readonly summary: string
  /** The same ones in the same order, for as long as the chart lives. */
  readonly curves: readonly Curve[]
  readonly format?: (value: number) => string
  /** Whether there is a value at every step, so that points need no mark. */
  readonly isDense?: boolean
}

const height = 150
const font = '12px system-ui, sans-serif'

const colourOf = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name)

/** One table of all curves, as uPlot takes it: their steps joined, null where a curve has no value. */
function tableOf(curves: readonly Curve[]): uPlot.AlignedData {
  return uPlot.join(curves.map(({ steps, values }) => [steps as number[], values as number[]]))
}

function optionsOf(
  curves: readonly Curve[],
  width: number,
  format: (value: number) => string,
  isDense: boolean,
  point: (index: number | null | undefined) => void,
): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: () => colourOf('--muted'),
    font,
    grid: { stroke: () => colourOf('--rule'), width: 1 },
    ticks: { show: false },
  }
  return {
    width,
    height,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 }, sync: { key: 'lab' } },
    scales: { x: { time: false } },
    axes: [
      { ...axis, size: 24, gap: 4, space: 60 },
      { ...axis, size: 46, gap: 6, space: 26, values: (_, ticks) => ticks.map(format) },
    ],
    series: [
      {},
      ...curves.map(
        ({ title, colour, style }): uPlot.Series => ({
          label: title,
          stroke: () => colourOf(colour),
          width: style ? 1 : 2,
          alpha: style === 'faint' ? 0.3 : 1,
          dash: style === 'dashed' ? [4, 4] : undefined,
          points: { show: !style && !isDense, size: 4 },
          spanGaps: true,
        }),
      ),
    ],
    hooks: { setCursor: [({ cursor }) => point(cursor.idx)] },
  }
}

export function Chart({ title, summary, curves, format = (value) => shown(value, 1), isDense = false }: Props) {
  const holder = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | undefined>(undefined)
  const table = useRef<uPlot.AlignedData>([[]])
  const [index, setIndex] = useState<number | null | undefined>(null)

  // Made once: the curves' values come by setData below.
  useEffect(() => {
    const element = holder.current!
    const made = new uPlot(optionsOf(curves, element.clientWidth, format, isDense, setIndex), tableOf(curves), element)
    plot.current = made
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }))
    resized.observe(element)
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    const redraw = (): void => made.redraw(false)
    scheme.addEventListener('change', redraw)
    return () => {
      scheme.removeEventListener('change', redraw)
      resized.disconnect()
      made.destroy()
    }
  }, [])

  const latest = curves.map(({ steps, values }) => `${steps.length}:${steps.at(-1)}:${values.at(-1)}`).join()
  // A curve grows at its end.
  useEffect(() => {
    table.current = tableOf(curves)
    plot.current?.setData(table.current)
  }, [latest])

  const told = index ?? table.current[0].length - 1
  const step = table.current[0][told]
  return (
    <figure class="chart">
      <figcaption>
        <b>{title}</b>
        {step !== undefined && index !== null && index !== undefined && <span class="step">step {step}</span>}
        {curves.map(({ title: name, colour, style }, i) => {
          const value =
            index === null || index === undefined ? lastOf(curves[i]!) : (table.current[i + 1]?.[told] ?? undefined)
          if (style === 'faint') return null
          return (
            <span key={name} class={`key ${style ?? ''}`} style={{ '--key': `var(${colour})` }}>
              {name} <b>{value === undefined ? '–' : format(value)}</b>
            </span>
          )
        })}
      </figcaption>
      <div ref={holder} class="plot" role="img" aria-label={summary} />
      {curves.every(({ steps }) => steps.length === 0) && (
        <p class="empty">{isDense ? 'From the first step.' : 'From the first held-out loss.'}</p>
      )}
    </figure>
  )
}

function lastOf({ values }: Curve): number | undefined {
  return values.findLast((value) => value !== undefined)
}
