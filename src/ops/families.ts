/** Records of the two large families, elementwise with one operand and with two, from what is particular to each. */
import type { MapKernel } from '../../kernels/kernel.ts'
import type { Cotangent } from '../autograd/tape.ts'
import { tensor } from '../tensor/create.ts'
import { launchMap } from '../tensor/launch.ts'
import { broadcastShapes, type Shape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { expand } from './movement.ts'
import { needTensor, toTensors } from './operands.ts'
import {
  type BadInput,
  type Draw,
  defineOp,
  type Operand,
  type Operation,
  type TensorDraw,
  type Tolerance,
} from './record.ts'

export type Unary = Operation<[x: Tensor]>
export type Binary = Operation<[a: Operand, b: Operand]>

interface UnaryDefinition {
  doc: string
  source?: string
  kernel: MapKernel
  vjp: ((dy: Tensor, y: Tensor, x: Tensor) => readonly Cotangent[]) | null
  draw?: TensorDraw
  tolerance?: Tolerance
}

export function unary(name: string, { kernel, draw: domain, ...rest }: UnaryDefinition): Unary {
  return defineOp({
    name,
    ...rest,
    shape: (x: Tensor) => {
      needTensor(name, 'x', x)
      return x.shape
    },
    forward: (shape, x) => launchMap(kernel, shape, [x]),
    samples: (draw: Draw) => [draw.tensor(draw.shape(), domain)] as [Tensor],
    errors: [{ what: 'no tensor', arguments: () => ['1'], message: /x must be a tensor, got string/ }],
  })
}

/** How a launch lays an operand out in full when it must. */
export const spread = (t: Tensor, shape: Shape): Tensor => expand(t, shape)

export interface BinaryDefinition {
  doc: string
  internal?: boolean
  kernel: MapKernel
  /** Floats that the kernel takes after the operands. */
  constants?: readonly number[]
  vjp: ((dy: Tensor, y: Tensor, a: Tensor, b: Tensor) => readonly Cotangent[]) | null
  samples?: (draw: Draw) => [Tensor, Tensor]
  drawA?: TensorDraw
  drawB?: TensorDraw
  tolerance?: Tolerance
}

export const broadcastError: BadInput = {
  what: 'shapes that do not broadcast',
  arguments: () => [tensor([1, 2, 3], { device: 'reference' }), tensor([1, 2], { device: 'reference' })],
  message: /\[3\] and \[2\] do not broadcast: sizes 3 and 2 at axis -1 differ and neither is 1/,
}

export function binary(name: string, { kernel, constants, drawA, drawB, samples, ...rest }: BinaryDefinition): Binary {
  return defineOp<[a: Operand, b: Operand], [Tensor, Tensor]>({
    name,
    ...rest,
    prepare: (a, b) => toTensors(name, [a, b]) as [Tensor, Tensor],
    shape: (a, b) => broadcastShapes(name, a.shape, b.shape),
    forward: (shape, a, b) => launchMap(kernel, shape, [a, b], constants, { spread }),
    samples:
      samples ??
      ((draw) => {
        const shape = draw.shape()
        return [draw.tensor(shape, drawA), draw.tensor(draw.broadcastable(shape), drawB)]
      }),
    errors: [
      broadcastError,
      { what: 'no tensor at all', arguments: () => [1, 2], message: /expected a tensor among the operands/ },
    ],
  })
}
