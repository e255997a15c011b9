/** Normalisation over the last axis. */
import { SluiceError, showShape } from '../errors.ts'
import { tensor } from '../tensor/create.ts'
import { sizeOf } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { add, mul, sub } from './elementwise.ts'
import { rsqrt, square } from './functions.ts'
import { needTensor } from './operands.ts'
import { type Draw, defineOp, type Operation, type Tolerance } from './record.ts'
import { mean, sum } from './reduce.ts'

const example = (shape: number[]): Tensor => tensor(new Float64Array(sizeOf(shape)), { shape, device: 'reference' })

const tolerance: Tolerance = {
  absolute: 2e-5,
  relative: 1e-5,
  why: 'rows of one small value are scaled up by as much as 1 / (1/8), twice in the gradient',
}

function needWeight(operation: string, name: string, x: Tensor, weight: Tensor): void {
  needTensor(operation, 'x', x)
  needTensor(operation, name, weight)
  if (x.rank === 0 || weight.rank !== 1 || weight.size !== x.shape.at(-1)) {
    throw new SluiceError(
      operation,
      `${name} must be [C] for x [..., C], got ${showShape(weight.shape)} and ${showShape(x.shape)}`,
    )
  }
}

/** Values away from 0, where these functions bend most. */
const drawRows = (draw: Draw): Tensor => draw.tensor(draw.shape({ minRank: 1 }), { away: [0] })

export interface RmsNormOptions {
  eps?: number
  /** Scale by 1 + weight, so that a weight of 0 changes nothing (Qwen3-Next). */
  zeroCentred?: boolean
}

export const rmsNorm: Operation<[x: Tensor, weight: Tensor, options?: RmsNormOptions]> = defineOp({
  name: 'rmsNorm',
  doc: 'x / sqrt(mean(x^2) + eps) times the weight [C] (or 1 + weight, when zero-centred); x [..., C].',
  source: 'Zhang and Sennrich 2019, equation 4',
  tolerance,
  compose: (x: Tensor, weight: Tensor, { eps = 1e-6, zeroCentred = false }: RmsNormOptions = {}) => {
    needWeight('rmsNorm', 'weight', x, weight)
    const scale = rsqrt(add(mean(square(x), { axis: -1, keepdim: true }), eps))
    return mul(mul(x, scale), zeroCentred ? add(weight, 1) : weight)
  },
  samples: (draw: Draw) => {
    const x = drawRows(draw)
    return [x, draw.tensor([x.shape.at(-1)!]), { zeroCentred: draw.boolean(), eps: 1e-3 }] as [
      Tensor,
      Tensor,
      RmsNormOptions,
    ]
  },
  errors: [
    {
      what: 'a weight of another size',
      arguments: () => [example([2, 3]), example([2])],
      message: /weight must be \[C\] for x \[..., C\], got \[2\] and \[2, 3\]/,
    },
  ],
})

export const layerNorm: Operation<[x: Tensor, weight: Tensor, bias: Tensor, options?: { eps?: number }]> = defineOp({
  name: 'layerNorm',
  doc: '(x - mean) / sqrt(variance + eps) times the weight [C], plus the bias [C]; x [..., C].',
  source: 'Ba, Kiros and Hinton 2016, equation 4',
  tolerance,
  compose: (x: Tensor, weight: Tensor, bias: Tensor, { eps = 1e-5 }: { eps?: number } = {}) => {
    needWeight('layerNorm', 'weight', x, weight)
    needWeight('layerNorm', 'bias', x, bias)
    const centred = sub(x, mean(x, { axis: -1, keepdim: true }))
    const scale = rsqrt(add(mean(square(centred), { axis: -1, keepdim: true }), eps))
    return add(mul(mul(centred, scale), weight), bias)
  },
  samples: (draw: Draw) => {
    const x = drawRows(draw)
    const C = x.shape.at(-1)!
    return [x, draw.tensor([C]), draw.tensor([C]), { eps: 0.1 }] as [Tensor, Tensor, Tensor, { eps: number }]
  },
  errors: [
    {
      what: 'a bias of another size',
      arguments: () => [example([2, 3]), example([3]), example([2])],
      message: /bias must be \[C\] for x \[..., C\]/,
    },
  ],
})

export const l2Norm: Operation<[x: Tensor, options?: { eps?: number }]> = defineOp({
  name: 'l2Norm',
  doc: 'x / sqrt(sum(x^2) + eps) over the last axis: rows of length 1.',
  tolerance,
  compose: (x: Tensor, { eps = 1e-6 }: { eps?: number } = {}) => {
    needTensor('l2Norm', 'x', x)
    return mul(x, rsqrt(add(sum(square(x), { axis: -1, keepdim: true }), eps)))
  },
  samples: (draw: Draw) => [drawRows(draw), { eps: 1e-3 }] as [Tensor, { eps: number }],
  errors: [{ what: 'rank 0', arguments: () => [example([])], message: /a rank-0 tensor has no axes/ }],
})
