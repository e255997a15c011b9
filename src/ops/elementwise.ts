/** Elementwise operations on two or three operands, with NumPy's broadcasting: arithmetic, comparisons, choices. */
import * as kernels from '../../kernels/elementwise.ts'
import type { MapKernel } from '../../kernels/kernel.ts'
import { tensor } from '../tensor/create.ts'
import { launchMap } from '../tensor/launch.ts'
import { broadcastShapes, sizeOf } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type Binary, binary, broadcastError, spread } from './families.ts'
import { toTensors } from './operands.ts'
import { type Draw, defineOp, type Operand, type Operation } from './record.ts'

// Arithmetic

export const add: Binary = binary('add', { doc: 'a + b.', kernel: kernels.add, vjp: (dy) => [dy, dy] })

export const sub: Binary = binary('sub', { doc: 'a - b.', kernel: kernels.sub, vjp: (dy) => [dy, () => mul(dy, -1)] })

export const mul: Binary = binary('mul', {
  doc: 'a b.',
  kernel: kernels.mul,
  vjp: (dy, _y, a, b) => [() => mul(dy, b), () => mul(dy, a)],
})

export const div: Binary = binary('div', {
  doc: 'a / b.',
  kernel: kernels.div,
  drawB: { low: 0.5, high: 2 },
  vjp: (dy, y, _a, b) => [() => div(dy, b), () => mul(mul(dy, div(y, b)), -1)],
})

/** Operands that broadcast and whose values never tie: drawn as one list of distinct values and taken apart. */
function untied(draw: Draw): [Tensor, Tensor] {
  const a = draw.shape()
  const b = draw.broadcastable(a)
  const values = draw.tensor([sizeOf(a) + sizeOf(b)], { distinct: true }).dataNow()
  return [
    tensor(values.slice(0, sizeOf(a)), { shape: a, device: 'reference' }),
    tensor(values.slice(sizeOf(a)), { shape: b, device: 'reference' }),
  ]
}

/** 1 where a wins, 1/2 at ties, 0 elsewhere. */
const share = (wins: Tensor, ties: Tensor): Tensor => add(wins, mul(ties, 0.5))

export const maximum: Binary = binary('maximum', {
  doc: 'The larger of a and b; NaN if either is. At ties each gets half of the gradient.',
  kernel: kernels.maximum,
  samples: untied,
  vjp: (dy, _y, a, b) => [
    () => mul(dy, share(greater(a, b), equal(a, b))),
    () => mul(dy, share(less(a, b), equal(a, b))),
  ],
})

export const minimum: Binary = binary('minimum', {
  doc: 'The smaller of a and b; NaN if either is. At ties each gets half of the gradient.',
  kernel: kernels.minimum,
  samples: untied,
  vjp: (dy, _y, a, b) => [
    () => mul(dy, share(less(a, b), equal(a, b))),
    () => mul(dy, share(greater(a, b), equal(a, b))),
  ],
})

// Comparisons, without gradients: 1 where true, else 0

const compare = (name: string, sign: string, kernel: MapKernel): Binary =>
  binary(name, { doc: `1 where a ${sign} b, else 0. No gradient.`, kernel, vjp: null, samples: untied })

export const equal: Binary = compare('equal', '=', kernels.equal)
export const notEqual: Binary = compare('notEqual', '!=', kernels.notEqual)
export const less: Binary = compare('less', '<', kernels.less)
export const lessEqual: Binary = compare('lessEqual', '<=', kernels.lessEqual)
export const greater: Binary = compare('greater', '>', kernels.greater)
export const greaterEqual: Binary = compare('greaterEqual', '>=', kernels.greaterEqual)

export const where: Operation<[condition: Tensor, a: Operand, b: Operand]> = defineOp<
  [condition: Tensor, a: Operand, b: Operand],
  [Tensor, Tensor, Tensor]
>({
  name: 'where',
  doc: 'a where the condition is not 0, else b; all three broadcast. No gradient flows to the condition.',
  prepare: (condition, a, b) => toTensors('where', [condition, a, b]) as [Tensor, Tensor, Tensor],
  shape: (condition, a, b) => broadcastShapes('where', broadcastShapes('where', condition.shape, a.shape), b.shape),
  forward: (shape, condition, a, b) => launchMap(kernels.where, shape, [condition, a, b], [], { spread }),
  vjp: (dy, _y, condition) => [null, () => where(condition, dy, 0), () => where(condition, 0, dy)],
  samples: (draw) => {
    const shape = draw.shape()
    return [draw.indices(shape, 2), draw.tensor(draw.broadcastable(shape)), draw.tensor(shape)]
  },
  errors: [
    { ...broadcastError, arguments: () => [...broadcastError.arguments(), 0] },
    { what: 'no tensor at all', arguments: () => [1, 2, 3], message: /expected a tensor among the operands/ },
  ],
})
