/** Operations with faults planted in their gradients, for seeing that the checks find them. */
import { defineOp, elementwise, launchMap, type Operation, type Tensor } from '../../src/index.ts'
import { removeOp } from '../../src/ops/record.ts'

const cubeKernel = elementwise(function plantedCube(x: number) {
  return x * x * x
})

export type Rule = (dy: Tensor, x: Tensor) => Tensor

/** x^3 with the gradient that `rule` gives; the right one is 3 x^2 dy. */
export function defineCube(name: string, rule: Rule): Operation<[x: Tensor]> {
  removeOp(name)
  return defineOp({
    name,
    doc: 'x^3, elementwise.',
    shape: (x: Tensor) => x.shape,
    forward: (shape, x) => launchMap(cubeKernel, shape, [x]),
    vjp: (dy, _y, x) => [() => rule(dy, x)],
    samples: (draw) => [draw.tensor(draw.shape())] as [Tensor],
  })
}

export const rightCube: Rule = (dy, x) => dy.mul(x.square()).mul(3)
