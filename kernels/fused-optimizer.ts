/**
 * What is done to all parameters of a model at once: AdamW's step, and clipping by the norm of the whole gradient.
 *
 * One launch takes several tensors, so a kernel here is a family: its member for `count` tensors is at `count - 1`. A device
 * may split a launch into as many dispatches as it has bindings for.
 */
import { defineFused, type FusedKernel } from './kernel.ts'

/** Tensors that one launch takes at most. */
export const MOST_TENSORS = 8

type Table = Record<string, 'array' | 'integer' | 'float'>

/** Entries of a table for each of `count` tensors, their names numbered. */
function numbered<T>(count: number, entries: Readonly<Record<string, T>>): Record<string, T> {
  const each = Array.from({ length: count }, (_, i) =>
    Object.entries(entries).map(([name, t]) => [name + i, t] as const),
  )
  return Object.fromEntries(each.flat())
}

function family(make: (count: number) => FusedKernel): readonly FusedKernel[] {
  return Array.from({ length: MOST_TENSORS }, (_, i) => make(i + 1))
}

/**
 * AdamW's step in place; the formulas are those of `movingAverage`, `movingAverageOfSquare` and `adamWStep`
 * (kernels/optimizer.ts). `values` [rows, 3] holds rate, 1 - beta1^t and 1 - beta2^t, which change at every step; tensor i
 * takes its row `row<i>`. Nothing is touched if the first element of `guard` is not finite.
 */
export const adamW: readonly FusedKernel[] = family((count) => {
  const each: Table = { gradient: 'array', size: 'integer', row: 'integer', decay: 'float' }
  return defineFused(
    `adamW of ${count}`,
    { values: 'array', guard: 'array', beta1: 'float', beta2: 'float', eps: 'float', ...numbered(count, each) },
    numbered(count, { parameter: 'update', firstMoment: 'update', secondMoment: 'update' }),
  )
})

/** How many partial sums `sumsOfSquares` makes of a tensor. */
export function squareBlocks(size: number): number {
  return Math.min(1024, Math.ceil(size / 4096))
}

const squares = (result: 'new' | 'update') =>
  family((count) =>
    defineFused(
      `${result === 'new' ? 'first' : 'further'} sums of squares of ${count}`,
      { offset: 'integer', ...numbered<'array' | 'integer'>(count, { x: 'array', size: 'integer' }) },
      { sums: result },
    ),
  )

/**
 * Partial sums of the tensors' squares, `squareBlocks(size)` a tensor, one tensor after the other from `offset` on. The
 * first launch makes `sums`, long enough for all; further ones fill the rest of it.
 */
export const sumsOfSquares = { first: squares('new'), further: squares('update') }

/** norm = sqrt(sum of the `count` partial sums); factor = min(1, maxNorm / (norm + 1e-6)). */
export const clipFactor = defineFused(
  'clipFactor',
  { sums: 'array', count: 'integer', maxNorm: 'float' },
  { norm: 'new', factor: 'new' },
)

/** x = factor x, in place; factor has one element. */
export const scaleInPlace: readonly FusedKernel[] = family((count) =>
  defineFused(
    `scaleInPlace of ${count}`,
    { factor: 'array', ...numbered<'array' | 'integer'>(count, { size: 'integer' }) },
    numbered(count, { x: 'update' }),
  ),
)
