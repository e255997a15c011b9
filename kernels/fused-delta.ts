/**
 * The gated delta rule's fused kernels: a whole sequence at once. There are two pairs of them, and a device has one:
 * chunks of `DELTA_CHUNK` steps, for devices that multiply matrices much faster than anything else, and step by step.
 *
 *   S_t = e^{g_t} (I - beta_t k_t k_t^T) S_{t-1} + beta_t k_t v_t^T,   o_t = scale S_t^T q_t       S [K, V] a head
 *
 * q and k [B, T, H, K], v [B, T, H, V], g and beta [B, T, H] lie as the operation takes them; state [B, H, K, V] is the
 * memory before the first step. What they mean is the composition in src/ops/delta.ts. K and V are multiples of 4, so that
 * rows are read as vectors; zeros beside narrower keys and values change nothing.
 *
 * A forward kernel also gives what its backward kernel would otherwise work out again.
 */
import { defineFused } from './kernel.ts'

/** Steps done at once. It is the kernels' own: an operation's `chunk` option only sets the order of sums elsewhere. */
export const DELTA_CHUNK = 32

/** The widest keys and values that the kernels take: a state's block of columns lies in 16 KiB of workgroup memory. */
export const DELTA_MOST_WIDTH = 256

const operands = { q: 'array', k: 'array', v: 'array', g: 'array', beta: 'array', state: 'array' } as const
const sizes = { B: 'integer', T: 'integer', H: 'integer', K: 'integer', V: 'integer', scale: 'float' } as const

/**
 * In chunks, N = ceil(T / 32) of them: out [B, T, H, V], last [B, H, K, V]; gates [B, H, N, 32, 2], the running sum of g and
 * beta of each step; inverse, (I + A)^-1, and scores, scale tril(Q K^T) ⊙ Gamma, [B, H, N, 32, 32]. States at the starts of
 * chunks are not among them: they are worked out again, because they would be K V / 32 numbers a step.
 */
export const gatedDeltaForward = defineFused(
  'gatedDeltaForward',
  { ...operands, ...sizes },
  { out: 'new', last: 'new', gates: 'new', inverse: 'new', scores: 'new' },
)

/** Gradients of the six operands, each of its shape, from those of out and last. */
export const gatedDeltaBackward = defineFused(
  'gatedDeltaBackward',
  { ...operands, gates: 'array', inverse: 'array', scores: 'array', dout: 'array', dlast: 'array', ...sizes },
  { dq: 'new', dk: 'new', dv: 'new', dg: 'new', dbeta: 'new', dstate: 'new' },
)

/** Steps between the states that `recurrentDeltaForward` keeps. */
export const RECURRENT_SEGMENT = 64

/**
 * Step by step: out [B, T, H, V], last [B, H, K, V]; decays, e^g; errors [B, T, H, V], what a step's value differs by from
 * what is found under its key, v - r; checkpoints [B, H, ceil(T / 64), V, K], the transposed states after each 64 steps and after the last.
 */
export const recurrentDeltaForward = defineFused(
  'recurrentDeltaForward',
  { ...operands, ...sizes },
  { out: 'new', last: 'new', decays: 'new', errors: 'new', checkpoints: 'new' },
)

/** Gradients of the six operands, each of its shape, from those of out and last. */
export const recurrentDeltaBackward = defineFused(
  'recurrentDeltaBackward',
  {
    ...operands,
    ...{ out: 'array', decays: 'array', errors: 'array', checkpoints: 'array' },
    ...{ dout: 'array', dlast: 'array', ...sizes },
  },
  { dq: 'new', dk: 'new', dv: 'new', dg: 'new', dbeta: 'new', dstate: 'new' },
)
