/** Softmax, its logarithm, and cross-entropy. */
import { softmaxBackward, softmaxForward } from '../../kernels/fused-rows.ts'
import { maxAxis, sumAxis, sumExpAxis } from '../../kernels/reduce.ts'
import * as kernels from '../../kernels/softmax.ts'
import { SluiceError, showShape } from '../errors.ts'
import { tensor } from '../tensor/create.ts'
import { fuses, launch, launchFused } from '../tensor/launch.ts'
import { around, normalAxis } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { fusedCrossEntropy, fusesCrossEntropy } from './cross-entropy-fused.ts'
import { div, mul, notEqual, sub } from './elementwise.ts'
import { exp } from './functions.ts'
import { oneHot } from './indexing.ts'
import { reshape } from './movement.ts'
import { example, needIndices, needTensor } from './operands.ts'
import { defineOp, type Operation } from './record.ts'
import { sum } from './reduce.ts'

/** What `softmax` does to x before the exponential. */
export interface SoftmaxOptions {
  /** Multiplies x before the exponential; 1 unless given. */
  scale?: number
  /** On [..., T, S] with T <= S: query i sees keys up to i + S - T, the others are exactly 0. The last axis only. */
  causal?: boolean
}

type Normal = [x: Tensor, axis: number, scale: number, causal: boolean]

/** The adjoint: scale y (dy - sum(dy y)). */
const softmaxGradient: Operation<[dy: Tensor, y: Tensor, axis: number, scale: number]> = defineOp({
  name: 'softmaxGradient',
  doc: 'scale y (dy - sum over the axis of dy y), y = softmax(scale x).',
  internal: true,
  shape: (dy: Tensor, _y: Tensor, _axis: number, _scale: number) => dy.shape,
  forward: (shape, dy, y, axis, scale) => {
    const [outer, n, inner] = around(shape, axis)
    if (inner === 1 && dy.size > 0 && fuses(softmaxBackward, dy)) {
      return launchFused(softmaxBackward, [shape], [dy, y, outer, n, scale])[0]
    }
    const dot = launch(kernels.softmaxDot, shape.with(axis, 1), [dy, y, n, inner], [inner, 1, outer])
    const dx = launch(kernels.softmaxGradient, shape, [dy, y, dot, n, inner, scale], [inner, n, outer])
    return dx
  },
  // Linear in dy, and symmetric there, so its own gradient to dy is itself.
  vjp: (g, _dx, dy, y, axis, scale) => [
    () => softmaxGradient(g, y, axis, scale),
    () => {
      const gy = sum(mul(g, y), { axis, keepdim: true })
      const dot = sum(mul(dy, y), { axis, keepdim: true })
      return mul(sub(mul(g, sub(dy, dot)), mul(dy, gy)), scale)
    },
  ],
  samples: (draw) => {
    const shape = draw.shape({ minRank: 1 })
    return [draw.tensor(shape), draw.tensor(shape), draw.integer(0, shape.length - 1), draw.pick([1, 0.5])] as [
      Tensor,
      Tensor,
      number,
      number,
    ]
  },
})

export const softmax: Operation<[x: Tensor, axis?: number, options?: SoftmaxOptions]> = defineOp<
  [x: Tensor, axis?: number, options?: SoftmaxOptions],
  Normal
>({
  name: 'softmax',
  doc: 'e^(scale x) / sum over the axis (the last) of e^(scale x), shifted by the maximum so that nothing overflows; rows sum to 1.',
  prepare: (x, axis = -1, { scale = 1, causal = false } = {}) => {
    needTensor('softmax', 'x', x)
    const at = normalAxis('softmax', axis, x.rank)
    if (x.shape[at] === 0) throw new SluiceError('softmax', `axis ${axis} of ${showShape(x.shape)} has no elements`)
    if (causal && (at !== x.rank - 1 || x.rank < 2 || x.shape[at - 1] > x.shape[at])) {
      throw new SluiceError(
        'softmax',
        `causal needs [..., T, S] with T <= S and the last axis, got ${showShape(x.shape)} and axis ${axis}`,
      )
    }
    return [x, at, scale, causal]
  },
  shape: (x) => x.shape,
  forward: (shape, x, axis, scale, causal) => {
    const [outer, n, inner] = around(shape, axis)
    const T = causal ? shape[axis - 1] : 0
    if (inner === 1 && x.size > 0 && fuses(softmaxForward, x)) {
      return launchFused(softmaxForward, [shape], [x, outer, n, T, scale])[0]
    }
    const reduced = shape.with(axis, 1)
    const max = launch(kernels.softmaxMax, reduced, [x, n, inner, T, scale], [inner, 1, outer])
    const unscaled = launch(kernels.softmaxExp, shape, [x, max, n, inner, T, scale], [inner, n, outer])
    const total = launch(sumAxis, reduced, [unscaled, n, inner], [inner, 1, outer])
    return div(unscaled, total)
  },
  vjp: (dy, y, _x, axis, scale) => [() => softmaxGradient(dy, y, axis, scale)],
  samples: (draw) => {
    const x = draw.tensor(draw.shape({ minRank: 1 }))
    if (x.rank > 1 && x.shape.at(-2)! <= x.shape.at(-1)! && draw.boolean()) return [x, -1, { causal: true, scale: 0.5 }]
    return [x, draw.integer(-x.rank, x.rank - 1), { scale: draw.pick([1, 2]) }]
  },
  errors: [
    { what: 'an axis that is not there', arguments: () => [example([2]), 1], message: /axis 1 is out of range/ },
    { what: 'no elements', arguments: () => [example([2, 0])], message: /axis -1 of \[2, 0\] has no elements/ },
    {
      what: 'more queries than keys',
      arguments: () => [example([3, 2]), -1, { causal: true }],
      message: /causal needs \[..., T, S\] with T <= S/,
    },
  ],
})

export const logSoftmax: Operation<[x: Tensor, axis?: number]> = defineOp({
  name: 'logSoftmax',
  doc: 'x - log sum over the axis (the last) of e^x.',
  prepare: (x: Tensor, axis = -1): [Tensor, number] => {
    needTensor('logSoftmax', 'x', x)
    const at = normalAxis('logSoftmax', axis, x.rank)
    if (x.shape[at] === 0) throw new SluiceError('logSoftmax', `axis ${axis} of ${showShape(x.shape)} has no elements`)
    return [x, at]
  },
  shape: (x) => x.shape,
  forward: (shape, x, axis) => {
    const [outer, n, inner] = around(shape, axis)
    const reduced = shape.with(axis, 1)
    const max = launch(maxAxis, reduced, [x, n, inner], [inner, 1, outer])
    const total = launch(sumExpAxis, reduced, [x, max, n, inner], [inner, 1, outer])
    return launch(kernels.logSoftmaxCell, shape, [x, max, total, n, inner], [inner, n, outer])
  },
  vjp: (dy, y, _x, axis) => [() => sub(dy, mul(exp(y), sum(dy, { axis, keepdim: true })))],
  samples: (draw) => {
    const x = draw.tensor(draw.shape({ minRank: 1 }))
    return [x, draw.integer(-x.rank, x.rank - 1)] as [Tensor, number]
  },
  errors: [
    { what: 'an axis that is not there', arguments: () => [example([2]), 1], message: /axis 1 is out of range/ },
    { what: 'no elements', arguments: () => [example([2, 0])], message: /has no elements/ },
  ],
})

/** Which positions count. */
export interface CrossEntropyOptions {
  /** Positions with this target count neither in the sum nor in the mean. */
  ignoreIndex?: number
}

/** Never a class, so nothing is ignored. */
const NONE = -2147483648

/** By smaller operations: what the fused kernels mean, and the path where a device has none. */
const composedCrossEntropy: Operation<[logits: Tensor, targets: Tensor, ignore: number]> = defineOp({
  name: 'composedCrossEntropy',
  doc: 'Mean of -log softmax(logits)[target] over the positions whose target is not `ignore`.',
  internal: true,
  shape: (_logits: Tensor, _targets: Tensor, _ignore: number) => [],
  forward: (_shape, logits, targets, ignore) => {
    const rows = launch(kernels.crossEntropyRow, targets.shape, [logits, targets, logits.shape.at(-1)!, ignore])
    return div(sum(rows), ignore === NONE ? targets.size : sum(notEqual(targets, ignore)))
  },
  vjp: (dy, _y, logits, targets, ignore) => [
    () => {
      const error = sub(softmax(logits), oneHot(targets, logits.shape.at(-1)!))
      if (ignore === NONE) return mul(error, div(dy, targets.size))
      const counted = notEqual(targets, ignore)
      return mul(mul(error, reshape(counted, [...targets.shape, 1])), div(dy, sum(counted)))
    },
    null,
  ],
  samples: (draw) => {
    const shape = draw.shape({ maxRank: 2 })
    const V = draw.integer(1, 5)
    return [draw.tensor([...shape, V], { low: -4, high: 4 }), draw.indices(shape, V), NONE] as [Tensor, Tensor, number]
  },
})

export const crossEntropy: Operation<[logits: Tensor, targets: Tensor, options?: CrossEntropyOptions]> = defineOp({
  name: 'crossEntropy',
  doc: 'Mean over all positions of -log softmax(logits)[target], in nats; logits [..., V], targets int32 [...]. Positions of `ignoreIndex` are left out; NaN when none remains.',
  compose: (logits: Tensor, targets: Tensor, { ignoreIndex = NONE }: CrossEntropyOptions = {}) => {
    needTensor('crossEntropy', 'logits', logits)
    needTensor('crossEntropy', 'targets', targets)
    if (logits.rank === 0 || showShape(logits.shape.slice(0, -1)) !== showShape(targets.shape)) {
      throw new SluiceError(
        'crossEntropy',
        `expected logits [..., V] and targets [...], got ${showShape(logits.shape)} and ${showShape(targets.shape)}`,
      )
    }
    needIndices('crossEntropy', targets, logits.shape.at(-1)!, ignoreIndex)
    const compose = (x: Tensor) => composedCrossEntropy(x, targets, ignoreIndex)
    return fusesCrossEntropy(logits) ? fusedCrossEntropy(logits, targets, ignoreIndex, compose) : compose(logits)
  },
  samples: (draw) => {
    const shape = draw.shape({ maxRank: 2 })
    const V = draw.integer(1, 5)
    const logits = draw.tensor([...shape, V], { low: -4, high: 4 })
    const targets = draw.indices(shape, V)
    // Ignoring class 0 is only drawn when another class is there, since a mean over nothing is NaN.
    const ignoreIndex = draw.boolean() && targets.dataNow().some((t) => t !== 0) ? 0 : undefined
    return [logits, targets, { ignoreIndex }] as [Tensor, Tensor, CrossEntropyOptions]
  },
  errors: [
    {
      what: 'targets of another shape',
      arguments: () => [example([2, 3]), tensor(new Int32Array(3), { device: 'reference' })],
      message: /expected logits \[..., V\] and targets \[...\], got \[2, 3\] and \[3\]/,
    },
    {
      what: 'a class that is not there',
      arguments: () => [example([2, 3]), tensor(new Int32Array([0, 3]), { device: 'reference' })],
      message: /index 3 at position 1 is out of range; expected 0 to 2/,
    },
    {
      what: 'float targets',
      arguments: () => [example([2, 3]), example([2])],
      message: /indices must be int32, got float64/,
    },
  ],
})
