/** A linear layer with its activation: one launch where the device has it fused, else a composition. */
import * as kernels from '../../kernels/elementwise.ts'
import { type Activation, type Epilogue, linearKernel, needsPreactivation } from '../../kernels/fused-linear.ts'
import { isRecording, noGrad, record } from '../autograd/tape.ts'
import { fuses, launchFused, launchMap } from '../tensor/launch.ts'
import { sameShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { composedGradients } from './composed.ts'
import { add, mul } from './elementwise.ts'
import { gelu, relu, sigmoid, sign, silu } from './functions.ts'
import { matmul } from './matmul.ts'
import { reshape } from './movement.ts'
import { example } from './operands.ts'
import { type Draw, defineOp, type Operation } from './record.ts'

export interface LinearOperationOptions {
  /** [n], added to every row. */
  bias?: Tensor | null
  /** 'identity' unless given. */
  activation?: Activation
}

const activations: Readonly<Record<Activation, (x: Tensor) => Tensor>> = {
  identity: (x) => x,
  relu,
  sigmoid,
  silu,
  gelu,
}

function composed(activation: Activation, [x, weight, bias]: readonly Tensor[]): Tensor {
  const y = matmul(x, weight, { transposeB: true })
  return activations[activation](bias ? add(y, bias) : y)
}

/**
 * Whether the operands are a layer's: float x [..., k], weight [n, k], bias [n], on one device, none empty. What is not goes
 * through the composition, which broadcasts, or says what is wrong.
 */
function isLayer([x, weight, bias]: readonly Tensor[]): boolean {
  if (x.rank === 0 || weight.rank !== 2 || x.shape.at(-1) !== weight.shape[1] || x.size === 0 || weight.size === 0) {
    return false
  }
  if (bias && !sameShape(bias.shape, [weight.shape[0]])) return false
  return [x, weight, bias].every((t) => !t || (t.dtype !== 'int32' && t.storage.device === x.storage.device))
}

function fusedLinear(epilogue: Epilogue, operands: readonly Tensor[]): Tensor {
  const { activation } = epilogue
  const [x, weight] = operands
  const [n, k] = weight.shape
  const m = x.size / k
  const shape = [...x.shape.slice(0, -1), n]
  const [y, preactivation] = noGrad(() =>
    launchFused(linearKernel(epilogue)!, epilogue.saves ? [shape, shape] : [shape], [...operands, m, n, k]),
  )
  return record('linear', operands, y, (dy) => {
    if (isRecording()) return composedGradients((...fresh) => composed(activation, fresh), operands, dy)
    const slope = activationGradient(activation, dy, y, preactivation)
    return [
      () => matmul(slope, weight),
      () => matmul(reshape(slope, [m, n]), reshape(x, [m, k]), { transposeA: true }),
      // The walk sums it over rows.
      slope,
    ]
  })
}

/** dy times the activation's derivative, from its result, or from its argument where that was saved. */
function activationGradient(activation: Activation, dy: Tensor, y: Tensor, preactivation: Tensor): Tensor {
  if (activation === 'relu') return mul(dy, sign(y))
  if (activation === 'sigmoid') return launchMap(kernels.sigmoidGradient, dy.shape, [dy, y])
  if (activation === 'silu') return launchMap(kernels.siluGradient, dy.shape, [dy, preactivation])
  if (activation === 'gelu') return launchMap(kernels.geluGradient, dy.shape, [dy, preactivation])
  return dy
}

/**
 * act(x weight^T + bias), x [..., k], weight [n, k], bias [n], to [..., n].
 *
 * @throws SluiceError as `matmul` and `add` do, for shapes that do not fit
 */
export const linear: Operation<[x: Tensor, weight: Tensor, options?: LinearOperationOptions]> = defineOp<
  [x: Tensor, weight: Tensor, options?: LinearOperationOptions],
  Tensor
>({
  name: 'linear',
  doc: 'act(x weight^T + bias), act the identity, relu, sigmoid, silu or gelu; x [..., k], weight [n, k], bias [n].',
  internal: true,
  tolerance: {
    absolute: 2e-5,
    relative: 1e-5,
    why: 'sums of at most 4 products of values up to 2 and a bias, 18 x 6 x 2^-24 = 6e-6, times slopes up to 1.13',
  },
  compose: (x, weight, { bias, activation = 'identity' } = {}) => {
    const operands = bias ? [x, weight, bias] : [x, weight]
    const saves = needsPreactivation(activation) && isRecording() && operands.some((t) => t.isTracked)
    const epilogue: Epilogue = { activation, hasBias: Boolean(bias), saves }
    const kernel = linearKernel(epilogue)
    return kernel && fuses(kernel, x) && isLayer(operands)
      ? fusedLinear(epilogue, operands)
      : composed(activation, operands)
  },
  samples: (draw: Draw) => {
    const [k, n] = [draw.integer(1, 4), draw.integer(1, 4)]
    const x = draw.tensor([...draw.shape({ maxRank: 2, maxSize: 3 }), k])
    const bias = draw.boolean() ? { bias: draw.tensor([n]) } : {}
    // relu bends at 0, where differences cannot measure its gradient.
    const activation = draw.pick<Activation>(['identity', 'sigmoid', 'silu', 'gelu'])
    return [x, draw.tensor([n, k]), { ...bias, activation }]
  },
  errors: [
    {
      what: 'a weight of another width',
      arguments: () => [example([2, 3]), example([4, 5])],
      message: /^matmul: \[2, 3\] @ \[4, 5\] transposed: inner sizes 3 and 5 differ/,
    },
    {
      what: 'a bias that does not fit',
      arguments: () => [example([2, 3]), example([4, 3]), { bias: example([3]) }],
      message: /\[2, 4\] and \[3\] do not broadcast/,
    },
  ],
})
