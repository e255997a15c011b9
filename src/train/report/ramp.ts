/** The colours of attention maps: from the white of the page to a deep violet, evenly darker; for dark pages the page turns them round. */
import type { Colour } from './bitmap.ts'

const stops: readonly Colour[] = [
  [255, 255, 255],
  [222, 217, 236],
  [170, 158, 206],
  [112, 88, 164],
  [64, 34, 116],
  [26, 9, 54],
]

/** Of a cell that causal attention cannot reach. */
export const maskedColour: Colour = [243, 243, 241]

/** @param place from 0 to 1 */
export function colourAt(place: number): Colour {
  const index = Math.min(Math.floor(place * (stops.length - 1)), stops.length - 2)
  const rest = place * (stops.length - 1) - index
  const mix = (channel: 0 | 1 | 2) =>
    Math.round(stops[index]![channel] * (1 - rest) + stops[index + 1]![channel] * rest)
  return [mix(0), mix(1), mix(2)]
}
