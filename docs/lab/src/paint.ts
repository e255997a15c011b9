/** Matrices as pixels, one a cell; the page scales them without smoothing. */
import { colourAt, maskedColour } from '../../../src/train/report/ramp.ts'

const levels = 255

/** A pixel as a canvas holds it, on the little-endian machines that there are. */
const pixel = ([red, green, blue]: readonly [number, number, number]): number =>
  (255 << 24) | (blue << 16) | (green << 8) | red

const palette = Int32Array.from({ length: levels + 1 }, (_, level) => pixel(colourAt(level / levels)))
const masked = pixel(maskedColour)

const unit = (value: number): number => Math.max(0, Math.min(1, value))

function paint(
  canvas: HTMLCanvasElement,
  rows: number,
  columns: number,
  colour: (row: number, column: number) => number,
): void {
  if (canvas.width !== columns) canvas.width = columns
  if (canvas.height !== rows) canvas.height = rows
  const context = canvas.getContext('2d')!
  const image = context.createImageData(columns, rows)
  const pixels = new Int32Array(image.data.buffer)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) pixels[row * columns + column] = colour(row, column)
  }
  context.putImageData(image, 0, 0)
}

/** One head of causal attention, [T, T]. The colour is the root of the weight, so that small ones stay visible beside large ones. */
export function paintAttention(canvas: HTMLCanvasElement, weights: Float32Array, T: number): void {
  paint(canvas, T, T, (query, key) =>
    key > query ? masked : palette[Math.round(levels * Math.sqrt(unit(weights[query * T + key]!)))]!,
  )
}

const negative = [31, 102, 173] as const
const positive = [180, 82, 10] as const

/** Values from -greatest, blue, over 0, white, to greatest, brown. */
export function paintSigned(
  canvas: HTMLCanvasElement,
  values: Float32Array,
  rows: number,
  columns: number,
  greatest: number,
): void {
  paint(canvas, rows, columns, (row, column) => {
    const value = values[row * columns + column]! / (greatest || 1)
    const share = Math.sqrt(unit(Math.abs(value)))
    const [red, green, blue] = value < 0 ? negative : positive
    const mix = (channel: number): number => Math.round(255 + (channel - 255) * share)
    return pixel([mix(red), mix(green), mix(blue)])
  })
}

/** The colour of a score in [0, 1], for a style; outside, the nearest. */
export function scoreColour(score: number): string {
  return `rgb(${colourAt(unit(score)).join(' ')})`
}

/** The scale that the maps share, for a style. */
export const rampStyle = `linear-gradient(to right, ${Array.from({ length: 11 }, (_, i) => `rgb(${colourAt(Math.sqrt(i / 10)).join(' ')}) ${10 * i}%`).join(', ')})`

/** The scale of scores, for a style. */
export const scoreRampStyle = `linear-gradient(to right, ${Array.from({ length: 6 }, (_, i) => `rgb(${colourAt(i / 5).join(' ')}) ${20 * i}%`).join(', ')})`
