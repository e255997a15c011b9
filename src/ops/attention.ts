/**
 * Scaled dot-product attention with its output gate: the flagship.
 *
 * Y = softmax(scale Q K^T + mask) V per head, then Y' = Y ⊙ act(gate): a head-specific sigmoid gate after attention
 * (Gated Attention for Large Language Models, NeurIPS 2025, equation 5, position G1).
 * B batch, T queries, S keys, H heads, KV key-value heads, G = H / KV queries a key-value head, D head width.
 */
import { SluiceError, showShape } from '../errors.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { fusedAttention, fusesAttention } from './attention-fused.ts'
import { add, mul } from './elementwise.ts'
import { sigmoid, silu } from './functions.ts'
import { matmul } from './matmul.ts'
import { permute, reshape, unsqueeze } from './movement.ts'
import { example, needRank, needTensor } from './operands.ts'
import { type BadInput, type Draw, defineOp, type Operation, type Tolerance } from './record.ts'
import { mean } from './reduce.ts'
import { softmax } from './softmax.ts'

/** The activation of a gate's scores; 'nsSigmoid' is 0.5 + 0.5 sigmoid (the paper's equation 9). */
export type GateActivation = 'sigmoid' | 'silu' | 'identity' | 'nsSigmoid'

/** What `applyGate` computes: Y' = Y ⊙ act(scores) unless given otherwise. */
export interface GateOptions {
  /** 'nsSigmoid' is 0.5 + 0.5 sigmoid (the paper's equation 9). */
  act?: GateActivation
  /** Y' = Y ⊙ s, or Y + s. */
  op?: 'mul' | 'add'
  /** One score for all heads: the mean over heads of the activated scores. */
  shared?: boolean
}

const gateActivations: Readonly<Record<GateActivation, (scores: Tensor) => Tensor>> = {
  sigmoid: (x) => sigmoid(x),
  silu: (x) => silu(x),
  identity: (x) => x,
  nsSigmoid: (x) => add(mul(sigmoid(x), 0.5), 0.5),
}

const gateShapes = (y: Tensor, gate: Tensor): boolean =>
  gate.rank === 3
    ? gate.shape.every((n, i) => n === y.shape[i])
    : gate.rank <= 4 && gate.shape.every((n, i) => n === 1 || n === y.shape[4 - gate.rank + i])

export const applyGate: Operation<[y: Tensor, gate: Tensor, options?: GateOptions]> = defineOp({
  name: 'applyGate',
  doc: 'y [B, T, H, D] times (or plus) the activated gate: [B, T, H, D] elementwise, [B, T, H] one score a head, or what broadcasts to [B, T, H, D], such as an input-independent [H, D].',
  source: 'Gated Attention, NeurIPS 2025, section 2.2',
  compose: (y: Tensor, gate: Tensor, { act = 'sigmoid', op = 'mul', shared = false }: GateOptions = {}) => {
    needRank('applyGate', 'y', y, 4, 'B, T, H, D')
    needTensor('applyGate', 'gate', gate)
    if (!gateShapes(y, gate)) {
      throw new SluiceError(
        'applyGate',
        `the gate must be [B, T, H, D] or [B, T, H] for y ${showShape(y.shape)}, got ${showShape(gate.shape)}`,
      )
    }
    const activation = gateActivations[act]
    if (!activation) {
      throw new SluiceError(
        'applyGate',
        `there is no activation '${String(act)}'; there are ${Object.keys(gateActivations).join(', ')}`,
      )
    }
    let scores = activation(gate.rank === 3 ? unsqueeze(gate, -1) : gate)
    if (shared) {
      if (scores.rank < 2)
        throw new SluiceError('applyGate', `a shared gate needs an axis of heads, got ${showShape(gate.shape)}`)
      scores = mean(scores, { axis: -2, keepdim: true })
    }
    return op === 'add' ? add(y, scores) : mul(y, scores)
  },
  samples: (draw: Draw) => {
    const [B, T, H, D] = [draw.integer(1, 2), draw.integer(1, 3), draw.integer(1, 3), draw.integer(1, 3)]
    return [
      draw.tensor([B, T, H, D]),
      draw.tensor(
        draw.pick([
          [B, T, H, D],
          [B, T, H],
          [H, D],
        ]),
      ),
      drawGate(draw),
    ] as [Tensor, Tensor, GateOptions]
  },
  errors: [
    {
      what: 'a gate of another shape',
      arguments: () => [example([1, 2, 3, 4]), example([1, 2, 4])],
      message: /the gate must be \[B, T, H, D\] or \[B, T, H\] for y \[1, 2, 3, 4\], got \[1, 2, 4\]/,
    },
    {
      what: 'an unknown activation',
      arguments: () => [example([1, 2, 3, 4]), example([1, 2, 3]), { act: 'relu' }],
      message: /no activation 'relu'; there are sigmoid, silu, identity, nsSigmoid/,
    },
  ],
})

function drawGate(draw: Draw): Required<GateOptions> {
  return {
    act: draw.pick(['sigmoid', 'silu', 'identity', 'nsSigmoid'] as const),
    op: draw.pick(['mul', 'add'] as const),
    shared: draw.boolean(),
  }
}

/** What `attentionWeights` computes. */
export interface AttentionWeightsOptions {
  /** Query i sees keys up to i + S - T: the last query sees the last key. */
  causal?: boolean
  /** D^-0.5 unless given. */
  scale?: number
  /** Added to the scaled scores; broadcasts to [B, H, T, S]. -Infinity hides a key. */
  mask?: Tensor
}

const tolerance: Tolerance = {
  absolute: 1e-5,
  relative: 1e-5,
  why: 'two products of at most 4 terms of values up to 2 around a softmax: about 40 float32 roundings',
}

function checkHeads(operation: string, q: Tensor, k: Tensor): void {
  needRank(operation, 'q', q, 4, 'B, T, H, D')
  needRank(operation, 'k', k, 4, 'B, S, KV, D')
  const [B, T, H, D] = q.shape
  const [Bk, S, KV, Dk] = k.shape
  if (B !== Bk || D !== Dk) {
    throw new SluiceError(
      operation,
      `q ${showShape(q.shape)} and k ${showShape(k.shape)}: B and D must be equal in q [B, T, H, D] and k [B, S, KV, D]`,
    )
  }
  if (KV === 0 || H % KV !== 0)
    throw new SluiceError(operation, `${H} query heads cannot share ${KV} key-value heads; H must be a multiple of KV`)
  if (S === 0 && T > 0) throw new SluiceError(operation, 'there are no keys to attend to (S = 0)')
}

/** [B, T, H, D] to [B, KV, G T, D]: the queries of a key-value head in one block, so that keys are never repeated. */
function byKeyHead(x: Tensor, KV: number): Tensor {
  const [B, T, H, D] = x.shape
  return reshape(permute(x, [0, 2, 1, 3]), [B, KV, (H / KV) * T, D])
}

export const attentionWeights: Operation<[q: Tensor, k: Tensor, options?: AttentionWeightsOptions]> = defineOp({
  name: 'attentionWeights',
  doc: 'softmax(scale q k^T + mask) per head, [B, H, T, S]; q [B, T, H, D], k [B, S, KV, D]. Head h reads key-value head floor(h KV / H).',
  source: 'Vaswani et al. 2017, equation 1',
  tolerance,
  compose: (q: Tensor, k: Tensor, { causal = false, scale, mask }: AttentionWeightsOptions = {}) => {
    checkHeads('attentionWeights', q, k)
    const [B, T, H, D] = q.shape
    const [, S, KV] = k.shape
    if (causal && T > S) throw new SluiceError('attentionWeights', `causal needs T <= S, got T = ${T} and S = ${S}`)
    const keys = permute(k, [0, 2, 1, 3])
    const scores = reshape(matmul(byKeyHead(q, KV), keys, { transposeB: true }), [B, H, T, S])
    const factor = scale ?? D ** -0.5
    if (!mask) return softmax(scores, -1, { scale: factor, causal })
    const masked = add(mul(scores, factor), mask)
    if (masked.rank !== 4 || masked.size !== scores.size) {
      throw new SluiceError(
        'attentionWeights',
        `mask ${showShape(mask.shape)} does not broadcast to [B, H, T, S] = ${showShape(scores.shape)}`,
      )
    }
    return softmax(masked, -1, { causal })
  },
  samples: (draw: Draw) => {
    const { q, k, options } = drawAttention(draw)
    return [q, k, options] as [Tensor, Tensor, AttentionWeightsOptions]
  },
  errors: [
    {
      what: 'heads that do not divide',
      arguments: () => [example([1, 2, 3, 2]), example([1, 2, 2, 2])],
      message: /3 query heads cannot share 2 key-value heads/,
    },
    {
      what: 'more causal queries than keys',
      arguments: () => [example([1, 3, 1, 2]), example([1, 2, 1, 2]), { causal: true }],
      message: /causal needs T <= S, got T = 3 and S = 2/,
    },
  ],
})

function drawAttention(draw: Draw) {
  const [B, T, KV, D] = [draw.integer(1, 2), draw.integer(1, 3), draw.integer(1, 2), draw.integer(1, 3)]
  const H = KV * draw.integer(1, 2)
  const S = T + draw.integer(0, 1)
  const options: AttentionWeightsOptions = { causal: draw.boolean() }
  if (draw.boolean()) options.scale = 0.5
  if (draw.boolean())
    options.mask = draw.tensor(
      draw.pick([
        [T, S],
        [B, 1, T, S],
      ]),
    )
  return { q: draw.tensor([B, T, H, D]), k: draw.tensor([B, S, KV, D]), v: draw.tensor([B, S, KV, D]), options }
}

/** What `attention` computes. */
export interface AttentionOptions extends AttentionWeightsOptions {
  /** Scores before their activation, [B, T, H, D] or [B, T, H, 1]; see `applyGate`. */
  gate?: Tensor
  /** 'sigmoid' unless given. */
  gateAct?: GateActivation
  /** Y' = Y ⊙ s, or Y + s; 'mul' unless given. */
  gateOp?: 'mul' | 'add'
  /** One score for all heads: the mean over heads of the activated scores; false unless given. */
  gateShared?: boolean
}

const attentionErrors: readonly BadInput[] = [
  {
    what: 'keys of another width',
    arguments: () => [example([1, 2, 2, 4]), example([1, 2, 2, 3]), example([1, 2, 2, 3])],
    message: /q \[1, 2, 2, 4\] and k \[1, 2, 2, 3\]: B and D must be equal/,
  },
  {
    what: 'values of another length',
    arguments: () => [example([1, 2, 2, 4]), example([1, 2, 2, 4]), example([1, 3, 2, 4])],
    message: /v must be \[B, S, KV, D\] as k is, got \[1, 3, 2, 4\]/,
  },
]

export const attention: Operation<[q: Tensor, k: Tensor, v: Tensor, options?: AttentionOptions]> = defineOp({
  name: 'attention',
  doc: 'softmax(scale q k^T + mask) v per head, then the gate; q [B, T, H, D], k and v [B, S, KV, D], result [B, T, H, D].',
  source: 'Vaswani et al. 2017, equation 1; Gated Attention, NeurIPS 2025, equation 5',
  tolerance,
  compose: (q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}) => {
    checkHeads('attention', q, k)
    needRank('attention', 'v', v, 4, 'B, S, KV, D')
    const [B, T, H] = q.shape
    const [, S, KV] = k.shape
    if (v.shape.slice(0, 3).some((n, i) => n !== k.shape[i])) {
      throw new SluiceError(
        'attention',
        `v must be [B, S, KV, D] as k is, got ${showShape(v.shape)} for k ${showShape(k.shape)}`,
      )
    }
    const { gate, gateAct = 'sigmoid', gateOp = 'mul', gateShared, ...rest } = options
    const composed = (queries: Tensor, keys: Tensor, values: Tensor, scores?: Tensor) => {
      const weights = reshape(attentionWeights(queries, keys, rest), [B, KV, (H / KV) * T, S])
      const mixed = matmul(weights, permute(values, [0, 2, 1, 3]))
      const y = permute(reshape(mixed, [B, H, T, values.shape[3]]), [0, 2, 1, 3])
      return scores ? applyGate(y, scores, { act: gateAct, op: gateOp, shared: gateShared }) : y
    }
    const { causal = false, scale = q.shape[3] ** -0.5, mask } = rest
    const settings = { causal, scale, gate, activation: gateAct, additive: gateOp === 'add' }
    const isFused = !mask && !gateShared && gateAct in gateActivations && fusesAttention(q, k, v, settings)
    return isFused ? fusedAttention(q, k, v, settings, composed) : composed(q, k, v, gate)
  },
  samples: (draw: Draw) => {
    const { q, k, v, options } = drawAttention(draw)
    const { act, op, shared } = drawGate(draw)
    const gate = draw.pick([undefined, q.shape, q.shape.slice(0, 3)])
    const gated: AttentionOptions = gate
      ? { ...options, gate: draw.tensor(gate), gateAct: act, gateOp: op, gateShared: shared }
      : options
    return [q, k, v, gated] as [Tensor, Tensor, Tensor, AttentionOptions]
  },
  errors: attentionErrors,
})

export const gatedAttention: Operation<
  [q: Tensor, k: Tensor, v: Tensor, gate: Tensor, options?: Omit<AttentionOptions, 'gate'>]
> = defineOp({
  name: 'gatedAttention',
  doc: 'attention with an output gate: Y ⊙ sigmoid(gate) unless told otherwise; gate [B, T, H, D] or [B, T, H].',
  source: 'Gated Attention, NeurIPS 2025, equation 5',
  tolerance,
  compose: (q: Tensor, k: Tensor, v: Tensor, gate: Tensor, options: Omit<AttentionOptions, 'gate'> = {}) => {
    needTensor('gatedAttention', 'gate', gate)
    return attention(q, k, v, { ...options, gate })
  },
  samples: (draw: Draw) => {
    const { q, k, v, options } = drawAttention(draw)
    return [q, k, v, draw.tensor(draw.pick([q.shape, q.shape.slice(0, 3)])), options] as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      AttentionWeightsOptions,
    ]
  },
  errors: [
    {
      what: 'no gate',
      arguments: () => [example([1, 2, 2, 4]), example([1, 2, 2, 4]), example([1, 2, 2, 4])],
      message: /gate must be a tensor, got undefined/,
    },
  ],
})
