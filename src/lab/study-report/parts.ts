/** What the study's sections are built of: tables, panels of one arm each, and the sentence of a section left out. */
import { figure, section, wideAndNarrow } from '../../train/report/figures.ts'
import { escapeText, type Markup, markup } from '../../train/report/markup.ts'
import type { Spread } from './arms.ts'
import type { PaperFigures } from './paper.ts'

/** A section whose data is not there: it says so, so that nobody looks for it. */
export function leftOut(id: string, heading: string, why: string): Markup {
  return section(id, heading, `<p class="absent">Left out: ${why}</p>`)
}

export interface Column<Row> {
  readonly head: Markup
  readonly kind?: 'words' | 'paper'
  /** HTML of a cell; a dash where it is undefined. */
  cell(row: Row): Markup | undefined
}

/** A figure of a table with a name at the head of each row. */
export function table<Row>(
  rows: readonly Row[],
  name: (row: Row) => Markup,
  columns: readonly Column<Row>[],
  { first, caption, kind = '' }: { first: string; caption: string; kind?: string },
): Markup {
  const attribute = (column: Column<Row>) => (column.kind ? ` class="${column.kind}"` : '')
  const heads = columns.map((column) => `<th scope="col"${attribute(column)}>${column.head}</th>`)
  const body = rows.map((row) => {
    const cells = columns.map((column) => {
      const content = column.cell(row)
      return content === undefined ? absent : `<td${attribute(column)}>${content}</td>`
    })
    return `<tr><th scope="row">${name(row)}</th>${cells.join('')}</tr>`
  })
  const content =
    `<div class="scroll"><table class="columns-table ${kind}">\n` +
    `<thead><tr><th scope="col">${escapeText(first)}</th>${heads.join('')}</tr></thead>\n` +
    `<tbody>\n${body.join('\n')}\n</tbody>\n</table></div>`
  // The caption stands outside of what scrolls.
  return figure(content, caption, 'long')
}

const absent = '<td class="none"><span aria-hidden="true">\u2013</span><span class="spoken">not measured</span></td>'

/** A mean, and below it its 95 % interval, which one seed does not have. */
export function spreadCell(spread: Spread | undefined, format: (value: number) => string): Markup | undefined {
  if (!spread) return undefined
  const { mean, low, high, values } = spread
  const interval = Number.isFinite(low)
    ? `${format(low)} to ${format(high)}`
    : values.length === 1
      ? 'one seed'
      : 'no interval'
  return markup(`${format(mean)}<small class="interval">${interval}</small>`)
}

/** A number of the paper's. */
export function paperCell(value: PaperFigures[keyof PaperFigures], format: (value: number) => string) {
  return value === null ? undefined : markup(format(value))
}

/** Small charts side by side, one for each of `items`. */
export function panels<Item>(items: readonly Item[], draw: (item: Item, index: number) => Markup): Markup {
  return markup(`<div class="small-charts">${items.map(draw).join('\n')}</div>`)
}

/** One of them, under its name. */
export function panel(name: string, chart: string): Markup {
  return markup(`<div class="small-chart"><h3>${escapeText(name)}</h3>${chart}</div>`)
}

/** The same chart drawn for a page and for a phone. */
export function chart(draw: (id: string, width: number) => string): Markup {
  return wideAndNarrow(draw)
}

/** The distinct values, in the order in which they come. */
export const distinct = <Value>(values: readonly Value[]): Value[] => [...new Set(values)]
