/** Pages of operations that move elements, cut and join. */
import type { OperationPage } from './page.ts'

export const movementPages = {
  reshape: {
    arguments: { x: '[...]', shape: 'list of sizes; one may be -1, which is what remains' },
    result: 'the given shape',
    gradient: 'dx = dy in the shape of x',
    example: `
const x = arange(6)
console.log(String(x.reshape([2, -1]))) // [[0. 1. 2.]
//                                          [3. 4. 5.]]
`,
  },
  transpose: {
    arguments: { x: '[...]', axis1: 'number; -2 unless given', axis2: 'number; -1 unless given' },
    result: 'the shape of x with the two sizes exchanged',
    gradient: 'dx = dy with the same axes exchanged',
    example: `
console.log(String(tensor([[1, 2, 3], [4, 5, 6]]).transpose())) // [[1. 4.]
//                                                                  [2. 5.]
//                                                                  [3. 6.]]
`,
  },
  permute: {
    arguments: { x: '[...]', axes: 'list that names every axis once' },
    result: 'size i is that of axis axes[i] of x',
    gradient: 'dx = dy with the axes in the first order again',
    example: `
console.log(zeros([2, 3, 4]).permute([2, 0, 1]).shape) // [ 4, 2, 3 ]
`,
  },
  squeeze: {
    arguments: { x: '[...]', axis: 'number, of an axis of size 1; all of them unless given' },
    result: 'the shape of x without them',
    gradient: 'dx = dy in the shape of x',
    example: `
console.log(zeros([1, 3, 1]).squeeze().shape) // [ 3 ]
console.log(zeros([1, 3, 1]).squeeze(0).shape) // [ 3, 1 ]
`,
  },
  unsqueeze: {
    arguments: { x: '[...]', axis: 'number; the place of the new axis in the result' },
    result: 'the shape of x with a 1 there',
    gradient: 'dx = dy in the shape of x',
    example: `
console.log(zeros([2, 3]).unsqueeze(1).shape) // [ 2, 1, 3 ]
console.log(zeros([2, 3]).unsqueeze(-1).shape) // [ 2, 3, 1 ]
`,
  },
  expand: {
    arguments: { x: '[...]', shape: 'list of sizes; -1 keeps one' },
    result: 'the given shape',
    gradient: 'dx = dy summed over the repetitions',
    example: `
const x = tensor([[1], [2]], { requiresGrad: true })
const y = x.expand([2, 3])
y.sum().backward()
console.log(String(y)) // [[1. 1. 1.]
//                         [2. 2. 2.]]
console.log(String(x.grad)) // [[3.]
//                              [3.]]
`,
  },
  flip: {
    arguments: { x: '[...]', axis: 'number' },
    result: '[...]',
    gradient: 'dx = dy in reverse order',
    example: `
console.log(String(tensor([1, 2, 3]).flip(0))) // [3. 2. 1.]
`,
  },
  slice: {
    arguments: {
      x: '[...]',
      ranges:
        'for each axis [start, end), negative ones counted from the end, or null for the whole; fewer than axes will do',
    },
    result: 'end - start along each axis',
    gradient: 'dx = dy with zeros around it (pad)',
    example: `
const x = tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
console.log(String(x.slice([[1, 3], [0, 2]]))) // [[4. 5.]
//                                                 [7. 8.]]
console.log(String(x.slice([null, [-1, 3]]))) // [[3.]
//                                                [6.]
//                                                [9.]]
`,
  },
  pad: {
    arguments: {
      x: '[...]',
      widths: 'for each axis [before, after], counts of cells',
      value: 'number; 0 unless given',
    },
    result: 'before + size + after along each axis',
    gradient: 'dx = the part of dy where x lies (slice)',
    example: `
console.log(String(tensor([1, 2]).pad([[2, 1]]))) // [0. 0. 1. 2. 0.]
`,
  },
  concat: {
    arguments: {
      tensors: 'list of tensors, equal in dtype and in all sizes off the axis',
      axis: 'number; 0 unless given',
    },
    result: 'the sizes along the axis added up',
    gradient: 'each gets its part of dy',
    example: `
console.log(String(concat([tensor([[1, 2]]), tensor([[3, 4], [5, 6]])]))) // [[1. 2.]
//                                                                            [3. 4.]
//                                                                            [5. 6.]]
`,
  },
  stack: {
    arguments: { tensors: 'list of tensors of one shape', axis: 'number, the place of the new axis; 0 unless given' },
    result: 'their shape, with their count at the axis',
    gradient: 'each gets its part of dy',
    example: `
console.log(String(stack([tensor([1, 2]), tensor([3, 4])], 1))) // [[1. 3.]
//                                                                  [2. 4.]]
`,
  },
  tril: {
    arguments: { x: '[..., m, n]', k: 'integer; 0 unless given, above it for k > 0' },
    result: '[..., m, n]',
    gradient: 'dx = tril(dy, k)',
    example: `
console.log(String(ones([3, 3]).tril())) // [[1. 0. 0.]
//                                           [1. 1. 0.]
//                                           [1. 1. 1.]]
`,
  },
  triu: {
    arguments: { x: '[..., m, n]', k: 'integer; 0 unless given, above it for k > 0' },
    result: '[..., m, n]',
    gradient: 'dx = triu(dy, k)',
    example: `
console.log(String(ones([3, 3]).triu(1))) // [[0. 1. 1.]
//                                            [0. 0. 1.]
//                                            [0. 0. 0.]]
`,
  },
} satisfies Record<string, OperationPage>
