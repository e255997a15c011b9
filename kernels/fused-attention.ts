/**
 * Attention's fused kernels: softmax(scale Q K^T) V per head without the T x S matrix, its gate included.
 *
 * q [B, T, H, D], k and v [B, S, KV, D], as the operation takes them; head h reads key-value head floor(h KV / H). D is a
 * multiple of 4 up to `ATTENTION_MOST_WIDTH`. Causal (1): query i sees keys up to i + S - T. What they mean is the
 * composition in src/ops/attention.ts.
 *
 * The gate [B, T, H, D], or [B, T, H] (headwise 1), is given before its activation: Y' = Y ⊙ act(gate), or Y + act(gate)
 * (additive 1). `logSum` [B, T, H], the logarithm of each query's sum of exponentials, and the ungated Y are kept for the
 * backward kernel, which works the scores out again from them.
 */
import { defineFused } from './kernel.ts'

/** Wider heads run the composition: their sums would not fit an invocation's registers. */
export const ATTENTION_MOST_WIDTH = 128

/** Activations of the gate, by their number in a launch. */
export const attentionActivations = ['sigmoid', 'silu', 'identity', 'nsSigmoid'] as const

const operands = { q: 'array', k: 'array', v: 'array' } as const
const sizes = {
  B: 'integer',
  T: 'integer',
  S: 'integer',
  H: 'integer',
  KV: 'integer',
  D: 'integer',
  causal: 'integer',
  scale: 'float',
} as const
const gating = { headwise: 'integer', activation: 'integer', additive: 'integer' } as const

export const attentionForward = defineFused(
  'attentionForward',
  { ...operands, ...sizes },
  { out: 'new', logSum: 'new' },
)

/** Also the ungated result. */
export const gatedAttentionForward = defineFused(
  'gatedAttentionForward',
  { ...operands, gate: 'array', ...sizes, ...gating },
  { out: 'new', logSum: 'new', ungated: 'new' },
)

/** Gradients of q, k and v from dout, the gradient of out. */
export const attentionBackward = defineFused(
  'attentionBackward',
  { dout: 'array', out: 'array', logSum: 'array', ...operands, ...sizes },
  { dq: 'new', dk: 'new', dv: 'new' },
)

/** And of the gate; `out` is the ungated result here. */
export const gatedAttentionBackward = defineFused(
  'gatedAttentionBackward',
  { dout: 'array', out: 'array', logSum: 'array', ...operands, gate: 'array', ...sizes, ...gating },
  { dq: 'new', dk: 'new', dv: 'new', dgate: 'new' },
)
