/**
 * The causal convolution's fused kernels: out[b, t, c] = bias[c] + sum_w weight[c, w] x[b, t - W + 1 + w, c].
 *
 * x [B, T, C], weight [C, W], bias [C], state [B, W - 1, C]: the inputs before t = 0. `hasBias` and `hasState` are 0 where
 * there is none; zeros stand for them, and any buffer may take their place. W from 1 to `MOST_TAPS`.
 */
import { defineFused } from './kernel.ts'

/** Taps that the kernels take: their window lies in registers. */
export const MOST_TAPS = 16

const sizes = { B: 'integer', T: 'integer', C: 'integer', W: 'integer' } as const

/** out [B, T, C]. */
export const causalConvolutionForward = defineFused(
  'causalConvolutionForward',
  { x: 'array', weight: 'array', bias: 'array', state: 'array', ...sizes, hasBias: 'integer', hasState: 'integer' },
  { out: 'new' },
)

/** Gradients from dout [B, T, C]: of x, weight, bias [C] and state; dstate is not written where there is no state. */
export const causalConvolutionBackward = defineFused(
  'causalConvolutionBackward',
  { dout: 'array', x: 'array', weight: 'array', state: 'array', ...sizes, hasState: 'integer' },
  { dx: 'new', dweight: 'new', dbias: 'new', dstate: 'new' },
)
