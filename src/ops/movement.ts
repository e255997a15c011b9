/** Operations that move elements and compute nothing. Each is the adjoint of another: slice of pad, expand of sum. */
import { SluiceError, showShape } from '../errors.ts'
import { broadcastStrides, checkShape, collapse, normalAxis, type Shape, sizeOf, stridesOf } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { example, needTensor } from './operands.ts'
import { type BadInput, defineOp, type Operation } from './record.ts'
import { copyStrided } from './strided.ts'

const noTensor: BadInput = { what: 'no tensor', arguments: () => ['1', [1]], message: /x must be a tensor, got string/ }

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
