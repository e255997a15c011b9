/** Pages of elementwise operations: arithmetic, comparisons, choices, functions of one number. */
import type { OperationPage } from './page.ts'

const ofOne = (gradient: string | null, example: string): OperationPage => ({
  arguments: { x: '[...]' },
  result: '[...]',
  gradient,
  example,
})

const ofTwo = (gradient: string | null, example: string): OperationPage => ({
  arguments: { a: 'tensor or number', b: 'tensor or number; both broadcast, as in NumPy' },
  result: 'the shape that both broadcast to',
  gradient,
  example,
})

const comparison = (name: string, printed: string): OperationPage =>
  ofTwo(
    null,
    `
const x = tensor([1, 2, 3])
console.log(String(x.${name}(2))) // ${printed}
`,
  )

export const elementwisePages = {
  add: ofTwo(
    'da = dy, db = dy, each summed over the axes along which it was repeated',
    `
const column = tensor([[1], [2]])
const row = tensor([10, 20, 30])
console.log(String(column.add(row))) // [[11. 21. 31.]
//                                       [12. 22. 32.]]
`,
  ),
  sub: ofTwo(
    'da = dy, db = -dy',
    `
console.log(String(sub(1, tensor([0.25, 0.5])))) // [0.75 0.5 ]
`,
  ),
  mul: ofTwo(
    'da = dy b, db = dy a',
    `
const x = tensor([1, 2, 3], { requiresGrad: true })
x.mul(x).sum().backward()
console.log(String(x.grad)) // [2. 4. 6.]
`,
  ),
  div: ofTwo(
    'da = dy / b, db = -dy y / b',
    `
console.log(String(tensor([1, 2, 3]).div(4))) // [0.25 0.5  0.75]
`,
  ),
  pow: ofTwo(
    'da = dy b a^(b-1), db = dy y log a, which is 0 where a = 0 and b >= 0',
    `
const x = tensor([1, 2, 3], { requiresGrad: true })
const y = x.pow(3)
y.sum().backward()
console.log(String(y)) // [ 1.  8. 27.]
console.log(String(x.grad)) // [ 3. 12. 27.]
`,
  ),
  maximum: ofTwo(
    'da = dy where a > b, dy / 2 where a = b, else 0; db likewise',
    `
const a = tensor([1, 2, 3], { requiresGrad: true })
const y = a.maximum(2)
y.sum().backward()
console.log(String(y)) // [2. 2. 3.]
console.log(String(a.grad)) // [0.  0.5 1. ]
`,
  ),
  minimum: ofTwo(
    'da = dy where a < b, dy / 2 where a = b, else 0; db likewise',
    `
console.log(String(tensor([1, 2, 3]).minimum(tensor([3, 2, 1])))) // [1. 2. 1.]
`,
  ),
  equal: comparison('equal', '[0. 1. 0.]'),
  notEqual: comparison('notEqual', '[1. 0. 1.]'),
  less: comparison('less', '[1. 0. 0.]'),
  lessEqual: comparison('lessEqual', '[1. 1. 0.]'),
  greater: comparison('greater', '[0. 0. 1.]'),
  greaterEqual: comparison('greaterEqual', '[0. 1. 1.]'),
  where: {
    arguments: {
      condition: 'tensor; what is not 0 is true',
      a: 'tensor or number',
      b: 'tensor or number; all three broadcast',
    },
    result: 'the shape that all broadcast to',
    gradient: 'da = dy where the condition holds, else 0; db = dy where it does not',
    example: `
const x = tensor([-1, 2, -3])
console.log(String(where(x.less(0), x.mul(0.1), x))) // [-0.1  2.  -0.3]
`,
  },
  clamp: {
    arguments: { x: '[...]', low: 'number; no bound unless given', high: 'number; no bound unless given' },
    result: '[...]',
    gradient: 'dx = dy where low <= x <= high, else 0',
    example: `
const x = tensor([-2, 0.5, 2], { requiresGrad: true })
const y = x.clamp(-1, 1)
y.sum().backward()
console.log(String(y)) // [-1.   0.5  1. ]
console.log(String(x.grad)) // [0. 1. 0.]
`,
  },
  neg: ofOne(
    'dx = -dy',
    `
console.log(String(tensor([1, -2]).neg())) // [-1.  2.]
`,
  ),
  square: ofOne(
    'dx = 2 x dy',
    `
console.log(String(tensor([1, -2, 3]).square())) // [1. 4. 9.]
`,
  ),
  reciprocal: ofOne(
    'dx = -dy y^2',
    `
console.log(String(tensor([1, 2, -4]).reciprocal())) // [ 1.    0.5  -0.25]
`,
  ),
  abs: ofOne(
    'dx = dy sign(x), 0 at 0',
    `
const x = tensor([-2, 0, 3], { requiresGrad: true })
x.abs().sum().backward()
console.log(String(x.grad)) // [-1.  0.  1.]
`,
  ),
  sign: ofOne(
    null,
    `
console.log(String(tensor([-2, 0, 3]).sign())) // [-1.  0.  1.]
`,
  ),
  floor: ofOne(
    null,
    `
console.log(String(tensor([1.5, -1.5, 2]).floor())) // [ 1. -2.  2.]
`,
  ),
  sqrt: ofOne(
    'dx = dy / (2 y), infinite at 0',
    `
console.log(String(tensor([0, 4, 9]).sqrt())) // [0. 2. 3.]
`,
  ),
  rsqrt: ofOne(
    'dx = -dy y / (2 x)',
    `
console.log(String(tensor([1, 4, 16]).rsqrt())) // [1.   0.5  0.25]
`,
  ),
  exp: ofOne(
    'dx = dy y',
    `
const x = tensor([0, 1], { device: 'reference' })
console.log(String(x.exp())) // [1.         2.71828183]
`,
  ),
  log: ofOne(
    'dx = dy / x',
    `
const x = tensor([1, 2], { device: 'reference' })
console.log(String(x.log())) // [0.         0.69314718]
`,
  ),
  sin: ofOne(
    'dx = dy cos x',
    `
const x = tensor([0, Math.PI / 6], { device: 'reference' })
console.log(String(x.sin())) // [0.  0.5]
`,
  ),
  cos: ofOne(
    'dx = -dy sin x',
    `
const x = tensor([0, Math.PI / 3], { device: 'reference' })
console.log(String(x.cos())) // [1.  0.5]
`,
  ),
  erf: ofOne(
    'dx = dy 2 / sqrt(pi) e^(-x^2)',
    `
const x = tensor([0, 1], { device: 'reference' })
console.log(String(x.erf())) // [0.         0.84270079]
`,
  ),
  relu: ofOne(
    'dx = dy where x > 0, else 0',
    `
console.log(String(tensor([-1, 0, 2]).relu())) // [0. 0. 2.]
`,
  ),
  softplus: ofOne(
    'dx = dy sigmoid(x)',
    `
const x = tensor([-100, 0, 100], { device: 'reference' })
console.log(String(x.softplus())) // [3.72007598e-44 6.93147181e-01 1.00000000e+02]
`,
  ),
  tanh: ofOne(
    'dx = dy (1 - y^2)',
    `
const x = tensor([0, 0.5, 100], { device: 'reference' })
console.log(String(x.tanh())) // [0.         0.46211716 1.        ]
`,
  ),
  sigmoid: ofOne(
    'dx = dy y (1 - y)',
    `
const x = tensor([-1, 0, 1000], { device: 'reference', requiresGrad: true })
const y = x.sigmoid()
y.sum().backward()
console.log(String(y)) // [0.26894142 0.5        1.        ]
console.log(String(x.grad)) // [0.19661193 0.25       0.        ]
`,
  ),
  silu: ofOne(
    'dx = dy (s + x s (1 - s)), s = sigmoid(x)',
    `
const x = tensor([-1, 0, 1], { device: 'reference' })
console.log(String(x.silu())) // [-0.26894142  0.          0.73105858]
`,
  ),
  gelu: ofOne(
    'dx = dy (s + x s (1 - s) w), s = sigmoid(u), u = 2 sqrt(2/pi) (x + 0.044715 x^3), w = du/dx',
    `
const x = tensor([-1, 0, 1], { device: 'reference' })
console.log(String(x.gelu())) // [-0.15880801  0.          0.84119199]
`,
  ),
} satisfies Record<string, OperationPage>
