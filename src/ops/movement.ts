/** Operations that move elements and compute nothing. Each is the adjoint of another: slice of pad, expand of sum. */
import * as kernels from '../../kernels/movement.ts'
import { SluiceError, showShape } from '../errors.ts'
import { tensor } from '../tensor/create.ts'
import { launch } from '../tensor/launch.ts'
import {
  around,
  broadcastStrides,
  checkShape,
  collapse,
  normalAxis,
  type Shape,
  sameShape,
  sizeOf,
  stridesOf,
} from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { needTensor } from './operands.ts'
import { type BadInput, defineOp, type Operation } from './record.ts'

/** Example operand for records of bad input. */
const example = (shape: number[]): Tensor => tensor(new Float64Array(sizeOf(shape)), { shape, device: 'reference' })
const noTensor: BadInput = { what: 'no tensor', arguments: () => ['1', [1]], message: /x must be a tensor, got string/ }

/** Copies a strided view of `x` into a tensor of `shape`. */
function copyStrided(operation: string, x: Tensor, shape: Shape, offset: number, strides: readonly number[]): Tensor {
  const walk = collapse(shape, [strides])
  const rank = walk.shape.length
  if (rank > 6) {
    throw new SluiceError(
      operation,
      `${showShape(x.shape)} to ${showShape(shape)} walks ${rank} separate axes; 6 are the limit, do it in two steps`,
    )
  }
  const lead = 6 - rank
  const n = [...new Array<number>(lead).fill(1), ...walk.shape]
  const s = [...new Array<number>(lead).fill(0), ...walk.strides[0]]
  return launch(
    kernels.stridedCopy,
    shape,
    [x, offset, n[1], n[2], n[3], s[0], s[1], s[2], s[3], s[4], s[5]],
    [n[5], n[4], n[0] * n[1] * n[2] * n[3]],
    { dtype: x.dtype },
  )
}

export const reshape: Operation<[x: Tensor, shape: Shape]> = defineOp<[x: Tensor, shape: Shape], [Tensor, Shape]>({
  name: 'reshape',
  doc: 'The same elements, row-major, in another shape; one size may be -1. Shares the buffer.',
  shape: (x, given) => {
    needTensor('reshape', 'x', x)
    const inferred = given.indexOf(-1)
    const known = given.map((n) => (n === -1 ? 1 : n))
    checkShape('reshape', known)
    const shape = [...known]
    if (inferred >= 0 && sizeOf(known) > 0) shape[inferred] = x.size / sizeOf(known)
    if (given.indexOf(-1, inferred + 1) > 0 && inferred >= 0) {
      throw new SluiceError('reshape', `${showShape(given)} has more than one -1; only one size can be inferred`)
    }
    if (!Number.isInteger(shape[inferred] ?? 0) || sizeOf(shape) !== x.size) {
      throw new SluiceError(
        'reshape',
        `${showShape(x.shape)} has ${x.size} elements, which do not fit ${showShape(given)}`,
      )
    }
    return shape
  },
  forward: (shape, x) => x.alias(shape),
  vjp: (dy, _y, x) => [() => reshape(dy, x.shape)],
  samples: (draw) => {
    const x = draw.tensor(draw.shape())
    return [x, draw.pick([[x.size], [-1, 1], [1, x.size], [...x.shape].reverse()])]
  },
  errors: [
    noTensor,
    {
      what: 'a size that does not fit',
      arguments: () => [example([2, 3]), [4, -1]],
      message: /has 6 elements, which do not fit \[4, -1\]/,
    },
    { what: 'two unknowns', arguments: () => [example([2, 3]), [-1, -1]], message: /more than one -1/ },
  ],
})

export const permute: Operation<[x: Tensor, axes: readonly number[]]> = defineOp({
  name: 'permute',
  doc: 'The axes in another order: axis i of the result is axis axes[i] of x.',
  prepare: (x: Tensor, axes: readonly number[]): [Tensor, number[]] => {
    needTensor('permute', 'x', x)
    const order = axes.map((axis) => normalAxis('permute', axis, x.rank))
    if (new Set(order).size !== x.rank || order.length !== x.rank) {
      throw new SluiceError(
        'permute',
        `${showShape(axes)} must name each of the ${x.rank} axes of ${showShape(x.shape)} once`,
      )
    }
    return [x, order]
  },
  shape: (x, axes) => axes.map((axis) => x.shape[axis]),
  forward: (shape, x, axes) => {
    const own = stridesOf(x.shape)
    const strides = axes.map((axis) => own[axis])
    // Moving axes of size 1 moves nothing.
    const walked = collapse(shape, [strides]).shape.length
    return walked <= 1 ? x.alias(shape) : copyStrided('permute', x, shape, 0, strides)
  },
  vjp: (dy, _y, _x, axes) => [
    () => {
      const inverse = new Array<number>(axes.length)
      axes.forEach((axis, i) => {
        inverse[axis] = i
      })
      return permute(dy, inverse)
    },
  ],
  samples: (draw) => {
    const x = draw.tensor(draw.shape({ maxRank: 4, maxSize: 3 }))
    const axes = x.shape.map((_, i) => i)
    for (let i = axes.length - 1; i > 0; i--) {
      const j = draw.integer(0, i)
      ;[axes[i], axes[j]] = [axes[j], axes[i]]
    }
    return [x, axes] as [Tensor, number[]]
  },
  errors: [
    noTensor,
    { what: 'an axis missing', arguments: () => [example([2, 3]), [0]], message: /must name each of the 2 axes/ },
    { what: 'an axis twice', arguments: () => [example([2, 3]), [0, 0]], message: /must name each of the 2 axes/ },
    {
      what: 'an axis that is not there',
      arguments: () => [example([2, 3]), [0, 2]],
      message: /axis 2 is out of range/,
    },
  ],
})

export const transpose: Operation<[x: Tensor, axis1?: number, axis2?: number]> = defineOp({
  name: 'transpose',
  doc: 'Two axes exchanged, the last two unless given.',
  compose: (x: Tensor, axis1 = -2, axis2 = -1): Tensor => {
    needTensor('transpose', 'x', x)
    const axes = x.shape.map((_, i) => i)
    const a = normalAxis('transpose', axis1, x.rank)
    const b = normalAxis('transpose', axis2, x.rank)
    ;[axes[a], axes[b]] = [b, a]
    return permute(x, axes)
  },
  samples: (draw) => {
    const x = draw.tensor(draw.shape({ minRank: 2 }))
    return [x, draw.integer(0, x.rank - 1), draw.integer(-x.rank, -1)] as [Tensor, number, number]
  },
  errors: [noTensor, { what: 'rank below 2', arguments: () => [example([2])], message: /axis -2 is out of range/ }],
})

export const squeeze: Operation<[x: Tensor, axis?: number]> = defineOp({
  name: 'squeeze',
  doc: 'The named axis of size 1 removed, or all of them.',
  compose: (x: Tensor, axis?: number): Tensor => {
    needTensor('squeeze', 'x', x)
    if (axis === undefined) {
      return reshape(
        x,
        x.shape.filter((n) => n !== 1),
      )
    }
    const at = normalAxis('squeeze', axis, x.rank)
    if (x.shape[at] !== 1)
      throw new SluiceError('squeeze', `axis ${axis} of ${showShape(x.shape)} has size ${x.shape[at]}, expected 1`)
    return reshape(x, x.shape.toSpliced(at, 1))
  },
  samples: (draw) => {
    const shape = draw.shape()
    return [draw.tensor([...shape, 1]), draw.pick([-1, shape.length, undefined])] as [Tensor, number | undefined]
  },
  errors: [
    {
      what: 'a size other than 1',
      arguments: () => [example([2, 3]), 1],
      message: /axis 1 of \[2, 3\] has size 3, expected 1/,
    },
  ],
})

export const unsqueeze: Operation<[x: Tensor, axis: number]> = defineOp({
  name: 'unsqueeze',
  doc: 'An axis of size 1 inserted before `axis`; -1 puts it last.',
  compose: (x: Tensor, axis: number): Tensor => {
    needTensor('unsqueeze', 'x', x)
    return reshape(x, x.shape.toSpliced(normalAxis('unsqueeze', axis, x.rank + 1), 0, 1))
  },
  samples: (draw) => {
    const x = draw.tensor(draw.shape())
    return [x, draw.integer(-x.rank - 1, x.rank)] as [Tensor, number]
  },
  errors: [
    { what: 'an axis that is not there', arguments: () => [example([2]), 2], message: /axis 2 is out of range/ },
  ],
})

export const expand: Operation<[x: Tensor, shape: Shape]> = defineOp({
  name: 'expand',
  doc: 'Repeated along new leading axes and along axes of size 1, to `shape`; -1 keeps a size.',
  prepare: (x: Tensor, given: Shape): [Tensor, Shape] => {
    needTensor('expand', 'x', x)
    const lead = given.length - x.rank
    const shape = given.map((n, i) => (n === -1 && i >= lead ? x.shape[i - lead] : n))
    checkShape('expand', shape)
    if (lead < 0 || x.shape.some((n, i) => n !== 1 && n !== shape[lead + i])) {
      throw new SluiceError(
        'expand',
        `${showShape(x.shape)} does not repeat to ${showShape(given)}; only axes of size 1 and new leading axes can`,
      )
    }
    return [x, shape]
  },
  shape: (_x, shape) => shape,
  forward: (shape, x) =>
    x.size === sizeOf(shape) ? x.alias(shape) : copyStrided('expand', x, shape, 0, broadcastStrides(x.shape, shape)),
  vjp: (dy) => [dy],
  samples: (draw) => {
    const shape = draw.shape()
    const x = draw.tensor(shape.map((n) => (draw.boolean() ? n : 1)))
    return [x, [...draw.shape({ maxRank: 1 }), ...shape]] as [Tensor, number[]]
  },
  errors: [
    {
      what: 'a size that cannot repeat',
      arguments: () => [example([2, 3]), [4, 3]],
      message: /\[2, 3\] does not repeat to \[4, 3\]/,
    },
    { what: 'fewer axes', arguments: () => [example([2, 3]), [3]], message: /does not repeat/ },
  ],
})

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
      const padded = launch(kernels.padAxis, shape, [result, n, before, inner, value], [inner, total, outer], {
        dtype: x.dtype,
      })
      result.dispose()
      result = padded
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
        a.dispose()
        b.dispose()
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

export const flip: Operation<[x: Tensor, axis: number]> = defineOp({
  name: 'flip',
  doc: 'The axis in reverse order.',
  prepare: (x: Tensor, axis: number): [Tensor, number] => {
    needTensor('flip', 'x', x)
    return [x, normalAxis('flip', axis, x.rank)]
  },
  shape: (x) => x.shape,
  forward: (shape, x, axis) => {
    const strides = stridesOf(shape)
    return copyStrided(
      'flip',
      x,
      shape,
      Math.max(0, shape[axis] - 1) * strides[axis],
      strides.with(axis, -strides[axis]),
    )
  },
  vjp: (dy, _y, _x, axis) => [() => flip(dy, axis)],
  samples: (draw) => {
    const x = draw.tensor(draw.shape({ minRank: 1 }))
    return [x, draw.integer(-x.rank, x.rank - 1)] as [Tensor, number]
  },
  errors: [
    { what: 'an axis that is not there', arguments: () => [example([2]), 1], message: /axis 1 is out of range/ },
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
