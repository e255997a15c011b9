/**
 * The attention maps: one [T, T] picture per layer and head, all on one colour scale, runs side by side.
 *
 * A cell's colour is the square root of its weight a in [0, 1], so that the many small weights stay visible beside the
 * few large ones. T time (positions read), f the side of the square of weights that one cell averages when T is large.
 */
import { bitmapAddress, type Colour } from './bitmap.ts'
import { hasGate, type ReportAttention, type ReportRun } from './data.ts'
import { figure, runHeading } from './figures.ts'
import { formatFixed, formatInteger } from './format.ts'
import { escapeText, type Markup, markup, none, printable, tokenLabel } from './markup.ts'
import { colourAt, maskedColour } from './ramp.ts'

type AttendingRun = ReportRun & { attention: ReportAttention }

const levels = 63
const masked = levels + 1
/** All maps together stay below this many characters, so that the report stays a file one can send. */
const mapBudget = 1_600_000

const palette: readonly Colour[] = [
  ...Array.from({ length: levels + 1 }, (_, level) => colourAt(level / levels)),
  maskedColour,
]

/** Mean of the first column of `weights` [T, T]: the share of attention on the first token. */
export function firstTokenShare(weights: Float32Array, size: number): number {
  let sum = 0
  for (let query = 0; query < size; query++) sum += weights[query * size]!
  return sum / size
}

/** The attention figures, or nothing when no run has maps to show. */
export function attentionFigures(runs: ReportRun[]): Markup {
  const attending = attendingOf(runs)
  if (attending.length === 0) return none
  const budget = mapBudget / attending.reduce((sum, { attention }) => sum + headCount(attention) + 1, 0)
  const indices = new Map(attending.map((run) => [run, runs.indexOf(run)]))
  const maps = new MapPainter(
    budget,
    attending.every(({ attention }) => isCausal(attention)),
  )
  const content = [
    shownText(attending),
    colourScale(maps.causal),
    `<div class="columns">${attending.map((run) => meanMap(run, indices.get(run)!, maps)).join('\n')}</div>`,
  ].join('\n')
  return markup(
    [
      figure(content, meanCaption(attending, maps)),
      figure(layerMaps(attending, indices, maps), headCaption(attending), 'long'),
    ].join('\n'),
  )
}

/** The mean map of each run that has one, small: the shape of many runs at a glance, on the same scale. */
export function smallMeanMaps(runs: ReportRun[]): Markup {
  const attending = attendingOf(runs)
  if (attending.length === 0) return none
  const maps = new MapPainter(
    mapBudget / 4 / attending.length,
    attending.every(({ attention }) => isCausal(attention)),
  )
  const pictures = attending.map(({ name, attention }) => {
    const mean = meanWeights(attention)
    const share = formatFixed(firstTokenShare(mean, attention.tokens.length), 2)
    const spoken = `${name}: mean attention of all layers and heads; ${share} of it is on the first token`
    return (
      `<div class="head"><img class="map" src="${maps.address(mean, attention.tokens.length)}" alt="${escapeText(spoken)}">` +
      `<p class="share"><span>${escapeText(name)}</span><b>${share}</b></p></div>`
    )
  })
  return figure(
    `${colourScale(maps.causal)}<div class="small-maps">${pictures.join('')}</div>`,
    'Mean over all layers and heads of one model each, on one text; the number is the share of its attention on the first token. ' +
      'Rows are queries, columns the keys they attend to; a sink on the first token is a dark left edge.',
  )
}

function attendingOf(runs: ReportRun[]): AttendingRun[] {
  return runs.filter(
    (run): run is AttendingRun => !!run.attention && run.attention.tokens.length > 0 && headCount(run.attention) > 0,
  )
}

function headCount({ layers }: ReportAttention): number {
  return layers.reduce((sum, { heads }) => sum + heads.length, 0)
}

function isCausal({ tokens, layers }: ReportAttention): boolean {
  const size = tokens.length
  return layers.every(({ heads }) =>
    heads.every((weights) => {
      for (let query = 0; query < size; query++) {
        for (let key = query + 1; key < size; key++) if (weights[query * size + key] !== 0) return false
      }
      return true
    }),
  )
}

/** Draws maps of at most `budget` characters each. */
class MapPainter {
  readonly #longest: number
  readonly causal: boolean

  constructor(budget: number, causal: boolean) {
    this.#longest = Math.max(8, Math.floor(Math.sqrt(Math.max(0, budget * 0.75 - 600))))
    this.causal = causal
  }

  /** The side f of the square of weights that one cell averages. */
  blockSide(size: number): number {
    return Math.ceil(size / this.#longest)
  }

  address(weights: Float32Array, size: number): string {
    const block = this.blockSide(size)
    const side = Math.ceil(size / block)
    const cells = new Uint8Array(side * side)
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        const hidden = this.causal && column > row
        cells[row * side + column] = hidden ? masked : levelOf(this.#blockMean(weights, size, block, row, column))
      }
    }
    return bitmapAddress(cells, side, side, palette)
  }

  #blockMean(weights: Float32Array, size: number, block: number, row: number, column: number): number {
    let sum = 0
    let count = 0
    for (let query = row * block; query < Math.min(size, (row + 1) * block); query++) {
      for (let key = column * block; key < Math.min(size, (column + 1) * block); key++) {
        if (this.causal && key > query) continue
        sum += weights[query * size + key]!
        count++
      }
    }
    return sum / count
  }
}

function levelOf(weight: number): number {
  if (Number.isNaN(weight)) return masked
  return Math.round(Math.sqrt(Math.min(Math.max(weight, 0), 1)) * levels)
}

function meanWeights({ tokens, layers }: ReportAttention): Float32Array {
  const mean = new Float32Array(tokens.length * tokens.length)
  const heads = layers.flatMap((layer) => layer.heads)
  for (const weights of heads) {
    for (let cell = 0; cell < mean.length; cell++) mean[cell]! += weights[cell]! / heads.length
  }
  return mean
}

function sameTokens(runs: AttendingRun[]): boolean {
  const first = JSON.stringify(runs[0]!.attention.tokens)
  return runs.every(({ attention }) => JSON.stringify(attention.tokens) === first)
}

/** The text that the maps were read from, its first token marked. */
function shownText(runs: AttendingRun[]): string {
  const shown = sameTokens(runs) ? [runs[0]!] : runs
  return shown
    .map(({ name, attention: { tokens } }) => {
      const [first = '', ...rest] = tokens.map((token) => printable(token).replace(/\n/g, '\u21b5'))
      // Ids of a task, which would run into one number; the characters of a text have their own spaces.
      const between = tokens.every((token) => /^\d+$/.test(token)) ? ' ' : ''
      const whose = shown.length > 1 ? `${escapeText(name)} read` : 'The text read'
      return (
        `<p class="read">${whose}, ${formatInteger(tokens.length)} tokens: ` +
        `<q><mark>${escapeText(first)}</mark>${escapeText(between + rest.join(between))}</q></p>`
      )
    })
    .join('\n')
}

function colourScale(causal: boolean): string {
  const ramp = Uint8Array.from({ length: levels + 1 }, (_, level) => level)
  const ticks = [0, 0.01, 0.1, 0.25, 0.5, 1].map(
    (weight) => `<span style="left:${(100 * Math.sqrt(weight)).toFixed(2)}%">${weight}</span>`,
  )
  const hidden = causal
    ? `<span class="masked"><img class="map" alt="" src="${bitmapAddress(Uint8Array.of(masked), 1, 1, palette)}">masked</span>`
    : ''
  return (
    `<div class="scale"><span>attention weight</span><span class="ramp"><img class="map" alt="Colour scale from 0, light, to 1, dark" ` +
    `src="${bitmapAddress(ramp, levels + 1, 1, palette)}">${ticks.join('')}</span>${hidden}</div>`
  )
}

/** The mean over layers and heads, large, with the tokens along both axes. */
function meanMap(run: AttendingRun, index: number, maps: MapPainter): string {
  const { tokens } = run.attention
  const side = 448
  const cell = side / tokens.length
  const every = Math.ceil(tokens.length / 64)
  const size = Math.min(9, cell * every)
  const labels = tokens.map((token) => tokenLabel(token, 6))
  const longest = Math.max(...labels.map((label) => [...label].length))
  const gutter = longest === 1 ? size + 4 : longest * size * 0.62 + 6
  const upright = longest === 1
  const text = labels.flatMap((label, index) => {
    if (index % every !== 0) return []
    const middle = (gutter + (index + 0.5) * cell).toFixed(2)
    const edge = (gutter - 4).toFixed(2)
    const across = upright
      ? `<text x="${middle}" y="${edge}" text-anchor="middle">`
      : `<text transform="translate(${middle} ${edge}) rotate(-90)" dominant-baseline="central">`
    return [
      `${across}${escapeText(label)}</text>`,
      `<text x="${edge}" y="${middle}" text-anchor="end" dominant-baseline="central">${escapeText(label)}</text>`,
    ]
  })
  const mean = meanWeights(run.attention)
  const share = formatFixed(firstTokenShare(mean, tokens.length), 2)
  const total = (side + gutter).toFixed(2)
  const spoken = `${run.name}: mean attention of all layers and heads; ${share} of it is on the first token`
  return (
    `<div class="column">${runHeading(run, index)}` +
    `<svg class="mean-map" viewBox="0 0 ${total} ${total}" role="img" aria-label="${escapeText(spoken)}">` +
    `<image class="map" href="${maps.address(mean, tokens.length)}" x="${gutter.toFixed(2)}" y="${gutter.toFixed(2)}" ` +
    `width="${side}" height="${side}" preserveAspectRatio="none"/>` +
    `<g font-size="${size.toFixed(2)}" fill="var(--muted)">${text.join('')}</g></svg>` +
    `<p class="share"><span>on the first token</span><b>${share}</b></p></div>`
  )
}

/** For each layer, the heads of each run beside those of the others. */
function layerMaps(runs: AttendingRun[], indices: Map<AttendingRun, number>, maps: MapPainter): string {
  const layers = Math.max(...runs.map(({ attention }) => attention.layers.length))
  return Array.from({ length: layers }, (_, layer) => {
    const columns = runs.map((run) => {
      const heads = run.attention.layers[layer]?.heads ?? []
      const pictures = heads.map((weights, head) => headMap(run, weights, layer, head, maps))
      const content = pictures.length
        ? `<div class="heads" style="--across:${headsAcross(pictures.length)}">${pictures.join('')}</div>`
        : '<p class="absent">no attention in this layer</p>'
      return `<div class="column">${runHeading(run, indices.get(run)!)}${content}</div>`
    })
    return `<div class="layer"><h3>Layer ${layer}</h3><div class="columns">${columns.join('\n')}</div></div>`
  }).join('\n')
}

/** Columns of a block of heads: 2 x 2 for four, 4 x 2 for eight, never more than four. */
function headsAcross(heads: number): number {
  if (heads <= 4) return Math.min(heads, 2)
  return heads % 4 === 0 || heads % 3 !== 0 ? 4 : 3
}

function headMap(run: AttendingRun, weights: Float32Array, layer: number, head: number, maps: MapPainter): string {
  const size = run.attention.tokens.length
  const share = formatFixed(firstTokenShare(weights, size), 2)
  const spoken = `${run.name}, layer ${layer}, head ${head}: ${share} of the attention is on the first token`
  return (
    `<div class="head"><img class="map" src="${maps.address(weights, size)}" alt="${escapeText(spoken)}">` +
    `<p class="share"><span>head ${head}</span><b>${share}</b></p></div>`
  )
}

function meanCaption(runs: AttendingRun[], maps: MapPainter): string {
  const sink = 'Rows are queries, columns the keys they attend to; a sink on the first token is a dark left edge.'
  const pooled = runs.find(({ attention }) => maps.blockSide(attention.tokens.length) > 1)
  const block = pooled ? maps.blockSide(pooled.attention.tokens.length) : 1
  const averaged = pooled ? ` Each cell averages ${block}\u00a0\u00d7\u00a0${block} weights.` : ''
  return `Mean over all layers and heads. ${sink} Colour grows with the square root of the weight.${averaged}`
}

function headCaption(runs: AttendingRun[]): string {
  const pairing =
    runs.some(hasGate) && runs.some((run) => !hasGate(run))
      ? ' Heads of different runs are not the same heads: compare the blocks, not the pairs.'
      : ''
  return (
    'The same scale, head by head; the number below a map is the share of this text\u2019s attention on its first token.' +
    pairing
  )
}
