/** Operations along time: rotary positions, causal convolution, dropout. */
import * as kernels from '../../kernels/rope.ts'
import { SluiceError, showShape } from '../errors.ts'
import { tensor } from '../tensor/create.ts'
import { launch } from '../tensor/launch.ts'
import { defaultGenerator } from '../tensor/random.ts'
import { fromHost, type Tensor } from '../tensor/tensor.ts'
import { type ConvolutionOperands, fusedConvolution, fusesConvolution } from './convolution-fused.ts'
import { add, mul } from './elementwise.ts'
import { reshape } from './movement.ts'
import { example, needRank, needShape, needTensor } from './operands.ts'
import { concat, pad, slice } from './parts.ts'
import { type Draw, defineOp, type Operation } from './record.ts'

/** Which dimensions turn, how fast, and from which position on. */
export interface RopeOptions {
  /** theta: pair i turns by position times base^(-2 i / dims); 10000 unless given. */
  base?: number
  /** How many leading dimensions turn, an even number; all of D unless given. */
  dims?: number
  /** Position of the first row; 0 unless given. */
  offset?: number
}

interface AngleTable {
  readonly key: string
  readonly cos: Float64Array
  readonly sin: Float64Array
}

/** The table that was made last: queries and keys of all layers ask for the same one. */
let lastTable: AngleTable | undefined

/** Cosines and sines of (offset + t) base^(-2 i / dims), [T, dims / 2], in float64: right for angles of any size. */
function angleTable(T: number, dims: number, base: number, offset: number): AngleTable {
  const key = [T, dims, base, offset].join(' ')
  if (lastTable?.key === key) return lastTable
  const half = dims / 2
  const [cos, sin] = [new Float64Array(T * half), new Float64Array(T * half)]
  for (let i = 0; i < half; i++) {
    const frequency = base ** ((-2 * i) / dims)
    for (let t = 0; t < T; t++) {
      const angle = (offset + t) * frequency
      cos[t * half + i] = Math.cos(angle)
      sin[t * half + i] = Math.sin(angle)
    }
  }
  lastTable = { key, cos, sin }
  return lastTable
}

const rotate: Operation<[x: Tensor, cos: Tensor, sin: Tensor, sign: 1 | -1]> = defineOp({
  name: 'rotate',
  doc: 'Pairs of x [B, T, H, D] turned by angles given as cos and sin [T, dims / 2]; sign -1 turns back. Angles have no gradient.',
  internal: true,
  fixed: [1, 2],
  shape: (x: Tensor, _cos: Tensor, _sin: Tensor, _sign: 1 | -1) => x.shape,
  forward: (shape, x, cos, sin, sign) => {
    const [B, T, H, D] = shape
    return launch(kernels.rope, shape, [x, cos, sin, T, H, D, cos.shape[1], sign], [D, H, B * T])
  },
  vjp: (dy, _y, _x, cos, sin, sign) => [() => rotate(dy, cos, sin, sign === 1 ? -1 : 1), null, null],
  samples: (draw: Draw) => {
    const [T, half] = [draw.integer(1, 3), draw.integer(0, 2)]
    const x = draw.tensor([draw.integer(1, 2), T, draw.integer(1, 2), 2 * half + draw.integer(1, 2)])
    const angles = Array.from({ length: T * half }, (_, i) => i / 3)
    const table = (f: (a: number) => number) =>
      tensor(new Float64Array(angles.map(f)), { shape: [T, half], device: 'reference' })
    return [x, table(Math.cos), table(Math.sin), draw.pick([1, -1])] as [Tensor, Tensor, Tensor, 1 | -1]
  },
})

export const rope: Operation<[x: Tensor, options?: RopeOptions]> = defineOp({
  name: 'rope',
  doc: 'Rotary positions, rotate-half: pairs (i, i + dims/2) of x [B, T, H, D] turn by (offset + t) base^(-2i/dims); dimensions past `dims` pass.',
  source: 'Su et al. 2021, equation 15; pair layout of Qwen3',
  compose: (x: Tensor, { base = 10000, dims, offset = 0 }: RopeOptions = {}) => {
    needRank('rope', 'x', x, 4, 'B, T, H, D')
    const [, T, , D] = x.shape
    const turned = dims ?? D
    if (!Number.isInteger(turned) || turned % 2 !== 0 || turned < 0 || turned > D) {
      throw new SluiceError('rope', `dims must be an even number from 0 to D = ${D}, got ${turned}`)
    }
    const half = turned / 2
    const { cos, sin } = angleTable(T, turned, base, offset)
    const table = (values: Float64Array) => tensor(values, { shape: [T, half], device: x.device })
    return rotate(x, table(cos), table(sin), 1)
  },
  samples: (draw: Draw) => {
    const D = draw.pick([2, 4])
    const x = draw.tensor([draw.integer(1, 2), draw.integer(1, 3), draw.integer(1, 2), D])
    return [x, { base: 100, dims: draw.pick([D, 2]), offset: draw.integer(0, 3) }] as [Tensor, RopeOptions]
  },
  errors: [
    {
      what: 'an odd number of dimensions',
      arguments: () => [example([1, 1, 1, 4]), { dims: 3 }],
      message: /dims must be an even number from 0 to D = 4, got 3/,
    },
    {
      what: 'a wrong rank',
      arguments: () => [example([2, 4])],
      message: /x must be \[B, T, H, D\], got \[2, 4\] of rank 2/,
    },
  ],
})

/** What `causalConv1d` takes beside input and weight. */
export interface CausalConv1dOptions {
  /** Added to every position, [C]. */
  bias?: Tensor
  /** The W - 1 inputs before t = 0, [B, W - 1, C]; zeros unless given. */
  state?: Tensor
}

/** The convolution by ordinary operations: what the fused kernels mean, and what is differentiated twice. */
function composeConvolution({ x, weight, bias, state }: ConvolutionOperands): Tensor {
  const [, T, C] = x.shape
  const W = weight.shape[1]
  const past = state
    ? concat([state, x], 1)
    : pad(x, [
        [0, 0],
        [W - 1, 0],
        [0, 0],
      ])
  let y: Tensor | undefined
  for (let w = 0; w < W; w++) {
    const tap = reshape(slice(weight, [null, [w, w + 1]]), [C])
    const term = mul(slice(past, [null, [w, w + T]]), tap)
    y = y ? add(y, term) : term
  }
  return bias ? add(y!, bias) : y!
}

export const causalConv1d: Operation<[x: Tensor, weight: Tensor, options?: CausalConv1dOptions]> = defineOp({
  name: 'causalConv1d',
  doc: 'Depthwise convolution over the past: out[b, t, c] = sum_w weight[c, w] x[b, t - W + 1 + w, c]; x [B, T, C], weight [C, W].',
  compose: (x: Tensor, weight: Tensor, { bias, state }: CausalConv1dOptions = {}) => {
    needRank('causalConv1d', 'x', x, 3, 'B, T, C')
    needRank('causalConv1d', 'weight', weight, 2, 'C, W')
    const [B, , C] = x.shape
    const W = weight.shape[1]
    if (weight.shape[0] !== C || W === 0) {
      throw new SluiceError(
        'causalConv1d',
        `weight must be [C, W] with C = ${C} and W > 0, got ${showShape(weight.shape)}`,
      )
    }
    if (state) needShape('causalConv1d', 'state', state, [B, W - 1, C], 'B, W - 1, C')
    if (bias) needShape('causalConv1d', 'bias', bias, [C], 'C')
    const operands = { x, weight, bias, state }
    return fusesConvolution(operands) ? fusedConvolution(operands, composeConvolution) : composeConvolution(operands)
  },
  samples: (draw: Draw) => {
    const [B, C, W] = [draw.integer(1, 2), draw.integer(1, 3), draw.integer(1, 4)]
    const x = draw.tensor([B, draw.integer(1, 4), C])
    const options: CausalConv1dOptions = {}
    if (draw.boolean()) options.bias = draw.tensor([C])
    if (draw.boolean()) options.state = draw.tensor([B, W - 1, C])
    return [x, draw.tensor([C, W]), options] as [Tensor, Tensor, CausalConv1dOptions]
  },
  errors: [
    {
      what: 'other channels',
      arguments: () => [example([1, 2, 3]), example([2, 4])],
      message: /weight must be \[C, W\] with C = 3 and W > 0, got \[2, 4\]/,
    },
    {
      what: 'a state of another length',
      arguments: () => [example([1, 2, 3]), example([3, 4]), { state: example([1, 2, 3]) }],
      message: /state must be \[B, W - 1, C\] = \[1, 3, 3\], got \[1, 2, 3\]/,
    },
  ],
})

export const dropout: Operation<[x: Tensor, p: number, options?: { training?: boolean }]> = defineOp({
  name: 'dropout',
  doc: 'Each element 0 with probability p, else divided by 1 - p; x itself when not training. Masks come from the seeded generator.',
  source: 'Srivastava et al. 2014',
  compose: (x: Tensor, p: number, { training = true }: { training?: boolean } = {}) => {
    needTensor('dropout', 'x', x)
    if (!(p >= 0 && p < 1)) throw new SluiceError('dropout', `the probability must be in [0, 1), got ${p}`)
    if (!training || p === 0) return reshape(x, x.shape)
    const { device } = x.storage
    const kept = fromHost(() => defaultGenerator.bernoulli(x.size, 1 - p), x.shape, device.floatType, device)
    return mul(x, mul(kept, 1 / (1 - p)))
  },
  samples: (draw: Draw) =>
    [draw.tensor(draw.shape()), draw.pick([0, 0.5]), { training: draw.boolean() }] as [
      Tensor,
      number,
      { training: boolean },
    ],
  errors: [{ what: 'a probability of 1', arguments: () => [example([2]), 1], message: /must be in \[0, 1\), got 1/ }],
})
