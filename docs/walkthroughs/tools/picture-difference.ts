/**
 * Whether two SVG show the same. Their words must be equal; places and colours may differ by what is not seen, since
 * processors add in different orders and the last bits of a trained model follow.
 */

/** Pixels. Axis labels are equal, so a point that moved by more has another value. */
const PIXELS = 2
/** Of 255, in each of red, green, blue. */
const LEVELS = 6

const COLOUR = /#[0-9a-f]{6}|rgb\(\d+,\d+,\d+\)/gi
const NUMBER = /-?\d+(?:\.\d+)?(?:e-?\d+)?/g

export function picturesAgree(a: string, b: string): boolean {
  const [partsA, partsB] = [split(a), split(b)]
  return (
    partsA.words === partsB.words &&
    near(partsA.colours, partsB.colours, LEVELS) &&
    near(partsA.numbers, partsB.numbers, PIXELS)
  )
}

/** Texts and the skeleton of tags; colours as numbers; all other numbers inside tags. */
function split(svg: string): { words: string; colours: number[]; numbers: number[] } {
  const colours: number[] = []
  const numbers: number[] = []
  const words = svg.replace(/<[^>]+>/g, (tag) =>
    tag
      .replace(COLOUR, (colour) => {
        colours.push(...channels(colour))
        return '#'
      })
      .replace(NUMBER, (number) => {
        numbers.push(Number(number))
        return '0'
      }),
  )
  return { words, colours, numbers }
}

function channels(colour: string): number[] {
  if (colour.startsWith('rgb')) return (colour.match(/\d+/g) ?? []).map(Number)
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16))
}

const near = (a: number[], b: number[], bound: number): boolean =>
  a.length === b.length && a.every((value, i) => Math.abs(value - b[i]) <= bound)
