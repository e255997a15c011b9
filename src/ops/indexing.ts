/** Reading and adding through tensors of indices. */
import * as kernels from '../../kernels/indexing.ts'
import { SluiceError, showShape } from '../errors.ts'
import { full, tensor } from '../tensor/create.ts'
import { launch } from '../tensor/launch.ts'
import { around, normalAxis, type Shape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { example, needIndices, needTensor } from './operands.ts'
import { type BadInput, type Draw, defineOp, type Operation } from './record.ts'

const index = (values: number[], shape: number[] = [values.length]): Tensor =>
  tensor(new Int32Array(values), { shape, device: 'reference' })

/** x and indices of one rank, with equal sizes off the axis. */
function needAligned(operation: string, x: Tensor, indices: Tensor, axis: number): number {
  needTensor(operation, 'x', x)
  needTensor(operation, 'indices', indices)
  const at = normalAxis(operation, axis, x.rank)
  if (indices.rank !== x.rank || x.shape.some((n, i) => i !== at && n !== indices.shape[i])) {
    throw new SluiceError(
      operation,
      `x ${showShape(x.shape)} and indices ${showShape(indices.shape)} must have equal sizes off axis ${at}`,
    )
  }
  needIndices(operation, indices, x.shape[at])
  return at
}

const zerosOf = (shape: Shape, like: Tensor): Tensor => full(shape, 0, { device: like.device })

function drawAligned(draw: Draw): { x: Tensor; indices: Tensor; axis: number } {
  const x = draw.tensor(draw.shape({ minRank: 1 }))
  const axis = draw.integer(0, x.rank - 1)
  const indices = draw.indices(x.shape.with(axis, draw.integer(1, 4)), x.shape[axis])
  return { x, indices, axis }
}

const alignedErrors: readonly BadInput[] = [
  {
    what: 'an index that is not there',
    arguments: () => [example([2]), index([0, 2]), 0],
    message: /index 2 at position 1 is out of range; expected 0 to 1/,
  },
  {
    what: 'other sizes that differ',
    arguments: () => [example([2, 3]), index([0, 0], [1, 2]), 0],
    message: /must have equal sizes off axis 0/,
  },
  {
    what: 'float indices',
    arguments: () => [example([2]), example([2]), 0],
    message: /indices must be int32, got float64/,
  },
]

export const gather: Operation<[x: Tensor, indices: Tensor, axis: number]> = defineOp({
  name: 'gather',
  doc: 'Along the axis, the elements that the indices name: out[i, j] = x[indices[i, j], j] for axis 0. Sizes off the axis are equal.',
  prepare: (x: Tensor, indices: Tensor, axis: number): [Tensor, Tensor, number] => [
    x,
    indices,
    needAligned('gather', x, indices, axis),
  ],
  shape: (_x, indices) => indices.shape,
  forward: (shape, x, indices, axis) => {
    const [outer, n, inner] = around(x.shape, axis)
    const m = shape[axis]
    return launch(kernels.gather, shape, [x, indices, n, m, inner], [inner, m, outer], { dtype: x.dtype })
  },
  vjp: (dy, _y, x, indices, axis) => [() => scatterAdd(zerosOf(x.shape, x), indices, dy, axis), null],
  samples: (draw) => {
    const { x, indices, axis } = drawAligned(draw)
    return [x, indices, draw.pick([axis, axis - x.rank])] as [Tensor, Tensor, number]
  },
  errors: alignedErrors,
})

export const scatterAdd: Operation<[x: Tensor, indices: Tensor, source: Tensor, axis: number]> = defineOp({
  name: 'scatterAdd',
  doc: 'x with source added where the indices say: out[indices[i, j], j] += source[i, j] for axis 0. Repeated indices add up.',
  prepare: (x: Tensor, indices: Tensor, source: Tensor, axis: number): [Tensor, Tensor, Tensor, number] => {
    const at = needAligned('scatterAdd', x, indices, axis)
    needTensor('scatterAdd', 'source', source)
    if (showShape(source.shape) !== showShape(indices.shape)) {
      throw new SluiceError(
        'scatterAdd',
        `source ${showShape(source.shape)} must have the shape of indices ${showShape(indices.shape)}`,
      )
    }
    return [x, indices, source, at]
  },
  shape: (x) => x.shape,
  forward: (shape, x, indices, source, axis) => {
    const [outer, n, inner] = around(shape, axis)
    const m = indices.shape[axis]
    return launch(kernels.scatterAdd, shape, [x, indices, source, m, n, inner], [inner, n, outer])
  },
  vjp: (dy, _y, _x, indices, _source, axis) => [dy, null, () => gather(dy, indices, axis)],
  samples: (draw) => {
    const { x, indices, axis } = drawAligned(draw)
    return [x, indices, draw.tensor(indices.shape), axis] as [Tensor, Tensor, Tensor, number]
  },
  errors: [
    {
      what: 'a source of another shape',
      arguments: () => [example([2]), index([0, 1]), example([1]), 0],
      message: /source \[1\] must have the shape of indices \[2\]/,
    },
    {
      what: 'an index that is not there',
      arguments: () => [example([2]), index([-1]), example([1]), 0],
      message: /index -1 at position 0 is out of range/,
    },
  ],
})

/** The adjoint of `embedding`: rows of dy [..., C] added up by index into [V, C]. */
const embeddingGradient: Operation<[dy: Tensor, indices: Tensor, V: number]> = defineOp({
  name: 'embeddingGradient',
  doc: 'Rows of dy [..., C] added up by index, into [V, C].',
  internal: true,
  shape: (dy: Tensor, _indices: Tensor, V: number) => [V, dy.shape.at(-1)!],
  forward: (shape, dy, indices) => {
    const [V, C] = shape
    return launch(kernels.embeddingGradient, shape, [dy, indices, indices.size, C], [C, V, 1])
  },
  vjp: (g, _y, _dy, indices) => [() => embedding(g, indices), null],
  samples: (draw) => {
    const V = draw.integer(1, 4)
    const indices = draw.indices(draw.shape({ maxRank: 2 }), V)
    return [draw.tensor([...indices.shape, draw.integer(1, 3)]), indices, V] as [Tensor, Tensor, number]
  },
})

export const embedding: Operation<[table: Tensor, indices: Tensor]> = defineOp({
  name: 'embedding',
  doc: 'Rows of the table [V, C] that the indices [...] name: [..., C].',
  shape: (table: Tensor, indices: Tensor) => {
    needTensor('embedding', 'table', table)
    if (table.rank !== 2) throw new SluiceError('embedding', `the table must be [V, C], got ${showShape(table.shape)}`)
    needIndices('embedding', indices, table.shape[0])
    return [...indices.shape, table.shape[1]]
  },
  forward: (shape, table, indices) => {
    const C = table.shape[1]
    return launch(kernels.embedding, shape, [table, indices, C], [C, indices.size, 1])
  },
  vjp: (dy, _y, table, indices) => [() => embeddingGradient(dy, indices, table.shape[0]), null],
  samples: (draw) => {
    const V = draw.integer(1, 5)
    return [draw.tensor([V, draw.integer(1, 3)]), draw.indices(draw.shape({ maxRank: 2 }), V)] as [Tensor, Tensor]
  },
  errors: [
    {
      what: 'an index that is not there',
      arguments: () => [example([3, 2]), index([3])],
      message: /index 3 at position 0 is out of range; expected 0 to 2/,
    },
    {
      what: 'a table of rank 1',
      arguments: () => [example([3]), index([0])],
      message: /the table must be \[V, C\], got \[3\]/,
    },
  ],
})

export const oneHot: Operation<[indices: Tensor, n: number]> = defineOp({
  name: 'oneHot',
  doc: '1 at the index, 0 elsewhere: indices [...] to [..., n]. An index outside [0, n) gives zeros. No gradient.',
  shape: (indices: Tensor, n: number) => {
    needTensor('oneHot', 'indices', indices)
    if (indices.dtype !== 'int32') throw new SluiceError('oneHot', `indices must be int32, got ${indices.dtype}`)
    if (!Number.isInteger(n) || n < 1) throw new SluiceError('oneHot', `n must be a positive integer, got ${n}`)
    return [...indices.shape, n]
  },
  forward: (shape, indices, n) => launch(kernels.oneHot, shape, [indices], [n, indices.size, 1]),
  vjp: null,
  samples: (draw) => {
    const n = draw.integer(1, 4)
    return [draw.indices(draw.shape({ maxRank: 2 }), n), n] as [Tensor, number]
  },
  errors: [
    { what: 'float indices', arguments: () => [example([2]), 3], message: /indices must be int32, got float64/ },
    { what: 'no classes', arguments: () => [index([0]), 0], message: /n must be a positive integer, got 0/ },
  ],
})

/** int32 indices of the k largest, in falling order. */
const topKIndices: Operation<[x: Tensor, k: number, axis: number]> = defineOp({
  name: 'topKIndices',
  doc: 'Indices of the k largest along an axis, in falling order; the first of ties. No gradient.',
  internal: true,
  shape: (x: Tensor, k: number, axis: number) => x.shape.with(axis, k),
  forward: (shape, x, k, axis) => {
    const [outer, n, inner] = around(x.shape, axis)
    return launch(kernels.topKIndex, shape, [x, n, inner], [inner, k, outer], { dtype: 'int32' })
  },
  vjp: null,
  samples: (draw) => {
    const x = draw.tensor(draw.shape({ minRank: 1 }), { distinct: true })
    const axis = draw.integer(0, x.rank - 1)
    return [x, draw.integer(1, x.shape[axis]), axis] as [Tensor, number, number]
  },
})

export const topK: Operation<[x: Tensor, k: number, options?: { axis?: number }], { values: Tensor; indices: Tensor }> =
  defineOp({
    name: 'topK',
    doc: 'The k largest along an axis (the last) in falling order, and their int32 indices; the first of ties comes first.',
    compose: (x: Tensor, k: number, { axis = -1 }: { axis?: number } = {}) => {
      needTensor('topK', 'x', x)
      const at = normalAxis('topK', axis, x.rank)
      if (!Number.isInteger(k) || k < 1 || k > x.shape[at]) {
        throw new SluiceError(
          'topK',
          `k = ${k}; expected 1 to ${x.shape[at]}, the size of axis ${axis} of ${showShape(x.shape)}`,
        )
      }
      const indices = topKIndices(x, k, at)
      return { values: gather(x, indices, at), indices }
    },
    samples: (draw) => {
      const x = draw.tensor(draw.shape({ minRank: 1 }), { distinct: true })
      const axis = draw.integer(0, x.rank - 1)
      return [x, draw.integer(1, x.shape[axis]), { axis }] as [Tensor, number, { axis: number }]
    },
    errors: [{ what: 'more than there are', arguments: () => [example([2]), 3], message: /k = 3; expected 1 to 2/ }],
  })
