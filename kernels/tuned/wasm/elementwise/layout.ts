/**
 * How the operands of a map lie, which decides the code that walks them. A launch asks this anew every time, so that it is
 * written for speed: one number says how all operands lie.
 */
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

const accesses: readonly Access[] = ['contiguous', 'single', 'row', 'perRow']
const [contiguous, single, row, perRow] = [0, 1, 2, 3]

/** A number of a digit for each operand must be exact. */
export const mostInputs = 26

/** Extents of the output's rows, and where the operands' strides along them stand. */
export interface Layout {
  readonly X: number
  readonly Y: number
  readonly Z: number
  /** How many of the launch's axes are left out at the start, since they have one element. */
  readonly shift: number
  /** The operands' accesses, a digit of base 4 each, the first the lowest. */
  readonly key: number
  /** Whether all operands are contiguous or single. */
  readonly isFlat: boolean
}

/** Four for each operand: the operand itself and its three strides. */
type LaunchParameters = readonly unknown[]

/** The stride of an operand along Z, Y or X of the layout: axis 0, 1 or 2. */
export function strideOf(parameters: LaunchParameters, operand: number, axis: number, shift: number): number {
  return axis < shift ? 0 : (parameters[4 * operand + 1 + axis - shift] as number)
}

export function accessesOf({ key }: Layout, operands: number): Access[] {
  return Array.from({ length: operands }, (_, i) => accesses[Math.floor(key / 4 ** i) % 4])
}

/**
 * The layout of the first `operands` of a launch's parameters; undefined where one of them neither walks nor repeats along
 * a row.
 */
export function layoutOf(operands: number, [X, Y, Z]: Grid, parameters: LaunchParameters): Layout | undefined {
  // Rows of one element are better walked as the elements of a row, where they lie so.
  const shift = X > 1 ? 0 : Y > 1 ? 1 : 2
  const turned =
    shift === 1
      ? withExtents(Y, Z, 1, 1, operands, parameters)
      : shift === 2 && withExtents(Z, 1, 1, 2, operands, parameters)
  return turned || withExtents(X, Y, Z, 0, operands, parameters)
}

function withExtents(
  X: number,
  Y: number,
  Z: number,
  shift: number,
  operands: number,
  parameters: LaunchParameters,
): Layout | undefined {
  let key = 0
  let isFlat = true
  for (let i = operands - 1; i >= 0; i--) {
    const sz = Z === 1 ? 0 : strideOf(parameters, i, 0, shift)
    const sy = Y === 1 ? 0 : strideOf(parameters, i, 1, shift)
    const sx = strideOf(parameters, i, 2, shift)
    const walks = X === 1 || sx === 1
    if (!walks && sx !== 0) return undefined
    let access = walks ? row : perRow
    if (walks && (Y === 1 || sy === X) && (Z === 1 || sz === X * Y)) access = contiguous
    else if ((X === 1 || sx === 0) && sy === 0 && sz === 0) access = single
    key = 4 * key + access
    if (access > single) isFlat = false
  }
  return { X, Y, Z, shift, key, isFlat }
}
