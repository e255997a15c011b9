/**
 * The delta rule by ordinary operations, step by step and in chunks: what fused kernels mean, and what is differentiated
 * twice. The decay is one number a head, or one a channel of the key:
 *
 *   S' = Diag(e^g) S,   u = beta (v - S'^T k),   S = S' + k u^T,   o = S^T q                    g [1] or [K] a head
 *
 * In chunks, with c the running sum of g within a chunk of C steps, and for i >= j
 *
 *   pairs(x)_ij = sum_d x_id k_jd e^{c_id - c_jd}         A = strictTril(diag(beta) pairs(K))        P = tril(pairs(Q))
 *
 * the corrections solve (I + A) U = diag(beta) (V - (K ⊙ e^c) S). The differences c_i - c_j are taken and masked before the
 * exponential: all are at most 0, where e^{-c_j} alone would overflow.
 */
import { ones } from '../tensor/create.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { DeltaOperands, DeltaResults } from './delta-fused.ts'
import { add, mul, sub } from './elementwise.ts'
import { exp } from './functions.ts'
import { matmul, solveUnitLower } from './matmul.ts'
import { permute, reshape, transpose, unsqueeze } from './movement.ts'
import { concat, pad, slice, tril } from './parts.ts'
import { cumsum } from './reduce.ts'
import { unbind } from './unbind.ts'

/** Operands with time next to the vectors, [B, H, T, ...], q scaled, g [B, H, T, 1 or K], and the first state. */
interface Rows {
  q: Tensor
  k: Tensor
  v: Tensor
  g: Tensor
  beta: Tensor
  state: Tensor
}

function recurrent({ q, k, v, g, beta, state }: Rows): DeltaResults {
  const [queries, keys, values] = [q, k, v].map((x) => unbind(unsqueeze(x, 3), 2))
  const [decays, betas] = [exp(unsqueeze(g, -1)), reshape(beta, [...beta.shape, 1, 1])].map((x) => unbind(x, 2))
  const outputs = queries.map((query, t) => {
    const decayed = mul(state, decays[t])
    const found = matmul(keys[t], decayed)
    const correction = mul(sub(values[t], found), betas[t])
    state = add(decayed, matmul(keys[t], correction, { transposeA: true }))
    return matmul(query, state)
  })
  return { out: concat(outputs, 2), state }
}

/** pairs(x) of the chunks, [B, H, N, C, C], right for i >= j, from keys [B, H, N, C, K] and c [B, H, N, C, 1 or K]. */
function pairsWith(keys: Tensor, c: Tensor): (x: Tensor) => Tensor {
  const [B, H, N, C, channels] = c.shape
  if (channels === 1) {
    const gamma = tril(exp(tril(sub(c, transpose(c)))))
    return (x) => mul(matmul(x, keys, { transposeB: true }), gamma)
  }
  // [B, H, N, C, C, K]: the triangle is over the axes before the last, which `tril` does not do.
  const lower = unsqueeze(tril(ones([C, C], { device: c.device })), -1)
  const gamma = mul(exp(mul(sub(unsqueeze(c, 4), unsqueeze(c, 3)), lower)), lower)
  const weighed = mul(gamma, unsqueeze(keys, 3))
  return (x) => reshape(matmul(unsqueeze(x, 4), weighed, { transposeB: true }), [B, H, N, C, C])
}

function chunked({ q, k, v, g, beta, state }: Rows, C: number): DeltaResults {
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
  const pairs = pairsWith(Kc, c)
  const A = tril(mul(pairs(Kc), betas), -1)
  const decay = exp(c)
  const solved = solveUnitLower(A, mul(concat([Vc, mul(Kc, decay)], 4), betas))
  const total = slice(c, [null, null, null, [C - 1, C]])
  const columns = (x: Tensor, start: number, end: number) => slice(x, [null, null, null, null, [start, end]])
  const [U, W, reads, weights, keeps, wholes] = [
    columns(solved, 0, V),
    columns(solved, V, V + K),
    mul(Q, decay),
    pairs(Q),
    mul(Kc, exp(sub(total, c))),
    exp(transpose(total)),
  ].map((x) => unbind(x, 2))
  const outputs = reads.map((read, n) => {
    const corrections = sub(U[n], matmul(W[n], state))
    const out = add(matmul(read, state), matmul(weights[n], corrections))
    state = add(mul(state, wholes[n]), matmul(keeps[n], corrections, { transposeA: true }))
    return out
  })
  return { out: slice(concat(outputs, 2), [null, null, [0, T]]), state }
}

/** The rule by ordinary operations; g is [B, T, H], or [B, T, H, K] for a decay a channel. */
export function composeDelta(
  [q, k, v, g, beta, state]: DeltaOperands,
  scale: number,
  mode: 'recurrent' | 'chunked',
  chunk: number,
): DeltaResults {
  const byHead = (x: Tensor) => permute(x, [0, 2, 1, 3])
  const rows: Rows = {
    q: mul(byHead(q), scale),
    k: byHead(k),
    v: byHead(v),
    g: byHead(g.rank === 3 ? unsqueeze(g, -1) : g),
    beta: permute(beta, [0, 2, 1]),
    state,
  }
  const result = mode === 'recurrent' ? recurrent(rows) : chunked(rows, chunk)
  return { out: byHead(result.out), state: result.state }
}
