/**
 * Arguments to measure with, where a record's own samples cannot be made large (`draw.ts` says why), and the hot cases: the
 * calls that training spends its time in.
 *
 * Shape letters: B batch, T time, H heads, KV key-value heads, D head width, C model width, V vocabulary.
 */
import type { Draw } from '../src/ops/record.ts'

export interface Sizes {
  /** What the arguments are besides their shapes, in a word or two. */
  readonly note?: string
  readonly arguments: (draw: Draw) => unknown[]
  /** Floating-point operations of the forward pass, a multiply-add being two. Twice as many again go back. */
  readonly flops?: number
}

const square = (draw: Draw) => draw.tensor([256, 256])

/** [B, T, H, D], as attention takes it. */
const heads = [4, 64, 4, 32]

/** Arguments of the delta rule; keys of length 1/2 and less, so that the state stays bounded. */
const delta = (draw: Draw, [B, T, H, K]: readonly number[]) => ({
  q: draw.tensor([B, T, H, K], { low: -0.5, high: 0.5 }),
  k: draw.tensor([B, T, H, K], { low: -0.15, high: 0.15 }),
  v: draw.tensor([B, T, H, K]),
  g: draw.tensor([B, T, H], { low: -0.5, high: 0 }),
  beta: draw.tensor([B, T, H], { low: 0, high: 1 }),
})

/** Scores q k^T and weighted values: two products of [T, D] and [D, T] a head. */
const attentionFlops = ([B, T, H, D]: readonly number[]) => 4 * B * H * T * T * D

/** By operation; all others are measured on what `record.samples` draws. */
export const sizes: Readonly<Record<string, Sizes>> = {
  permute: { note: 'to [B, H, T, D]', arguments: (draw) => [draw.tensor([4, 64, 4, 64]), [0, 2, 1, 3]] },
  transpose: { arguments: (draw) => [square(draw), 0, 1] },
  expand: { arguments: (draw) => [draw.tensor([256]), [256, 256]] },
  slice: { note: 'columns', arguments: (draw) => [draw.tensor([256, 512]), [null, [128, 384]]] },
  concat: { note: 'axis 1', arguments: (draw) => [[draw.tensor([256, 128]), draw.tensor([256, 128])], 1] },
  tril: { arguments: (draw) => [square(draw)] },
  triu: { arguments: (draw) => [square(draw)] },
  matmul: { arguments: (draw) => [square(draw), square(draw)], flops: 2 * 256 ** 3 },
  einsum: {
    note: 'ij,jk->ik',
    arguments: (draw) => ['ij,jk->ik', square(draw), square(draw)],
    flops: 2 * 256 ** 3,
  },
  solveUnitLower: {
    arguments: (draw) => [draw.tensor([8, 64, 64], { low: -0.1, high: 0.1 }), draw.tensor([8, 64, 32])],
    flops: 8 * 64 * 63 * 32,
  },
  gather: { note: 'axis 1', arguments: (draw) => [square(draw), draw.indices([256, 256], 256), 1] },
  scatterAdd: {
    note: 'axis 1',
    arguments: (draw) => [square(draw), draw.indices([256, 256], 256), square(draw), 1],
  },
  embedding: { arguments: (draw) => [draw.tensor([256, 128]), draw.indices([8, 64], 256)] },
  oneHot: { arguments: (draw) => [draw.indices([256], 256), 256] },
  topK: { note: 'k 2', arguments: (draw) => [draw.tensor([512, 64], { distinct: true }), 2] },
  crossEntropy: { arguments: (draw) => [draw.tensor([8, 64, 128]), draw.indices([8, 64], 128)] },
  rmsNorm: { arguments: (draw) => [square(draw), draw.tensor([256])] },
  layerNorm: { arguments: (draw) => [square(draw), draw.tensor([256]), draw.tensor([256])] },
  l2Norm: { arguments: (draw) => [square(draw)] },
  rope: { arguments: (draw) => [draw.tensor(heads)] },
  causalConv1d: { arguments: (draw) => [draw.tensor([4, 64, 128]), draw.tensor([128, 4])] },
  dropout: { note: 'p 0.1', arguments: (draw) => [square(draw), 0.1] },
  applyGate: { arguments: (draw) => [draw.tensor(heads), draw.tensor(heads)] },
  attentionWeights: {
    note: 'causal',
    arguments: (draw) => [draw.tensor(heads), draw.tensor(heads), { causal: true }],
    flops: attentionFlops(heads) / 2,
  },
  attention: {
    note: 'causal',
    arguments: (draw) => [draw.tensor(heads), draw.tensor(heads), draw.tensor(heads), { causal: true }],
    flops: attentionFlops(heads),
  },
  gatedAttention: {
    note: 'causal',
    arguments: (draw) => [...Array.from({ length: 4 }, () => draw.tensor(heads)), { causal: true }],
    flops: attentionFlops(heads),
  },
  channelDeltaRule: {
    arguments: (draw) => {
      const { q, k, v, beta } = delta(draw, [1, 128, 2, 32])
      return [q, k, v, draw.tensor([1, 128, 2, 32], { low: -0.1, high: 0 }), beta]
    },
  },
  deltaRule: {
    note: 'chunked',
    arguments: (draw) => {
      const { q, k, v, beta } = delta(draw, [1, 128, 2, 32])
      return [q, k, v, beta]
    },
  },
  gatedDeltaRule: {
    note: 'chunked',
    arguments: (draw) => Object.values(delta(draw, [1, 128, 2, 32])),
  },
}

const product = (n: number): Sizes => ({
  arguments: (draw) => [draw.tensor([n, n]), draw.tensor([n, n])],
  flops: 2 * n ** 3,
})

const hotHeads = [4, 128, 4, 32]

const hotDelta = (mode: 'recurrent' | 'chunked'): Sizes => ({
  note: mode,
  arguments: (draw) => [...Object.values(delta(draw, [2, 256, 4, 32])), { mode }],
})

/** Operation and arguments of each hot case. */
export const hot: readonly (readonly [operation: string, sizes: Sizes])[] = [
  ...[64, 128, 256, 512, 1024].map((n) => ['matmul', product(n)] as const),
  ['softmax', { arguments: (draw) => [draw.tensor([1024, 1024])] }],
  [
    'attention',
    {
      note: 'causal, gated',
      arguments: (draw) => {
        const [q, k, v, gate] = Array.from({ length: 4 }, () => draw.tensor(hotHeads))
        return [q, k, v, { causal: true, gate }]
      },
      flops: attentionFlops(hotHeads),
    },
  ],
  ['gatedDeltaRule', hotDelta('recurrent')],
  ['gatedDeltaRule', hotDelta('chunked')],
  ['rmsNorm', { arguments: (draw) => [draw.tensor([1024, 256]), draw.tensor([256])] }],
  ['gelu', { arguments: (draw) => [draw.tensor([1024, 1024])] }],
  ['crossEntropy', { arguments: (draw) => [draw.tensor([512, 4096]), draw.indices([512], 4096)] }],
  ['embedding', { arguments: (draw) => [draw.tensor([4096, 256]), draw.indices([16, 128], 4096)] }],
]
