/** How the operands of a map lie, which decides the code that walks them. */
import type { Grid } from '../../../kernel.ts'

/**
 * One operand:
 *
 *  - contiguous: an element for each of the output's, in its order;
 *  - single: one number for all;
 *  - row: its row of elements for each of the output's rows, some of them the same;
 *  - perRow: a number for each of the output's rows.
 */
export type Access = 'contiguous' | 'single' | 'row' | 'perRow'

export interface Layout {
  /** Elements of a row, and rows in two axes. */
  readonly X: number
  readonly Y: number
  readonly Z: number
  readonly accesses: readonly Access[]
  /** Steps between rows of each operand along Y and Z, in elements. */
  readonly steps: readonly (readonly [sz: number, sy: number])[]
}

/**
 * The layout of the first `operands` of a launch's parameters; undefined where one of them neither walks nor repeats along
 * a row.
 */
export function layoutOf(operands: number, [X, Y, Z]: Grid, parameters: readonly unknown[]): Layout | undefined {
  // Rows of one element are better walked as the elements of a row, where they lie so.
  if (X === 1 && (Y > 1 || Z > 1)) {
    const turned = Array.from({ length: operands }, (_, i) => {
      const [place, sz, sy] = parameters.slice(4 * i) as [unknown, number, number]
      return [place, 0, sz, sy]
    })
    const layout = layoutOf(operands, [Y, Z, 1], turned.flat())
    if (layout) return layout
  }
  const accesses: Access[] = []
  const steps: [number, number][] = []
  for (let i = 0; i < 4 * operands; i += 4) {
    const [sz, sy, sx] = [Z === 1 ? 0 : parameters[i + 1], Y === 1 ? 0 : parameters[i + 2], parameters[i + 3]] as [
      number,
      number,
      number,
    ]
    const walks = X === 1 || sx === 1
    if (!walks && sx !== 0) return undefined
    if (walks && (Y === 1 || sy === X) && (Z === 1 || sz === X * Y)) accesses.push('contiguous')
    else if ((X === 1 || sx === 0) && sy === 0 && sz === 0) accesses.push('single')
    else accesses.push(walks ? 'row' : 'perRow')
    steps.push([sz, sy])
  }
  return { X, Y, Z, accesses, steps }
}
