/**
 * The gated delta rule: a memory of keys and values that decays, looks up, corrects and reads.
 *
 *   S_t = e^{g_t} (I - beta_t k_t k_t^T) S_{t-1} + beta_t k_t v_t^T,   o_t = scale S_t^T q_t       S [K, V] a head
 *
 * (Gated Delta Networks, arXiv 2412.06464, equation 10; g = 0 is DeltaNet.) In order: decay S, look up r = S^T k, write
 * the correction u = beta (v - r) under k, read. B batch, T time, H heads, K and V the state's sides.
 *
 * The chunked form does C steps at once. With c the running sum of g and Gamma_ij = e^{c_i - c_j} for i >= j, the
 * corrections of a chunk solve (I + A) U = diag(beta) V with A = strictTril(diag(beta) K K^T ⊙ Gamma): a triangular
 * system, solved by forward substitution, never by powers of A, which lose everything when keys repeat.
 */
import { SluiceError, showShape } from '../errors.ts'
import { full } from '../tensor/create.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type DeltaOperands, type DeltaResults, fusedDelta, fusedRule } from './delta-fused.ts'
import { add, mul, sub } from './elementwise.ts'
import { exp } from './functions.ts'
import { matmul, solveUnitLower } from './matmul.ts'
import { permute, reshape, unsqueeze } from './movement.ts'
import { example, needRank, needShape } from './operands.ts'
import { concat, pad, slice, tril } from './parts.ts'
import { type BadInput, type Draw, defineOp, type Operation, type Tolerance } from './record.ts'
import { cumsum } from './reduce.ts'
import { unbind } from './unbind.ts'

export interface DeltaRuleOptions {
  /** Multiplies q; K^-0.5 unless given. */
  scale?: number
  /** The memory before t = 0, [B, H, K, V]; zeros unless given. */
  state?: Tensor
  /** Steps done at once by the chunked form; 64 unless given. Fused kernels have their own order of sums, whatever it says. */
  chunk?: number
  /** 'recurrent' goes step by step; 'chunked', the default, in whatever form the device is fastest at. */
  mode?: 'recurrent' | 'chunked'
}

/** out [B, T, H, V], and state, the memory after the last step, [B, H, K, V]. */
export type DeltaRuleResult = DeltaResults

/** Operands with time next to the vectors, [B, H, T, ...], q scaled, and the first state. */
interface Rows {
  q: Tensor
  k: Tensor
  v: Tensor
  g: Tensor
  beta: Tensor
  state: Tensor
}

function recurrent({ q, k, v, g, beta, state }: Rows): DeltaRuleResult {
  const [queries, keys, values] = [q, k, v].map((x) => unbind(unsqueeze(x, 3), 2))
  const [decays, betas] = [exp(g), beta].map((x) => unbind(reshape(x, [...x.shape, 1, 1]), 2))
  const outputs = queries.map((query, t) => {
    const decayed = mul(state, decays[t])
    const found = matmul(keys[t], decayed)
    const correction = mul(sub(values[t], found), betas[t])
    state = add(decayed, matmul(keys[t], correction, { transposeA: true }))
    return matmul(query, state)
  })
  return { out: concat(outputs, 2), state }
}

function chunked({ q, k, v, g, beta, state }: Rows, C: number): DeltaRuleResult {
  const [B, H, T, K] = q.shape
  const V = v.shape[3]
  const N = Math.ceil(T / C)
  // Rows of k = beta = g = 0 leave the state as it is, so a last chunk may be padded with them.
  const chunks = (x: Tensor): Tensor => {
    const tail = x.shape.slice(3)
    const padded = pad(x, [[0, 0], [0, 0], [0, N * C - T], ...tail.map(() => [0, 0] as const)])
    return reshape(padded, [B, H, N, C, ...tail])
  }
  const [Q, Kc, Vc, betas] = [chunks(q), chunks(k), chunks(v), unsqueeze(chunks(beta), -1)]
  const c = cumsum(chunks(g), 3)
  const column = unsqueeze(c, -1)
  const gamma = tril(exp(tril(sub(column, unsqueeze(c, -2)))))
  const A = tril(mul(mul(matmul(Kc, Kc, { transposeB: true }), gamma), betas), -1)
  const decay = exp(column)
  const solved = solveUnitLower(A, mul(concat([Vc, mul(Kc, decay)], 4), betas))
  const total = slice(column, [null, null, null, [C - 1, C]])
  const columns = (x: Tensor, start: number, end: number) => slice(x, [null, null, null, null, [start, end]])
  const [U, W, reads, weights, keeps, wholes] = [
    columns(solved, 0, V),
    columns(solved, V, V + K),
    mul(Q, decay),
    mul(matmul(Q, Kc, { transposeB: true }), gamma),
    mul(Kc, exp(sub(total, column))),
    exp(total),
  ].map((x) => unbind(x, 2))
  const outputs = reads.map((read, n) => {
    const corrections = sub(U[n], matmul(W[n], state))
    const out = add(matmul(read, state), matmul(weights[n], corrections))
    state = add(mul(state, wholes[n]), matmul(keeps[n], corrections, { transposeA: true }))
    return out
  })
  return { out: slice(concat(outputs, 2), [null, null, [0, T]]), state }
}

/** The rule by ordinary operations: what fused kernels mean, and what is differentiated twice. */
function composeDelta(
  [q, k, v, g, beta, state]: DeltaOperands,
  scale: number,
  mode: 'recurrent' | 'chunked',
  chunk: number,
): DeltaRuleResult {
  const rows: Rows = {
    q: mul(permute(q, [0, 2, 1, 3]), scale),
    k: permute(k, [0, 2, 1, 3]),
    v: permute(v, [0, 2, 1, 3]),
    g: permute(g, [0, 2, 1]),
    beta: permute(beta, [0, 2, 1]),
    state,
  }
  const result = mode === 'recurrent' ? recurrent(rows) : chunked(rows, chunk)
  return { out: permute(result.out, [0, 2, 1, 3]), state: result.state }
}

const tolerance: Tolerance = {
  absolute: 5e-5,
  relative: 5e-5,
  why: 'at most 6 steps, each of which may double the state (beta k k^T up to 2) and adds about 10 roundings',
}

/** B 1, T 2, H 1, K 2, V 3. */
const examples = (): Tensor[] =>
  [
    [1, 2, 1, 2],
    [1, 2, 1, 2],
    [1, 2, 1, 3],
    [1, 2, 1],
    [1, 2, 1],
  ].map(example)

const errors: readonly BadInput[] = [
  {
    what: 'a decay of another shape',
    arguments: () => examples().with(3, example([1, 2])),
    message: /g must be \[B, T, H\] = \[1, 2, 1\], got \[1, 2\]/,
  },
  {
    what: 'a state of another shape',
    arguments: () => [...examples(), { state: example([1, 1, 3, 2]) }],
    message: /state must be \[B, H, K, V\] = \[1, 1, 2, 3\], got \[1, 1, 3, 2\]/,
  },
  {
    what: 'a chunk of 0',
    arguments: () => [...examples(), { chunk: 0 }],
    message: /chunk must be a positive integer, got 0/,
  },
]

/** Keys of length at most 1 and beta in (0, 2), so that the state does not grow; g <= 0. */
function drawDelta(draw: Draw) {
  const [B, T, H, K, V] = [
    draw.integer(1, 2),
    draw.integer(1, 5),
    draw.integer(1, 2),
    draw.integer(1, 3),
    draw.integer(1, 3),
  ]
  const options: DeltaRuleOptions = {
    mode: draw.pick(['recurrent', 'chunked'] as const),
    chunk: draw.pick([1, 2, 3, 64]),
  }
  if (draw.boolean()) options.scale = 1
  if (draw.boolean()) options.state = draw.tensor([B, H, K, V])
  return {
    q: draw.tensor([B, T, H, K]),
    k: draw.tensor([B, T, H, K], { low: -0.5, high: 0.5 }),
    v: draw.tensor([B, T, H, V]),
    g: draw.tensor([B, T, H], { low: -2, high: 0 }),
    beta: draw.tensor([B, T, H], { low: 0, high: 2 }),
    options,
  }
}

export const gatedDeltaRule: Operation<
  [q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, options?: DeltaRuleOptions],
  DeltaRuleResult
> = defineOp({
  name: 'gatedDeltaRule',
  doc: 'S = e^g (I - beta k k^T) S + beta k v^T, out = scale S^T q, for every t; q, k [B, T, H, K], v [B, T, H, V], g (log decay) and beta [B, T, H]. q and k are taken as they are.',
  source: 'Gated Delta Networks, arXiv 2412.06464, equation 10; chunks as in arXiv 2406.06484',
  tolerance,
  compose: (q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, options: DeltaRuleOptions = {}) => {
    const { scale, state: first, chunk = 64, mode = 'chunked' } = options
    needRank('gatedDeltaRule', 'q', q, 4, 'B, T, H, K')
    needRank('gatedDeltaRule', 'v', v, 4, 'B, T, H, V')
    const [B, T, H, K] = q.shape
    const V = v.shape[3]
    needShape('gatedDeltaRule', 'k', k, [B, T, H, K], 'B, T, H, K')
    needShape('gatedDeltaRule', 'v', v, [B, T, H, V], 'B, T, H, V')
    needShape('gatedDeltaRule', 'g', g, [B, T, H], 'B, T, H')
    needShape('gatedDeltaRule', 'beta', beta, [B, T, H], 'B, T, H')
    if (first) needShape('gatedDeltaRule', 'state', first, [B, H, K, V], 'B, H, K, V')
    if (!Number.isInteger(chunk) || chunk < 1)
      throw new SluiceError('gatedDeltaRule', `chunk must be a positive integer, got ${chunk}`)
    if (mode !== 'recurrent' && mode !== 'chunked') {
      throw new SluiceError('gatedDeltaRule', `mode must be 'recurrent' or 'chunked', got '${String(mode)}'`)
    }
    if (T === 0) throw new SluiceError('gatedDeltaRule', `q ${showShape(q.shape)} has no steps (T = 0)`)
    const state = first ?? full([B, H, K, V], 0, { device: q.device })
    const operands = [q, k, v, g, beta, state] as const
    const factor = scale ?? K ** -0.5
    const composed = (...given: DeltaOperands) => composeDelta(given, factor, mode, Math.min(chunk, T))
    const rule = fusedRule(operands, mode)
    return rule ? fusedDelta(rule, operands, factor, composed) : composed(...operands)
  },
  samples: (draw: Draw) => {
    const { q, k, v, g, beta, options } = drawDelta(draw)
    return [q, k, v, g, beta, options] as [Tensor, Tensor, Tensor, Tensor, Tensor, DeltaRuleOptions]
  },
  errors,
})

export const deltaRule: Operation<
  [q: Tensor, k: Tensor, v: Tensor, beta: Tensor, options?: DeltaRuleOptions],
  DeltaRuleResult
> = defineOp({
  name: 'deltaRule',
  doc: 'The delta rule without decay: S = (I - beta k k^T) S + beta k v^T; otherwise as gatedDeltaRule.',
  source: 'Schlag, Irie and Schmidhuber 2021; DeltaNet, arXiv 2406.06484',
  tolerance,
  compose: (q: Tensor, k: Tensor, v: Tensor, beta: Tensor, options: DeltaRuleOptions = {}) => {
    needRank('deltaRule', 'q', q, 4, 'B, T, H, K')
    const [B, T, H] = q.shape
    return gatedDeltaRule(q, k, v, full([B, T, H], 0, { device: q.device }), beta, options)
  },
  samples: (draw: Draw) => {
    const { q, k, v, beta, options } = drawDelta(draw)
    return [q, k, v, beta, options] as [Tensor, Tensor, Tensor, Tensor, DeltaRuleOptions]
  },
  errors: [
    {
      what: 'a wrong rank',
      arguments: () => [example([2, 2]), example([2, 2]), example([2, 2]), example([2])],
      message: /q must be \[B, T, H, K\], got \[2, 2\] of rank 2/,
    },
  ],
})
