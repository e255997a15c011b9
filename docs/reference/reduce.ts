/** Pages of reductions, running sums and indexing. */
import type { OperationPage } from './page.ts'

const reduction = (gradient: string, example: string): OperationPage => ({
  arguments: {
    x: '[...]',
    'options.axis': 'one axis or several, negative ones counted from the end; all unless given',
    'options.keepdim': 'keep the reduced axes, with size 1; false unless given',
  },
  result: 'the shape of x without the reduced axes',
  gradient,
  example,
})

export const reducePages = {
  sum: reduction(
    'dx = dy, repeated along the reduced axes',
    `
const x = tensor([[1, 2, 3], [4, 5, 6]])
console.log(String(x.sum())) // 21.0
console.log(String(x.sum({ axis: 0 }))) // [5. 7. 9.]
console.log(x.sum({ axis: 1, keepdim: true }).shape) // [ 2, 1 ]
`,
  ),
  mean: reduction(
    'dx = dy / n, repeated along the reduced axes, of n elements',
    `
const x = tensor([[1, 2, 3], [4, 5, 6]])
console.log(String(x.mean({ axis: -1 }))) // [2. 5.]
`,
  ),
  max: reduction(
    'dx = dy where x = y, divided evenly among ties',
    `
const x = tensor([[1, 3], [3, 2]], { requiresGrad: true })
const y = x.max()
y.backward()
console.log(String(y)) // 3.0
console.log(String(x.grad)) // [[0.  0.5]
//                              [0.5 0. ]]
`,
  ),
  min: reduction(
    'dx = dy where x = y, divided evenly among ties',
    `
console.log(String(tensor([[4, 3], [1, 2]]).min({ axis: 1 }))) // [3. 1.]
`,
  ),
  logsumexp: reduction(
    'dx = dy e^(x - y)',
    `
const x = tensor([1000, 1000], { device: 'reference' })
console.log(String(x.logsumexp())) // 1000.6931471805599
`,
  ),
  argmax: {
    arguments: { x: '[...]', axis: 'number; -1 unless given' },
    result: 'the shape of x without the axis, int32',
    gradient: null,
    example: `
const x = tensor([[1, 5, 2], [7, 0, 7]])
console.log(String(x.argmax())) // [1 0]
`,
  },
  cumsum: {
    arguments: {
      x: '[...]',
      axis: 'number',
      'options.reverse': 'sum from here to the end; false unless given',
    },
    result: '[...]',
    gradient: 'dx = cumsum(dy), in the other direction',
    example: `
const x = tensor([1, 2, 3])
console.log(String(x.cumsum(0))) // [1. 3. 6.]
console.log(String(x.cumsum(0, { reverse: true }))) // [6. 5. 3.]
`,
  },
  gather: {
    arguments: {
      x: 'tensor',
      indices: 'int32 tensor of the same rank; sizes off the axis are those of x',
      axis: 'number',
    },
    result: 'the shape of the indices',
    gradient: 'dx = zeros, with dy added where the indices say (scatterAdd)',
    example: `
const x = tensor([[1, 2, 3], [4, 5, 6]])
const indices = tensor([[2], [0]], { dtype: 'int32' })
console.log(String(x.gather(indices, 1))) // [[3.]
//                                            [4.]]
`,
  },
  scatterAdd: {
    arguments: {
      x: 'tensor',
      indices: 'int32 tensor of the same rank; sizes off the axis are those of x',
      source: 'tensor of the shape of the indices',
      axis: 'number',
    },
    result: 'the shape of x',
    gradient: 'dx = dy, dsource = dy read through the indices (gather)',
    example: `
const indices = tensor([0, 2, 0], { dtype: 'int32' })
console.log(String(zeros([3]).scatterAdd(indices, tensor([1, 2, 3]), 0))) // [4. 0. 2.]
`,
  },
  embedding: {
    arguments: { table: '[V, C]', indices: '[...]: int32, in [0, V)' },
    result: '[..., C]',
    gradient: 'dtable = rows of dy added up by index',
    example: `
const table = tensor([[0, 0.5], [1, 1.5], [2, 2.5]], { requiresGrad: true })
const y = table.embedding(tensor([2, 0, 2], { dtype: 'int32' }))
y.sum().backward()
console.log(String(y)) // [[2.  2.5]
//                         [0.  0.5]
//                         [2.  2.5]]
console.log(String(table.grad)) // [[1. 1.]
//                                  [0. 0.]
//                                  [2. 2.]]
`,
  },
  oneHot: {
    arguments: { indices: '[...]: int32', n: 'number of classes' },
    result: '[..., n]',
    gradient: null,
    example: `
console.log(String(tensor([2, 0], { dtype: 'int32' }).oneHot(3))) // [[0. 0. 1.]
//                                                                    [1. 0. 0.]]
`,
  },
  topK: {
    arguments: { x: '[...]', k: 'how many', 'options.axis': 'number; -1 unless given' },
    result: { values: 'the shape of x, with k along the axis', indices: 'the same shape, int32' },
    gradient: 'dx = zeros, with the gradient of the values where they were found; the indices have none',
    example: `
const { values, indices } = tensor([1, 9, 3, 7]).topK(2)
console.log(String(values)) // [9. 7.]
console.log(String(indices)) // [1 3]
`,
  },
} satisfies Record<string, OperationPage>
