/** Pages of products, softmax and norms. */
import type { OperationPage } from './page.ts'

export const productPages = {
  matmul: {
    arguments: {
      a: '[..., m, k] or [k]',
      b: '[..., k, n] or [k]; leading axes broadcast',
      'options.transposeA': 'use a as [..., k, m], read in place; false unless given',
      'options.transposeB': 'use b as [..., n, k], read in place; false unless given',
    },
    result: '[..., m, n]; [..., m], [..., n] or [] with an operand of rank 1',
    gradient: 'da = dy b^T, db = a^T dy, summed over the leading axes along which it was repeated',
    example: `
const a = tensor([[1, 2], [3, 4]])
console.log(String(a.matmul(tensor([[5, 6], [7, 8]])))) // [[19. 22.]
//                                                          [43. 50.]]
console.log(String(a.matmul(tensor([1, 1])))) // [3. 7.]
`,
  },
  einsum: {
    arguments: {
      spec: "string such as 'bhtd,bhsd->bhts'; without '->' the result has the letters that occur once, in alphabetical order",
      '...operands': 'tensors, one for each term',
    },
    result: 'the sizes of the letters behind the arrow',
    gradient: 'that of the products, sums and movements it is made of',
    example: `
const a = tensor([[1, 2], [3, 4]])
console.log(String(einsum('ij,jk->ik', a, a))) // [[ 7. 10.]
//                                                 [15. 22.]]
console.log(String(einsum('ii', a))) // 5.0
`,
  },
  solveUnitLower: {
    arguments: {
      a: '[..., C, C]: only what lies below the diagonal is read',
      b: '[..., C, N]',
      'options.transpose': 'solve with the transposed system; false unless given',
    },
    result: '[..., C, N]',
    gradient: 'db = (I + strictTril(a))^-T dy, da = -strictTril(db y^T)',
    example: `
const a = tensor([[0, 0], [3, 0]])
const x = a.solveUnitLower(tensor([[1], [5]]))
console.log(String(x)) // [[1.]
//                         [2.]]
`,
  },
  softmax: {
    arguments: {
      x: '[...]',
      axis: 'number; -1 unless given',
      'options.scale': 'multiplies x first; 1 unless given',
      'options.causal': 'on [..., T, S] with T <= S: row i sees columns up to i + S - T; false unless given',
    },
    result: '[...]',
    gradient: 'dx = scale y (dy - sum(dy y))',
    example: `
const x = tensor([[0, Math.log(3)]], { device: 'reference' })
console.log(String(x.softmax())) // [[0.25 0.75]]
const y = ones([3, 3]).softmax(-1, { causal: true })
console.log(String(y)) // [[1.         0.         0.        ]
//                         [0.5        0.5        0.        ]
//                         [0.33333334 0.33333334 0.33333334]]
`,
  },
  logSoftmax: {
    arguments: { x: '[...]', axis: 'number; -1 unless given' },
    result: '[...]',
    gradient: 'dx = dy - e^y sum(dy)',
    example: `
const x = tensor([1000, 1000], { device: 'reference' })
console.log(String(x.logSoftmax())) // [-0.69314718 -0.69314718]
`,
  },
  crossEntropy: {
    arguments: {
      logits: '[..., V]',
      targets: '[...]: int32, in [0, V)',
      'options.ignoreIndex': 'positions with this target count neither in the sum nor in the mean',
    },
    result: '[]: the mean over positions, in nats',
    gradient: 'dlogits = dy (softmax(logits) - oneHot(targets)) / positions',
    example: `
const logits = tensor([[0, 0], [0, Math.log(3)]], { device: 'reference' })
const targets = tensor([0, 1], { dtype: 'int32', device: 'reference' })
console.log(String(logits.crossEntropy(targets))) // 0.49041462650586315
console.log(String(logits.crossEntropy(targets, { ignoreIndex: 0 }))) // 0.287682072451781
`,
  },
  rmsNorm: {
    arguments: {
      x: '[..., C]',
      weight: '[C]',
      'options.eps': 'added to the mean square, inside of the root; 1e-6 unless given',
      'options.zeroCentred': 'scale by 1 + weight; false unless given',
    },
    result: '[..., C]',
    gradient:
      'dx = r (g - x r^2 mean(g x)) with g = dy weight and r = 1 / sqrt(mean(x^2) + eps); dweight = sum over rows of dy x r',
    example: `
const x = tensor([[3, 4]], { device: 'reference' })
const y = x.rmsNorm(ones([2], { device: 'reference' }), { eps: 0 })
console.log(String(y)) // [[0.84852814 1.13137085]]
console.log(String(y.square().mean())) // 1.0
`,
  },
  layerNorm: {
    arguments: {
      x: '[..., C]',
      weight: '[C]',
      bias: '[C]',
      'options.eps': 'added to the variance, inside of the root; 1e-5 unless given',
    },
    result: '[..., C]',
    gradient: 'that of the means, squares and products it is made of',
    example: `
const x = tensor([[1, 2, 3]], { device: 'reference' })
const [weight, bias] = [ones([3], { device: 'reference' }), zeros([3], { device: 'reference' })]
console.log(String(x.layerNorm(weight, bias, { eps: 0 }))) // [[-1.22474487  0.          1.22474487]]
`,
  },
  l2Norm: {
    arguments: { x: '[..., C]', 'options.eps': 'added to the sum of squares, inside of the root; 1e-6 unless given' },
    result: '[..., C]',
    gradient: 'dx = r (dy - y sum(dy y)), r = 1 / sqrt(sum(x^2) + eps)',
    example: `
const x = tensor([[3, 4]], { device: 'reference' })
console.log(String(x.l2Norm({ eps: 0 }))) // [[0.6 0.8]]
`,
  },
} satisfies Record<string, OperationPage>
