/** Reductions over axes, and running sums. */
import type { CellKernel } from '../../kernels/kernel.ts'
import * as kernels from '../../kernels/reduce.ts'
import type { Cotangent } from '../autograd/tape.ts'
import { SluiceError, showShape } from '../errors.ts'
import { launch } from '../tensor/launch.ts'
import { around, normalAxes, normalAxis, type Shape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { div, equal, mul, sub } from './elementwise.ts'
import { exp } from './functions.ts'
import { expand, reshape } from './movement.ts'
import { example, needTensor } from './operands.ts'
import { type BadInput, type Draw, defineOp, type Operation, type TensorDraw } from './record.ts'

/** Over which axes, and in which form. */
export interface ReduceOptions {
  /** One axis or several; all unless given. */
  axis?: number | readonly number[]
  /** Keep the reduced axes, with size 1. */
  keepdim?: boolean
}

/** Reduces x of any shape over one axis, several, or all. */
export type Reduction = Operation<[x: Tensor, options?: ReduceOptions]>

function reducedShape(shape: Shape, axes: readonly number[], keepdim: boolean): number[] {
  return shape.flatMap((n, axis) => (axes.includes(axis) ? (keepdim ? [1] : []) : [n]))
}

/** Launches a kernel of [Z, n, X] over each run of adjacent axes, from the last run to the first. */
function reduceAxes(kernel: CellKernel, x: Tensor, axes: readonly number[]): Tensor {
  let result = x.alias(x.shape)
  // Without axes nothing is reduced, but the result is of the float type all the same.
  if (axes.length === 0 && x.dtype === 'int32') return launch(kernel, x.shape, [x, 1, 1], [1, 1, x.size])
  for (let end = axes.length - 1; end >= 0; ) {
    let start = end
    while (start > 0 && axes[start - 1] === axes[start] - 1) start--
    const [outer, n, inner] = around(result.shape, axes[start], axes[end])
    const shape = result.shape.map((size, axis) => (axis >= axes[start] && axis <= axes[end] ? 1 : size))
    result = launch(kernel, shape, [result, n, inner], [inner, 1, outer])
    end = start - 1
  }
  return result
}

const axisErrors: readonly BadInput[] = [
  { what: 'no tensor', arguments: () => ['1'], message: /x must be a tensor, got string/ },
  {
    what: 'an axis that is not there',
    arguments: () => [example([2, 3]), { axis: 2 }],
    message: /axis 2 is out of range; expected -2 to 1 for rank 2/,
  },
  { what: 'an axis twice', arguments: () => [example([2, 3]), { axis: [0, -2] }], message: /axis 0 is named twice/ },
]

interface ReductionDefinition {
  doc: string
  forward: (x: Tensor, axes: readonly number[]) => Tensor
  /** dy and y come with the reduced axes kept, so that they broadcast against x. */
  vjp: (dy: Tensor, y: Tensor, x: Tensor, count: number) => Cotangent
  draw?: TensorDraw
  /** Whether there is a value for no elements: 0 for a sum, none for a maximum. */
  ofNothing: boolean
}

function reduction(name: string, { doc, forward, vjp, draw: domain, ofNothing }: ReductionDefinition): Reduction {
  return defineOp<[x: Tensor, options?: ReduceOptions], [Tensor, readonly number[], boolean]>({
    name,
    doc: `${doc} Over \`axis\` (one, several, or all), which \`keepdim\` keeps with size 1.`,
    prepare: (x, { axis, keepdim = false } = {}) => {
      needTensor(name, 'x', x)
      const axes = normalAxes(name, axis, x.rank)
      if (!ofNothing && axes.some((a) => x.shape[a] === 0)) {
        throw new SluiceError(
          name,
          `${showShape(x.shape)} has no elements along axis ${axes.find((a) => x.shape[a] === 0)}; there is no ${name} of nothing`,
        )
      }
      return [x, axes, keepdim]
    },
    shape: (x, axes, keepdim) => reducedShape(x.shape, axes, keepdim),
    forward: (shape, x, axes) => forward(x, axes).alias(shape),
    vjp: (dy, y, x, axes) => {
      const kept = reducedShape(x.shape, axes, true)
      const count = axes.reduce((n, axis) => n * x.shape[axis], 1)
      return [vjp(reshape(dy, kept), reshape(y, kept), x, count)]
    },
    samples: (draw: Draw) => {
      const x = draw.tensor(draw.shape(), domain)
      const some = x.shape.map((_, axis) => axis).filter(() => draw.boolean())
      const axis = draw.pick([undefined, some, ...(x.rank ? [draw.integer(-x.rank, x.rank - 1)] : [])])
      return [x, { axis, keepdim: draw.boolean() }] as [Tensor, ReduceOptions]
    },
    errors: ofNothing
      ? axisErrors
      : [
          ...axisErrors,
          { what: 'nothing to reduce', arguments: () => [example([2, 0])], message: /has no elements along axis 1/ },
        ],
  })
}

export const sum: Reduction = reduction('sum', {
  doc: 'The sum; 0 for no elements.',
  forward: (x, axes) => reduceAxes(kernels.sumAxis, x, axes),
  // The walk would sum a smaller gradient, not spread it, so it is spread here.
  vjp: (dy, _y, x) => () => expand(dy, x.shape),
  ofNothing: true,
})

export const mean: Reduction = reduction('mean', {
  doc: 'The mean; NaN for no elements.',
  forward: (x, axes) => {
    const count = axes.reduce((n, axis) => n * x.shape[axis], 1)
    return div(reduceAxes(kernels.sumAxis, x, axes), count)
  },
  vjp: (dy, _y, x, count) => () => expand(div(dy, count), x.shape),
  ofNothing: true,
})

/** The gradient of an extremum, shared evenly among the elements that reach it. */
function extremeGradient(dy: Tensor, y: Tensor, x: Tensor): Tensor {
  const reaches = equal(x, y)
  // y has size 1 along the reduced axes: counting over them gives y's shape again.
  const axes = y.shape.flatMap((n, axis) => (n === 1 && x.shape[axis] !== 1 ? [axis] : []))
  return mul(reaches, div(dy, sum(reaches, { axis: axes, keepdim: true })))
}

export const max: Reduction = reduction('max', {
  doc: 'The largest; NaN if there is one. Elements that tie share the gradient evenly.',
  forward: (x, axes) => reduceAxes(kernels.maxAxis, x, axes),
  vjp: (dy, y, x) => () => extremeGradient(dy, y, x),
  draw: { distinct: true },
  ofNothing: false,
})

export const min: Reduction = reduction('min', {
  doc: 'The smallest; NaN if there is one. Elements that tie share the gradient evenly.',
  forward: (x, axes) => reduceAxes(kernels.minAxis, x, axes),
  vjp: (dy, y, x) => () => extremeGradient(dy, y, x),
  draw: { distinct: true },
  ofNothing: false,
})

/** log sum e^x over one run of adjacent axes after another. */
function logsumexpAxes(x: Tensor, axes: readonly number[]): Tensor {
  const max = reduceAxes(kernels.maxAxis, x, axes)
  if (axes.length === 0) return max
  const first = axes[0]
  const adjacent = axes.every((axis, i) => axis === first + i)
  if (!adjacent) {
    // log sum over the later axes, then log sum of those over the earlier ones.
    const last = axes[axes.length - 1]
    return logsumexpAxes(logsumexpAxes(x, [last]), axes.slice(0, -1))
  }
  const [outer, n, inner] = around(x.shape, first, axes[axes.length - 1])
  const total = launch(kernels.sumExpAxis, max.shape, [x, max, n, inner], [inner, 1, outer])
  return launch(kernels.logSumShift, max.shape, [total, max])
}

export const logsumexp: Reduction = reduction('logsumexp', {
  doc: 'log sum e^x, without overflow; -infinity where all are -infinity, and there the gradient is NaN.',
  forward: logsumexpAxes,
  vjp: (dy, y, x) => () => mul(dy, exp(sub(x, y))),
  draw: { low: -4, high: 4 },
  ofNothing: false,
})

export const argmax: Operation<[x: Tensor, axis?: number]> = defineOp({
  name: 'argmax',
  doc: 'Index of the largest along an axis (the last), int32; the first of ties, the first NaN if there is one. No gradient.',
  prepare: (x: Tensor, axis = -1): [Tensor, number] => {
    needTensor('argmax', 'x', x)
    const at = normalAxis('argmax', axis, x.rank)
    if (x.shape[at] === 0) throw new SluiceError('argmax', `axis ${axis} of ${showShape(x.shape)} has no elements`)
    return [x, at]
  },
  shape: (x, axis) => x.shape.toSpliced(axis, 1),
  forward: (shape, x, axis) => {
    const [outer, n, inner] = around(x.shape, axis)
    return launch(kernels.argmaxAxis, shape, [x, n, inner], [inner, 1, outer], { dtype: 'int32' })
  },
  vjp: null,
  samples: (draw) => {
    const x = draw.tensor(draw.shape({ minRank: 1 }), { distinct: true })
    return [x, draw.integer(-x.rank, x.rank - 1)] as [Tensor, number]
  },
  errors: [
    { what: 'rank 0', arguments: () => [example([])], message: /a rank-0 tensor has no axes/ },
    { what: 'no elements', arguments: () => [example([2, 0])], message: /axis -1 of \[2, 0\] has no elements/ },
  ],
})

export const cumsum: Operation<[x: Tensor, axis: number, options?: { reverse?: boolean }]> = defineOp<
  [x: Tensor, axis: number, options?: { reverse?: boolean }],
  [Tensor, number, boolean]
>({
  name: 'cumsum',
  doc: 'Sums of the elements so far along an axis; with `reverse`, of those from here on.',
  prepare: (x, axis, { reverse = false } = {}) => {
    needTensor('cumsum', 'x', x)
    return [x, normalAxis('cumsum', axis, x.rank), reverse]
  },
  shape: (x) => x.shape,
  forward: (shape, x, axis, reverse) => {
    const [outer, n, inner] = around(shape, axis)
    return launch(kernels.cumsumAxis, shape, [x, n, inner, reverse ? 1 : 0], [inner, n, outer])
  },
  vjp: (dy, _y, _x, axis, reverse) => [() => cumsum(dy, axis, { reverse: !reverse })],
  samples: (draw) => {
    const x = draw.tensor(draw.shape({ minRank: 1 }))
    return [x, draw.integer(-x.rank, x.rank - 1), { reverse: draw.boolean() }]
  },
  errors: [
    { what: 'an axis that is not there', arguments: () => [example([2]), 1], message: /axis 1 is out of range/ },
  ],
})
