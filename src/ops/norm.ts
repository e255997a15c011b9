/** Normalisation over the last axis. */
import {
  l2NormBackward,
  l2NormForward,
  rmsNormBackward,
  rmsNormForward,
  rmsNormWeightBackward,
} from '../../kernels/fused-rows.ts'
import * as kernels from '../../kernels/norm.ts'
import { isRecording, noGrad, recordAll } from '../autograd/tape.ts'
import { SluiceError, showShape } from '../errors.ts'
import { fuses, launch, launchFused } from '../tensor/launch.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { composedGradients } from './composed.ts'
import { add, mul, sub } from './elementwise.ts'
import { rsqrt, square } from './functions.ts'
import { example, needTensor } from './operands.ts'
import { type Draw, defineOp, type Operation, type Tolerance } from './record.ts'
import { mean, sum } from './reduce.ts'

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

/** How `rmsNorm` scales. */
export interface RmsNormOptions {
  /** Added to the mean square; 1e-6 unless given. */
  eps?: number
  /** Scale by 1 + weight, so that a weight of 0 changes nothing (Qwen3-Next). */
  zeroCentred?: boolean
}

/** Rows and their length: [N, C]. */
const rowsOf = (x: Tensor): [N: number, C: number] => [x.size / x.shape.at(-1)!, x.shape.at(-1)!]

/** d rmsNorm / dx, applied to dy. */
const rmsNormInputGradient: Operation<[dy: Tensor, x: Tensor, weight: Tensor, eps: number, centre: number]> = defineOp({
  name: 'rmsNormInputGradient',
  doc: 'r (g - x r^2 mean(g x)) with g = dy (weight + centre), r = 1 / sqrt(mean(x^2) + eps), over the last axis.',
  internal: true,
  tolerance,
  shape: (_dy: Tensor, x: Tensor, _weight: Tensor, _eps: number, _centre: number) => x.shape,
  forward: (shape, dy, x, weight, eps, centre) => {
    const [N, C] = rowsOf(x)
    if (x.size > 0 && fuses(rmsNormBackward, x)) {
      return launchFused(rmsNormBackward, [shape], [dy, x, weight, N, C, eps, centre])[0]
    }
    const scale = launch(kernels.rmsScale, [N], [x, C, eps])
    const dot = launch(kernels.rmsNormDot, [N], [dy, x, weight, C, centre])
    const dx = launch(kernels.rmsNormInputGradient, shape, [dy, x, weight, scale, dot, C, centre], [C, N, 1])
    return dx
  },
  vjp: (g, _dx, dy, x, weight, eps, centre) =>
    composedGradients(
      (dyIn, xIn, weightIn) => {
        const r = rsqrt(add(mean(square(xIn), { axis: -1, keepdim: true }), eps))
        const scaled = mul(dyIn, add(weightIn, centre))
        const dot = mean(mul(scaled, xIn), { axis: -1, keepdim: true })
        return mul(r, sub(scaled, mul(mul(xIn, square(r)), dot)))
      },
      [dy, x, weight],
      g,
    ),
  samples: (draw: Draw) => {
    const x = drawRows(draw)
    return [draw.tensor(x.shape), x, draw.tensor([x.shape.at(-1)!]), 0.1, draw.pick([0, 1])]
  },
})

/** dy x r, whose sum over rows is d rmsNorm / d weight, applied to dy. */
const rmsNormWeightTerm: Operation<[dy: Tensor, x: Tensor, eps: number]> = defineOp({
  name: 'rmsNormWeightTerm',
  doc: 'dy x r with r = 1 / sqrt(mean(x^2) + eps), over the last axis.',
  internal: true,
  tolerance,
  shape: (_dy: Tensor, x: Tensor, _eps: number) => x.shape,
  forward: (shape, dy, x, eps) => {
    const [N, C] = rowsOf(x)
    const scale = launch(kernels.rmsScale, [N], [x, C, eps])
    const term = launch(kernels.rmsNormWeightTerm, shape, [dy, x, scale, C], [C, N, 1])
    return term
  },
  vjp: (g, _y, dy, x, eps) =>
    composedGradients(
      (dyIn, xIn) => mul(mul(dyIn, xIn), rsqrt(add(mean(square(xIn), { axis: -1, keepdim: true }), eps))),
      [dy, x],
      g,
    ),
  samples: (draw: Draw) => {
    const x = drawRows(draw)
    return [draw.tensor(x.shape), x, 0.1]
  },
})

export const rmsNorm: Operation<[x: Tensor, weight: Tensor, options?: RmsNormOptions]> = defineOp<
  [x: Tensor, weight: Tensor, options?: RmsNormOptions],
  [Tensor, Tensor, number, number]
>({
  name: 'rmsNorm',
  doc: 'x / sqrt(mean(x^2) + eps) times the weight [C] (or 1 + weight, when zero-centred); x [..., C].',
  source: 'Zhang and Sennrich 2019, equation 4',
  tolerance,
  prepare: (x, weight, { eps = 1e-6, zeroCentred = false } = {}) => {
    needWeight('rmsNorm', 'weight', x, weight)
    return [x, weight, eps, zeroCentred ? 1 : 0]
  },
  shape: (x) => x.shape,
  forward: (shape, x, weight, eps, centre) => {
    const [N, C] = rowsOf(x)
    if (x.size > 0 && fuses(rmsNormForward, x)) {
      return launchFused(rmsNormForward, [shape], [x, weight, N, C, eps, centre])[0]
    }
    const scale = launch(kernels.rmsScale, [N], [x, C, eps])
    const y = launch(kernels.rmsNormCell, shape, [x, scale, weight, C, centre], [C, N, 1])
    return y
  },
  vjp: (dy, _y, x, weight, eps, centre) => [
    () => rmsNormInputGradient(dy, x, weight, eps, centre),
    () => {
      const [N, C] = rowsOf(x)
      // The sum over rows at once; the walk sums the composition's term, which can be differentiated again.
      if (isRecording() || x.size === 0 || !fuses(rmsNormWeightBackward, x)) return rmsNormWeightTerm(dy, x, eps)
      return launchFused(rmsNormWeightBackward, [[C]], [dy, x, N, C, eps])[0]
    },
  ],
  samples: (draw: Draw) => {
    const x = drawRows(draw)
    return [x, draw.tensor([x.shape.at(-1)!]), { zeroCentred: draw.boolean(), eps: 1e-3 }]
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

const composedL2Norm = (x: Tensor, eps: number): Tensor =>
  mul(x, rsqrt(add(sum(square(x), { axis: -1, keepdim: true }), eps)))

/** One launch forwards and one back; a recorded gradient goes through the composition. */
function fusedL2Norm(x: Tensor, eps: number): Tensor {
  const sizes = [...rowsOf(x), eps]
  const [y] = noGrad(() => launchFused(l2NormForward, [x.shape], [x, ...sizes]))
  recordAll('l2Norm', [x], [y], ([dy]) => [
    () => {
      if (isRecording()) return composedGradients((fresh) => composedL2Norm(fresh, eps), [x], dy!)[0]
      return launchFused(l2NormBackward, [x.shape], [dy!, x, ...sizes])[0]
    },
  ])
  return y
}

export const l2Norm: Operation<[x: Tensor, options?: { eps?: number }]> = defineOp({
  name: 'l2Norm',
  doc: 'x / sqrt(sum(x^2) + eps) over the last axis: rows of length 1.',
  tolerance,
  compose: (x: Tensor, { eps = 1e-6 }: { eps?: number } = {}) => {
    needTensor('l2Norm', 'x', x)
    const fused = x.rank > 0 && x.size > 0 && fuses(l2NormForward, x) && fuses(l2NormBackward, x)
    return fused ? fusedL2Norm(x, eps) : composedL2Norm(x, eps)
  },
  samples: (draw: Draw) => [drawRows(draw), { eps: 1e-3 }] as [Tensor, { eps: number }],
  errors: [{ what: 'rank 0', arguments: () => [example([])], message: /a rank-0 tensor has no axes/ }],
})
