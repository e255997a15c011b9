/**
 * How the arms of a study are told apart: by the shape of the point and the dash of the line as well as by colour, so
 * that a print without colour says the same.
 */
import { escapeText, type Markup, markup } from '../../train/report/markup.ts'

/** The look of one line with its points. */
export interface Mark {
  readonly colour: string
  /** ECharts' name of a symbol, or an SVG path in a box of 20 x 20. */
  readonly symbol: string
  readonly dash: 'solid' | number[]
  /** Points are drawn as outlines. */
  readonly hollow?: boolean
}

const shapes: Record<string, string> = {
  circle: 'M6 8a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z',
  rect: 'M6 3H16V13H6Z',
  triangle: 'M11 2.5L16.5 13H5.5Z',
  diamond: 'M11 2L16.5 8L11 14L5.5 8Z',
  cross: 'M6 3L16 13M16 3L6 13',
  down: 'M5.5 3H16.5L11 13.5Z',
}

/** A cross, for what diverged; ECharts scales the path to the symbol's size. */
export const crossSymbol = 'path://M0 0L20 20M20 0L0 20'
/** A triangle that points down at its value. */
export const downSymbol = 'path://M0 0H20L10 20Z'

/** The baseline, in every figure. */
export const baselineMark: Mark = { colour: 'var(--muted)', symbol: 'circle', dash: [5, 3], hollow: true }
/** The one arm of a panel that is shown before the baseline. */
export const armMark: Mark = { colour: 'var(--run-0)', symbol: 'circle', dash: 'solid' }

const styles: readonly Mark[] = [
  armMark,
  { colour: 'var(--run-1)', symbol: 'rect', dash: [9, 3] },
  { colour: 'var(--run-2)', symbol: 'triangle', dash: [2, 2] },
  { colour: 'var(--run-3)', symbol: 'diamond', dash: [9, 3, 2, 3] },
  { colour: 'var(--run-4)', symbol: 'rect', dash: 'solid', hollow: true },
  { colour: 'var(--run-5)', symbol: 'triangle', dash: [9, 3], hollow: true },
]

/** As many arms as one chart tells apart, the baseline not counted. */
export const mostMarks = styles.length

/** The mark of the arm at `index` among those other than the baseline. */
export function markAt(index: number): Mark {
  return styles[index % styles.length]!
}

export interface Key {
  readonly label: string
  readonly mark: Mark
  /** Whether the line is shown, the point, or both. */
  readonly shows?: 'line' | 'point' | 'both'
}

/** What each mark of a chart stands for. */
export function keys(entries: readonly Key[]): Markup {
  const items = entries.map(({ label, mark, shows = 'both' }) => {
    const dash = mark.dash === 'solid' ? '' : ` stroke-dasharray="${mark.dash.join(' ')}"`
    const line = `<path d="M0 8H22" fill="none" stroke="currentColor" stroke-width="2"${dash}/>`
    const shape = shapes[shapeOf(mark.symbol)]!
    const fill = mark.symbol === crossSymbol ? 'none' : mark.hollow ? 'var(--paper)' : 'currentColor'
    const point = `<path d="${shape}" fill="${fill}" stroke="currentColor" stroke-width="1.75"/>`
    const drawing = (shows === 'point' ? '' : line) + (shows === 'line' ? '' : point)
    return (
      `<li><svg width="22" height="16" aria-hidden="true" style="color:${mark.colour}">${drawing}</svg>` +
      `${escapeText(label)}</li>`
    )
  })
  return markup(`<ul class="legend">${items.join('')}</ul>`)
}

function shapeOf(symbol: string): string {
  if (symbol === crossSymbol) return 'cross'
  return symbol === downSymbol ? 'down' : symbol
}
