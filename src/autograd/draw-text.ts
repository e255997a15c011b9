/** A drawing of a graph as text: DOT for Graphviz, and SVG laid out by ourselves. */
import { layered, type Point, type Size } from './draw-layout.ts'

export interface TensorBox {
  readonly kind: 'parameter' | 'constant' | 'step' | 'result'
  readonly label: string
  readonly shape: string
  readonly value: readonly string[]
  /** null where there is none to show. */
  readonly gradient: readonly string[] | null
}

export interface OperationBox {
  readonly kind: 'operation'
  readonly name: string
}

export interface Drawing {
  /** Every edge runs from an earlier item to a later one. */
  readonly items: readonly (TensorBox | OperationBox)[]
  readonly edges: readonly (readonly [from: number, to: number])[]
}

/** What stands in a box's first line. */
function titleOf(box: TensorBox): string {
  return box.label || (box.kind === 'constant' || box.kind === 'parameter' ? box.kind : '')
}

// DOT

/** Text within a record label: structure characters and quotes escaped, lines set flush left. */
function dotText(text: string): string {
  return text.replace(/[\\{}|<>" ]/g, '\\$&').replace(/\r?\n|\r/g, '\\l')
}

const dotLines = (lines: readonly string[]) =>
  lines.length === 1 ? ` ${dotText(lines[0])}` : ['', ...lines].map((line) => `${dotText(line)}\\l`).join('')

export function toDot({ items, edges }: Drawing): string {
  const rows = items.map((item, i) => {
    if (item.kind === 'operation') {
      return `  n${i} [shape=ellipse, label="${item.name.replace(/[\\"]/g, '\\$&')}"]`
    }
    const head = dotText([titleOf(item), item.shape].filter(Boolean).join(' '))
    const gradient = item.gradient ? ` | grad${dotLines(item.gradient)}` : ''
    return `  n${i} [shape=record, label="{ ${head} | { value${dotLines(item.value)}${gradient} } }"]`
  })
  const arrows = edges.map(([from, to]) => `  n${from} -> n${to}`)
  return `digraph {\n  rankdir=LR\n  node [fontname=monospace]\n${[...rows, ...arrows].join('\n')}\n}\n`
}

// SVG: sizes in pixels of the unscaled image

const CHARACTER = 7.25
const LINE = 15
const PADDING = 8
const HEAD = 21
const CAPTION = 13
const ELLIPSE_HEIGHT = 26
const LONGEST = 40

const headFill = { parameter: '#cfe3fb', constant: '#e6e9ee', step: '#f1f4f8', result: '#fde6b8' } as const

/** Wide characters (Chinese, Japanese, Korean, emoji) count twice. */
function columnsOf(text: string): number {
  let columns = 0
  for (const character of text) columns += (character.codePointAt(0) ?? 0) >= 0x1100 ? 2 : 1
  return columns
}

const textWidth = (text: string) => CHARACTER * columnsOf(text)
const widest = (lines: readonly string[]) => Math.max(...lines.map(textWidth))

function clip(text: string): string {
  const characters = [...text.replace(/\s+/g, ' ')]
  return characters.length <= LONGEST ? characters.join('') : `${characters.slice(0, LONGEST - 1).join('')}…`
}

/** Text for XML: markup escaped, and what XML 1.0 forbids replaced. */
function xml(text: string): string {
  return [...text]
    .map((character) => {
      const code = character.codePointAt(0)!
      if (code < 32 && code !== 9 && code !== 10 && code !== 13) return '\ufffd'
      if ((code >= 0xd800 && code <= 0xdfff) || code === 0xfffe || code === 0xffff) return '\ufffd'
      return { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }[character] ?? character
    })
    .join('')
}

/** Inner sizes of a tensor's box: the two cells below the head. */
function cellsOf(box: TensorBox): { value: number; gradient: number; width: number; height: number } {
  const title = textWidth([clip(titleOf(box)), box.shape].filter(Boolean).join('  ')) + 2 * PADDING
  const cell = (lines: readonly string[], caption: string) =>
    Math.max(widest(lines), 0.9 * textWidth(caption)) + 2 * PADDING
  const gradient = box.gradient ? cell(box.gradient, 'gradient') : 0
  const least = cell(box.value, 'value')
  const width = Math.max(title, least + gradient)
  const lines = Math.max(box.value.length, box.gradient?.length ?? 0)
  // Spare width goes to both cells alike.
  const value = box.gradient ? least + (width - least - gradient) / 2 : width
  return { value, gradient: width - value, width, height: HEAD + CAPTION + lines * LINE + PADDING }
}

function sizeOf(item: TensorBox | OperationBox): Size {
  if (item.kind !== 'operation') return cellsOf(item)
  return { width: textWidth(clip(item.name)) + 26, height: ELLIPSE_HEIGHT }
}

const round = (n: number) => Math.round(n * 10) / 10

export function toSvg({ items, edges }: Drawing): string {
  const layout = layered(items.map(sizeOf), edges, { x: 34, y: 18, margin: 20 })
  const [width, height] = [Math.ceil(layout.width), Math.ceil(layout.height)]
  const drawn = items.map((item, i) =>
    item.kind === 'operation' ? ellipse(item, layout.centres[i]) : tensorBox(item, layout.centres[i]),
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="Graph of ${items.length} tensors and operations" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="12">
<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0.5 L8 4 L0 7.5 z" fill="#7b8794"/></marker></defs>
<rect width="${width}" height="${height}" rx="10" fill="#fbfcfd"/>
<g fill="none" stroke="#7b8794" stroke-width="1.2">
${layout.routes.map(path).join('\n')}
</g>
${drawn.join('\n')}
</svg>
`
}

/** Straight along the pairs of points, a horizontal S from one pair to the next. */
function path(points: readonly Point[]): string {
  const at = ({ x, y }: Point) => `${round(x)} ${round(y)}`
  let d = `M${at(points[0])} L${at(points[1])}`
  for (let i = 2; i < points.length; i += 2) {
    const [from, to] = [points[i - 1], points[i]]
    const middle = (from.x + to.x) / 2
    d += ` C${round(middle)} ${round(from.y)} ${round(middle)} ${round(to.y)} ${at(to)} L${at(points[i + 1])}`
  }
  return `<path d="${d}" marker-end="url(#arrow)"/>`
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${round(x)}" y="${round(y)}" xml:space="preserve"${attributes}>${xml(content)}</text>`
}

function ellipse({ name }: OperationBox, { x, y }: Point): string {
  const { width, height } = sizeOf({ kind: 'operation', name })
  return `<g><title>${xml(name)}</title><ellipse cx="${round(x)}" cy="${round(y)}" rx="${round(width / 2)}" ry="${height / 2}" fill="#3b4a5f"/>${text(x, y + 4, clip(name), ' text-anchor="middle" fill="#ffffff"')}</g>`
}

function tensorBox(box: TensorBox, centre: Point): string {
  const { value, width, height } = cellsOf(box)
  const [x, y] = [centre.x - width / 2, centre.y - height / 2]
  const title = titleOf(box)
  const shapeAt = title ? x + width - PADDING - textWidth(box.shape) : x + PADDING
  const cell = (left: number, caption: string, lines: readonly string[], colour: string) => [
    text(left, y + HEAD + CAPTION - 2, caption, ' font-size="11" fill="#7b8794"'),
    ...lines.map((line, i) => text(left, y + HEAD + CAPTION + LINE * (i + 1) - 3, line, ` fill="${colour}"`)),
  ]
  const parts = [
    `<title>${xml([title, box.shape, box.kind].filter(Boolean).join(' '))}</title>`,
    `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${height}" rx="5" fill="#ffffff"/>`,
    `<path d="M${round(x)} ${round(y + HEAD)} v${5 - HEAD} a5 5 0 0 1 5 -5 h${round(width - 10)} a5 5 0 0 1 5 5 v${HEAD - 5} z" fill="${headFill[box.kind]}"/>`,
    text(x + PADDING, y + 15, clip(title), ' font-weight="bold" fill="#1f2933"'),
    text(shapeAt, y + 15, box.shape, ' fill="#52606d"'),
    ...cell(x + PADDING, 'value', box.value, '#1f2933'),
  ]
  if (box.gradient) {
    const left = round(x + value)
    parts.push(
      `<path d="M${left} ${round(y + HEAD)} V${round(y + height)}" stroke="#cbd2d9"/>`,
      ...cell(x + value + PADDING, 'gradient', box.gradient, '#b4490f'),
    )
  }
  const frame = `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${height}" rx="5" fill="none" stroke="#9aa5b1"/>`
  return `<g>${parts.join('')}${frame}</g>`
}
