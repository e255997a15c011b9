/** Tables as plain text: the first column and texts to the left, numbers to the right. */

export type Cell = string | number | null

/** Three digits, without an exponent from 0.001 up: 0.0123, 1.23, 12.3, 123, 1230. */
export function threeDigits(x: number): string {
  return Math.abs(x) >= 100 ? x.toFixed(0) : String(Number(x.toPrecision(3)))
}

const show = (cell: Cell): string => (cell === null ? '-' : typeof cell === 'number' ? threeDigits(cell) : cell)

/**
 * Rows under their headings, columns two spaces apart.
 *
 * @example
 * formatTable(['name', 'us'], [['add', 12.34]]) // 'name    us\n----  ----\nadd   12.3'
 */
export function formatTable(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = [headings, headings.map(() => ''), ...rows.map((row) => row.map(show))]
  const widths = headings.map((_, i) => Math.max(...texts.map((row) => row[i].length)))
  texts[1] = widths.map((width) => '-'.repeat(width))
  const isText = headings.map((_, i) => rows.some((row) => typeof row[i] === 'string'))
  return texts
    .map((row) =>
      row
        .map((text, i) => (isText[i] ? text.padEnd(widths[i]) : text.padStart(widths[i])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** A table that can be shown as plain text or as Markdown. */
export interface Table {
  readonly title: string
  readonly headings: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
}

const markdownRow = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

export function tableInText({ title, headings, rows }: Table): string {
  return `${title}\n\n${formatTable(headings, rows)}`
}

/** Without the dashes for nothing. */
export function tableInMarkdown({ title, headings, rows }: Table): string {
  const cells = rows.map((row) => markdownRow(row.map((cell) => (cell === null ? '' : show(cell)))))
  return [`### ${title}\n`, markdownRow(headings), markdownRow(headings.map(() => '---')), ...cells].join('\n')
}
