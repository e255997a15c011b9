/** Elementwise functions of one number, and powers. */
import * as kernels from '../../kernels/elementwise.ts'
import type { MapKernel } from '../../kernels/kernel.ts'
import { SluiceError } from '../errors.ts'
import { tensor } from '../tensor/create.ts'
import { launchMap } from '../tensor/launch.ts'
import { broadcastShapes } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { add, div, equal, greaterEqual, lessEqual, mul, sub } from './elementwise.ts'
import { type Binary, binary, spread, type Unary, unary } from './families.ts'
import { needTensor } from './operands.ts'
import { defineOp, type Operation } from './record.ts'

export const clamp: Operation<[x: Tensor, low?: number, high?: number]> = defineOp({
  name: 'clamp',
  doc: 'x kept within [low, high]. The gradient passes within and at the bounds, and is 0 outside.',
  prepare: (x: Tensor, low = -Infinity, high = Infinity): [Tensor, number, number] => [x, low, high],
  shape: (x, low, high) => {
    needTensor('clamp', 'x', x)
    if (!(low <= high)) throw new SluiceError('clamp', `expected low <= high, got ${low} and ${high}`)
    return x.shape
  },
  forward: (shape, x, low, high) => launchMap(kernels.clamp, shape, [x], [low, high]),
  vjp: (dy, _y, x, low, high) => [() => mul(dy, mul(greaterEqual(x, low), lessEqual(x, high)))],
  samples: (draw) =>
    [draw.tensor(draw.shape(), { away: [-1, 0.5] }), draw.pick([-1, -Infinity]), draw.pick([0.5, Infinity])] as [
      Tensor,
      number,
      number,
    ],
  errors: [
    {
      what: 'bounds the wrong way round',
      arguments: () => [tensor([1], { device: 'reference' }), 2, 1],
      message: /expected low <= high, got 2 and 1/,
    },
  ],
})

export const neg: Unary = unary('neg', { doc: '-x.', kernel: kernels.neg, vjp: (dy) => [() => neg(dy)] })

export const square: Unary = unary('square', {
  doc: 'x^2.',
  kernel: kernels.square,
  vjp: (dy, _y, x) => [() => mul(dy, mul(x, 2))],
})

export const reciprocal: Unary = unary('reciprocal', {
  doc: '1 / x.',
  kernel: kernels.reciprocal,
  draw: { away: [0] },
  tolerance: { absolute: 1e-6, relative: 1e-5, why: 'the second derivative reaches 2 / (1/8)^3 = 1024' },
  vjp: (dy, y) => [() => neg(mul(dy, square(y)))],
})

export const abs: Unary = unary('abs', {
  doc: '|x|; gradient 0 at 0.',
  kernel: kernels.abs,
  draw: { away: [0] },
  vjp: (dy, _y, x) => [() => mul(dy, sign(x))],
})

export const sign: Unary = unary('sign', {
  doc: '-1, 0 or 1; NaN stays. No gradient.',
  kernel: kernels.sign,
  draw: { away: [0] },
  vjp: null,
})

export const floor: Unary = unary('floor', {
  doc: 'The largest integer not above x. No gradient.',
  kernel: kernels.floor,
  vjp: null,
})

export const sqrt: Unary = unary('sqrt', {
  doc: 'The square root; NaN below 0.',
  kernel: kernels.sqrt,
  draw: { low: 0.5, high: 4 },
  vjp: (dy, y) => [() => div(dy, mul(y, 2))],
})

export const rsqrt: Unary = unary('rsqrt', {
  doc: '1 / sqrt(x).',
  kernel: kernels.rsqrt,
  draw: { low: 0.5, high: 4 },
  vjp: (dy, y, x) => [() => mul(dy, mul(div(y, x), -0.5))],
})

export const exp: Unary = unary('exp', { doc: 'e^x.', kernel: kernels.exp, vjp: (dy, y) => [() => mul(dy, y)] })

export const log: Unary = unary('log', {
  doc: 'The natural logarithm; -infinity at 0, NaN below.',
  kernel: kernels.log,
  draw: { low: 0.5, high: 4 },
  vjp: (dy, _y, x) => [() => div(dy, x)],
})

export const sin: Unary = unary('sin', {
  doc: 'sin x.',
  kernel: kernels.sin,
  vjp: (dy, _y, x) => [() => mul(dy, cos(x))],
})

export const cos: Unary = unary('cos', {
  doc: 'cos x.',
  kernel: kernels.cos,
  vjp: (dy, _y, x) => [() => neg(mul(dy, sin(x)))],
})

/** d(a^b)/db; its own record, so that its value at a = 0 is decided in one place. */
const powExponentGradient: Operation<[a: Tensor, power: Tensor, b: Tensor]> = defineOp({
  name: 'powExponentGradient',
  doc: 'a^b log a, given a, a^b and b; 0 where a = 0 and b >= 0.',
  internal: true,
  shape: (a: Tensor, power: Tensor, b: Tensor) =>
    broadcastShapes('powExponentGradient', broadcastShapes('powExponentGradient', a.shape, power.shape), b.shape),
  forward: (shape, a, power, b) => launchMap(kernels.powExponentGradient, shape, [a, power, b], [], { spread }),
  vjp: (dy, _y, a, power) => [() => mul(dy, div(power, a)), () => mul(dy, log(a)), null],
  samples: (draw) => {
    const shape = draw.shape()
    const positive = { low: 0.5, high: 2 }
    return [draw.tensor(shape, positive), draw.tensor(shape, positive), draw.tensor(draw.broadcastable(shape))] as [
      Tensor,
      Tensor,
      Tensor,
    ]
  },
})

export const pow: Binary = binary('pow', {
  doc: 'a^b. A negative base needs an integer exponent, else NaN. At a = 0 the gradient to b is 0 for b >= 0.',
  kernel: kernels.pow,
  constants: [Number.NaN],
  drawA: { low: 0.5, high: 2 },
  vjp: (dy, y, a, b) => [
    () => {
      // b a^(b - 1), with the exponent raised to 0 where a = b = 0: there 0 times infinity stands for 0.
      const exponent = add(sub(b, 1), mul(equal(a, 0), equal(b, 0)))
      return mul(dy, mul(b, pow(a, exponent)))
    },
    () => mul(dy, powExponentGradient(a, y, b)),
  ],
})

export const erf: Unary = unary('erf', {
  doc: 'The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.',
  kernel: kernels.erf,
  draw: { low: -3, high: 3 },
  vjp: (dy, _y, x) => [() => mul(dy, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI)))],
})

export const relu: Unary = unary('relu', {
  doc: 'max(x, 0); gradient 0 at 0.',
  kernel: kernels.relu,
  draw: { away: [0] },
  vjp: (dy, y) => [() => mul(dy, sign(y))],
})

export const softplus: Unary = unary('softplus', {
  doc: 'log(1 + e^x), without overflow and without loss for x far below 0.',
  kernel: kernels.softplus,
  draw: { low: -4, high: 4 },
  vjp: (dy, _y, x) => [() => mul(dy, sigmoid(x))],
})

// Functions whose gradient is one kernel of its own: dy f(v) in one pass instead of four or more

function gradientKernel(
  name: string,
  doc: string,
  kernel: MapKernel,
  /** f'(v), for the second order. */
  slope: (v: Tensor) => Tensor,
): Binary {
  const gradient: Binary = binary(name, {
    doc,
    internal: true,
    kernel,
    vjp: (ddy, _y, dy, v) => [() => gradient(ddy, v), () => mul(ddy, mul(dy, slope(v)))],
  })
  return gradient
}

const tanhGradient: Binary = gradientKernel('tanhGradient', 'dy (1 - y^2), y = tanh x.', kernels.tanhGradient, (y) =>
  mul(y, -2),
)

export const tanh: Unary = unary('tanh', {
  doc: 'The hyperbolic tangent.',
  kernel: kernels.tanh,
  vjp: (dy, y) => [() => tanhGradient(dy, y)],
})

const sigmoidGradient: Binary = gradientKernel(
  'sigmoidGradient',
  'dy y (1 - y), y = sigmoid x.',
  kernels.sigmoidGradient,
  (y) => sub(1, mul(y, 2)),
)

export const sigmoid: Unary = unary('sigmoid', {
  doc: '1 / (1 + e^-x), without overflow at either end.',
  kernel: kernels.sigmoid,
  vjp: (dy, y) => [() => sigmoidGradient(dy, y)],
})

const siluGradient: Binary = gradientKernel(
  'siluGradient',
  'dy (s + x s (1 - s)), s = sigmoid x.',
  kernels.siluGradient,
  (x) => {
    const s = sigmoid(x)
    const p = mul(s, sub(1, s))
    return mul(p, add(2, mul(x, sub(1, mul(s, 2)))))
  },
)

export const silu: Unary = unary('silu', {
  doc: 'x sigmoid(x), also called swish.',
  source: 'Ramachandran, Zoph and Le 2017; Elfwing, Uchibe and Doya 2017',
  kernel: kernels.silu,
  vjp: (dy, _y, x) => [() => siluGradient(dy, x)],
})

/** 2 sqrt(2 / pi). */
const GELU_SLOPE = 2 * Math.sqrt(2 / Math.PI)

const geluGradient: Binary = gradientKernel(
  'geluGradient',
  'dy (s + x s (1 - s) w), s = sigmoid(u), u = 2 sqrt(2/pi) (x + 0.044715 x^3), w = du/dx.',
  kernels.geluGradient,
  (x) => {
    const x2 = square(x)
    const s = sigmoid(mul(mul(x, GELU_SLOPE), add(1, mul(x2, 0.044715))))
    const w = mul(add(1, mul(x2, 3 * 0.044715)), GELU_SLOPE)
    const curvature = mul(x, 6 * 0.044715 * GELU_SLOPE)
    const p = mul(s, sub(1, s))
    const bend = add(mul(square(w), sub(1, mul(s, 2))), curvature)
    return mul(p, add(mul(w, 2), mul(x, bend)))
  },
)

export const gelu: Unary = unary('gelu', {
  doc: '0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), the tanh form; the exact one is x (1 + erf(x / sqrt 2)) / 2.',
  source: 'Hendrycks and Gimpel 2016, equation 2',
  kernel: kernels.gelu,
  vjp: (dy, _y, x) => [() => geluGradient(dy, x)],
})
