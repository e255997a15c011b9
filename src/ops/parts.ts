/** Operations that cut tensors apart and put them together: slice and pad, concat, triangles. */
import * as kernels from '../../kernels/movement.ts'
import { SluiceError, showShape } from '../errors.ts'
import { launch } from '../tensor/launch.ts'
import { around, normalAxis, sameShape, sizeOf, stridesOf } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { unsqueeze } from './movement.ts'
import { example, needTensor } from './operands.ts'
import { defineOp, type Operation } from './record.ts'
import { copyStrided } from './strided.ts'

/** Per axis [start, end), counted from the end when negative; null for the whole axis. */
export type Range = readonly [start: number, end: number] | null

export const slice: Operation<[x: Tensor, ranges: readonly Range[]]> = defineOp({
  name: 'slice',
  doc: 'The part from start to end (exclusive) of each axis; axes without a range are whole.',
  prepare: (x: Tensor, ranges: readonly Range[]): [Tensor, [number, number][]] => {
    needTensor('slice', 'x', x)
    if (ranges.length > x.rank) {
      throw new SluiceError('slice', `${ranges.length} ranges for ${showShape(x.shape)}, which has ${x.rank} axes`)
    }
    const full = x.shape.map((n, axis): [number, number] => {
      const range = ranges[axis] ?? null
      if (range === null) return [0, n]
      const [start, end] = range.map((at) => (at < 0 ? at + n : at))
      if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end > n || start > end) {
        throw new SluiceError(
          'slice',
          `range [${range.join(', ')}] of axis ${axis} lies outside ${showShape(x.shape)}; expected 0 <= start <= end <= ${n}`,
        )
      }
      return [start, end]
    })
    return [x, full]
  },
  shape: (_x, ranges) => ranges.map(([start, end]) => end - start),
  forward: (shape, x, ranges) => {
    if (sameShape(shape, x.shape)) return x.alias(shape)
    const strides = stridesOf(x.shape)
    const offset = ranges.reduce((at, [start], axis) => at + start * strides[axis], 0)
    return copyStrided('slice', x, shape, offset, strides)
  },
  vjp: (dy, _y, x, ranges) => [
    () =>
      pad(
        dy,
        ranges.map(([start, end], axis) => [start, x.shape[axis] - end] as const),
      ),
  ],
  samples: (draw) => {
    const x = draw.tensor(draw.shape({ minRank: 1 }))
    const ranges = x.shape.map((n): Range => {
      const start = draw.integer(0, n - 1)
      return draw.boolean() ? [start, draw.integer(start, n)] : [start - n, n]
    })
    return [x, ranges] as [Tensor, Range[]]
  },
  errors: [
    {
      what: 'an end beyond the axis',
      arguments: () => [example([2, 3]), [null, [0, 4]]],
      message: /range \[0, 4\] of axis 1 lies outside \[2, 3\]/,
    },
    {
      what: 'too many ranges',
      arguments: () => [example([2]), [null, null]],
      message: /2 ranges for \[2\], which has 1 axes/,
    },
  ],
})

/** [before, after] counts of cells for each axis. */
export type Widths = readonly (readonly [before: number, after: number])[]

export const pad: Operation<[x: Tensor, widths: Widths, value?: number]> = defineOp<
  [x: Tensor, widths: Widths, value?: number],
  [Tensor, Widths, number]
>({
  name: 'pad',
  doc: 'Each axis lengthened by [before, after] cells of `value` (0).',
  prepare: (x, widths, value = 0) => {
    needTensor('pad', 'x', x)
    if (widths.length !== x.rank || widths.some((w) => w.some((n) => !Number.isInteger(n) || n < 0))) {
      throw new SluiceError(
        'pad',
        `expected a pair [before, after] of counts for each of the ${x.rank} axes of ${showShape(x.shape)}, got ${JSON.stringify(widths)}`,
      )
    }
    return [x, widths, value]
  },
  shape: (x, widths) => x.shape.map((n, axis) => widths[axis][0] + n + widths[axis][1]),
  forward: (_shape, x, widths, value) => {
    let result = x.alias(x.shape)
    widths.forEach(([before, after], axis) => {
      if (before + after === 0) return
      const [outer, n, inner] = around(result.shape, axis)
      const total = before + n + after
      const shape = result.shape.with(axis, total)
      result = launch(kernels.padAxis, shape, [result, n, before, inner, value], [inner, total, outer], {
        dtype: x.dtype,
      })
    })
    return result
  },
  vjp: (dy, _y, x, widths) => [
    () =>
      slice(
        dy,
        widths.map(([before], axis) => [before, before + x.shape[axis]] as const),
      ),
  ],
  samples: (draw) => {
    const x = draw.tensor(draw.shape())
    return [x, x.shape.map(() => [draw.integer(0, 2), draw.integer(0, 2)] as const), draw.integer(-1, 1)]
  },
  errors: [
    {
      what: 'a pair missing',
      arguments: () => [example([2, 3]), [[1, 1]]],
      message: /a pair \[before, after\] of counts for each of the 2 axes/,
    },
    {
      what: 'a negative width',
      arguments: () => [example([2]), [[-1, 0]]],
      message: /a pair \[before, after\] of counts/,
    },
  ],
})

export const concat: Operation<[tensors: readonly Tensor[], axis?: number]> = defineOp({
  name: 'concat',
  doc: 'Tensors joined along an axis (0); all other sizes are equal.',
  prepare: (tensors: readonly Tensor[], axis = 0): [readonly Tensor[], number] => {
    if (!Array.isArray(tensors) || tensors.length === 0)
      throw new SluiceError('concat', 'expected a list of at least one tensor')
    for (const t of tensors) needTensor('concat', 'each item', t)
    return [tensors, normalAxis('concat', axis, tensors[0].rank)]
  },
  shape: (tensors, axis) => {
    const [first] = tensors
    for (const t of tensors) {
      if (
        t.rank !== first.rank ||
        t.dtype !== first.dtype ||
        t.shape.some((n, i) => i !== axis && n !== first.shape[i])
      ) {
        const shapes = tensors.map((x) => `${showShape(x.shape)} ${x.dtype}`).join(', ')
        throw new SluiceError('concat', `sizes off axis ${axis} and dtypes must be equal, got ${shapes}`)
      }
    }
    return first.shape.with(
      axis,
      tensors.reduce((n, t) => n + t.shape[axis], 0),
    )
  },
  forward: (_shape, tensors, axis) => {
    // Joined in pairs, pairs of pairs and so on: each element moves log2(count) times.
    let parts = tensors.map((t) => t.alias(t.shape))
    while (parts.length > 1) {
      const joined: Tensor[] = []
      for (let i = 0; i < parts.length; i += 2) {
        const [a, b] = [parts[i], parts[i + 1]]
        if (!b) {
          joined.push(a)
          continue
        }
        const [outer, na, inner] = around(a.shape, axis)
        const nb = b.shape[axis]
        const shape = a.shape.with(axis, na + nb)
        joined.push(
          launch(kernels.concatPair, shape, [a, b, na, nb, inner], [inner, na + nb, outer], { dtype: a.dtype }),
        )
      }
      parts = joined
    }
    return parts[0]
  },
  vjp: (dy, _y, tensors, axis) => {
    let at = 0
    return tensors.map((t) => {
      const start = at
      at += t.shape[axis]
      return () => slice(dy, [...new Array<null>(axis).fill(null), [start, start + t.shape[axis]]])
    })
  },
  samples: (draw) => {
    const shape = draw.shape({ minRank: 1 })
    const axis = draw.integer(0, shape.length - 1)
    const parts = Array.from({ length: draw.integer(1, 4) }, () => draw.tensor(shape.with(axis, draw.integer(0, 3))))
    return [parts, draw.pick([axis, axis - shape.length])] as [Tensor[], number]
  },
  errors: [
    { what: 'no tensors', arguments: () => [[]], message: /a list of at least one tensor/ },
    {
      what: 'other sizes that differ',
      arguments: () => [[example([2, 3]), example([2, 4])], 0],
      message: /sizes off axis 0 and dtypes must be equal, got \[2, 3\] float64, \[2, 4\] float64/,
    },
  ],
})

export const stack: Operation<[tensors: readonly Tensor[], axis?: number]> = defineOp({
  name: 'stack',
  doc: 'Tensors of one shape, joined along a new axis (0).',
  compose: (tensors: readonly Tensor[], axis = 0): Tensor => {
    if (!Array.isArray(tensors) || tensors.length === 0)
      throw new SluiceError('stack', 'expected a list of at least one tensor')
    const odd = tensors.find((t) => !sameShape(t.shape, tensors[0].shape))
    if (odd)
      throw new SluiceError(
        'stack',
        `all shapes must be equal, got ${showShape(tensors[0].shape)} and ${showShape(odd.shape)}`,
      )
    const at = normalAxis('stack', axis, tensors[0].rank + 1)
    return concat(
      tensors.map((t) => unsqueeze(t, at)),
      at,
    )
  },
  samples: (draw) => {
    const shape = draw.shape()
    const parts = Array.from({ length: draw.integer(1, 3) }, () => draw.tensor(shape))
    return [parts, draw.integer(-shape.length - 1, shape.length)] as [Tensor[], number]
  },
  errors: [
    {
      what: 'shapes that differ',
      arguments: () => [[example([2]), example([3])]],
      message: /all shapes must be equal, got \[2\] and \[3\]/,
    },
  ],
})

function triangular(name: 'tril' | 'triu', lower: boolean, doc: string): Operation<[x: Tensor, k?: number]> {
  const op: Operation<[x: Tensor, k?: number]> = defineOp({
    name,
    doc,
    prepare: (x: Tensor, k = 0): [Tensor, number] => {
      needTensor(name, 'x', x)
      if (x.rank < 2) throw new SluiceError(name, `expected at least 2 axes, got ${showShape(x.shape)}`)
      if (!Number.isInteger(k)) throw new SluiceError(name, `the diagonal k must be an integer, got ${k}`)
      return [x, k]
    },
    shape: (x) => x.shape,
    forward: (shape, x, k) => {
      const [rows, columns] = shape.slice(-2)
      const batch = sizeOf(shape.slice(0, -2))
      return launch(kernels.triangle, shape, [x, rows, columns, k, lower ? 1 : 0], [columns, rows, batch], {
        dtype: x.dtype,
      })
    },
    vjp: (dy, _y, _x, k) => [() => op(dy, k)],
    samples: (draw) => [draw.tensor(draw.shape({ minRank: 2 })), draw.integer(-3, 3)] as [Tensor, number],
    errors: [
      { what: 'rank below 2', arguments: () => [example([3])], message: /expected at least 2 axes, got \[3\]/ },
      { what: 'a broken diagonal', arguments: () => [example([3, 3]), 0.5], message: /must be an integer, got 0.5/ },
    ],
  })
  return op
}

export const tril: Operation<[x: Tensor, k?: number]> = triangular(
  'tril',
  true,
  'The last two axes kept at and below diagonal k (0), zero above.',
)

export const triu: Operation<[x: Tensor, k?: number]> = triangular(
  'triu',
  false,
  'The last two axes kept at and above diagonal k (0), zero below.',
)
