/**
 * The character language model of the engine comparisons, whose weights and data come from an integer hash, so that every
 * engine must print the same losses. The numbers to reproduce were printed by PyTorch 1.13.
 *
 * Learned positions, L x { RMSNorm, causal softmax attention with an elementwise sigmoid gate; RMSNorm, MLP of 4 C with
 * gelu }, RMSNorm, untied head, mean cross-entropy. B batch, T time, C model width, H heads, V vocabulary, L layers.
 */
import { defaultGenerator, type Tensor, tensor } from '../src/index.ts'
import { Transformer, type TransformerConfigInput } from '../src/nn/index.ts'
import { AdamW, decayGroups, type Optimizer } from '../src/optim/index.ts'
import { assignAll, type HostTensor } from '../src/tensor/host.ts'

export interface HashModelSize {
  /** L */
  readonly layers: number
  /** C */
  readonly width: number
  /** H */
  readonly heads: number
  readonly T: number
  readonly B: number
  /** K: batches, which take turns; the second loss is that of batch 0 after K steps. */
  readonly batches: number
  /** Cross-entropy in nats of batch 0 before the first step and after K, to 5 decimals; null where none are published. */
  readonly losses: readonly [first: number, afterK: number] | null
}

export const hashModelSizes = {
  tiny: { layers: 2, width: 64, heads: 4, T: 64, B: 8, batches: 20, losses: [4.17304, 2.41261] },
  small: { layers: 4, width: 128, heads: 4, T: 64, B: 12, batches: 10, losses: [4.21178, 1.82929] },
  medium: { layers: 6, width: 384, heads: 6, T: 256, B: 4, batches: 3, losses: [4.36738, 2.04912] },
} as const satisfies Record<string, HashModelSize>

export type HashModelName = keyof typeof hashModelSizes

/** Sizes that need a GPU. Their losses are compared with another engine's of the same run. */
export const largeModelSizes = {
  base: { layers: 12, width: 768, heads: 12, T: 1024, B: 8, batches: 3, losses: null },
  large: { layers: 24, width: 1024, heads: 16, T: 1024, B: 4, batches: 3, losses: null },
} as const satisfies Record<string, HashModelSize>

/** V */
export const vocabularySize = 65

/** Uniform in [0, 1): the index times an odd constant plus the seed's offset, mixed by two rounds of xor-shift-multiply. */
export function hash(index: number, seed: number): number {
  let x = (Math.imul(index, 2654435761 | 0) + seed * 40503 + 12345) >>> 0
  for (let round = 0; round < 2; round++) x = Math.imul(x ^ (x >>> 16), 0x45d9f3b) >>> 0
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32
}

/** n values, uniform with this standard deviation. */
function weights(seed: number, n: number, std = 0.02): Float32Array {
  const values = new Float32Array(n)
  for (let i = 0; i < n; i++) values[i] = (hash(i, seed) * 2 - 1) * std * Math.sqrt(3)
  return values
}

/** Token t follows from the one before by 5 t + 3, plus a jump once in five times. */
const text = (() => {
  const tokens = new Int32Array(20000)
  for (let i = 1; i < tokens.length; i++) {
    const jump = hash(i, 99) < 0.2 ? 1 + Math.floor(hash(i, 98) * 64) : 0
    tokens[i] = (tokens[i - 1] * 5 + 3 + jump) % vocabularySize
  }
  return tokens
})()

/** Tokens [B, T] and those that follow them. */
export function hashBatch({ B, T }: HashModelSize, step: number): { tokens: Tensor; targets: Tensor } {
  const rows = Array.from({ length: B }, (_, b) => Math.floor(hash(step * B + b, 7) * (text.length - T - 1)))
  const take = (ahead: number) =>
    tensor(Int32Array.from(rows.flatMap((row) => [...text.subarray(row + ahead, row + ahead + T)])), { shape: [B, T] })
  return { tokens: take(0), targets: take(1) }
}

/** Columns from `start` of a [rows, columns] matrix as rows: [width, rows]. */
function transposed(m: Float32Array, rows: number, columns: number, start = 0, width = columns): HostTensor {
  const data = new Float32Array(width * rows)
  for (let i = 0; i < width; i++) for (let j = 0; j < rows; j++) data[i * rows + j] = m[j * columns + start + i]
  return { dtype: 'float32', shape: [width, rows], data }
}

/**
 * The weights under the names of `Transformer`, one after another, so that all together are in memory once only: on the
 * device. Matrices of the comparison multiply from the right, ours are transposed.
 */
function* hashWeights({ layers, width: C, T }: HashModelSize): Iterable<[name: string, value: HostTensor]> {
  const V = vocabularySize
  const table = (seed: number, rows: number): HostTensor => ({
    dtype: 'float32',
    shape: [rows, C],
    data: weights(seed, rows * C),
  })
  const ones: HostTensor = { dtype: 'float32', shape: [C], data: new Float32Array(C).fill(1) }
  const residual = 0.02 / Math.sqrt(2 * layers)
  yield ['tokenEmbedding.weight', table(1, V)]
  yield ['positionEmbedding.weight', table(2, T)]
  yield ['head.weight', transposed(weights(3, C * V), C, V)]
  yield ['norm.weight', ones]
  for (let l = 0; l < layers; l++) {
    const at = (name: string, value: HostTensor): [string, HostTensor] => [`layers.${l}.${name}.weight`, value]
    const fused = weights(10 + 10 * l, 4 * C * C)
    for (const [i, part] of ['query', 'key', 'value', 'gate'].entries()) {
      yield at(`attention.${part}Projection`, transposed(fused, C, 4 * C, i * C, C))
    }
    yield at('attention.outputProjection', transposed(weights(11 + 10 * l, C * C, residual), C, C))
    yield at('feedForward.upProjection', transposed(weights(12 + 10 * l, 4 * C * C), C, 4 * C))
    yield at('feedForward.downProjection', transposed(weights(13 + 10 * l, 4 * C * C, residual), 4 * C, C))
    yield at('mixerNorm', ones)
    yield at('feedForwardNorm', ones)
  }
}

/** Without drawing normal values: those of a model that gets its weights anyway, which take a minute for the largest. */
function undrawn<Result>(body: () => Result): Result {
  defaultGenerator.normal = (n) => new Float32Array(n)
  try {
    return body()
  } finally {
    Reflect.deleteProperty(defaultGenerator, 'normal')
  }
}

/** The model with its weights, and its optimizer: AdamW, 0.1 decay on matrices. The caller disposes of both. */
export function hashModel(size: HashModelSize): { model: Transformer; optimizer: AdamW } {
  const config: TransformerConfigInput = {
    vocabularySize,
    width: size.width,
    layers: size.layers,
    heads: size.heads,
    gate: 'elementwise',
    feedForward: 'gelu',
    position: 'learned',
    contextLength: size.T,
    queryKeyNorm: false,
    eps: 1e-5,
    tied: false,
  }
  const model = undrawn(() => new Transformer(config))
  const left = model.namedTensors()
  for (const [name, value] of hashWeights(size)) {
    assignAll('hashModel', new Map([[name, left.get(name)!]]), new Map([[name, value]]))
    left.delete(name)
  }
  if (left.size > 0) throw new Error(`hashModel: no weights for ${[...left.keys()].join(', ')}`)
  return { model, optimizer: new AdamW(decayGroups(model, 0.1), { lr: 1e-3, betas: [0.9, 0.95], eps: 1e-8 }) }
}

/** What every bench and long run calls a step: loss, gradients, update; gives the loss, which the caller disposes of. */
export function trainingStep(model: Transformer, optimizer: Optimizer): (tokens: Tensor, targets: Tensor) => Tensor {
  return (tokens, targets) => {
    const loss = model.loss(tokens, targets)
    loss.backward()
    optimizer.step()
    optimizer.zeroGrad()
    return loss
  }
}
