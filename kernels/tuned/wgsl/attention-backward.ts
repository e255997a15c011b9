/**
 * Attention backward, in two programs, so that nothing is added by two workgroups (Dao 2023, algorithm 2, split).
 *
 *   P = e^(scale s - logSum)   dP = dY V^T   dS = scale P ⊙ (dP - delta)   delta = rowsum(dY ⊙ Y)
 *   dQ = dS K        one workgroup: 32 queries of a head, over the keys
 *   dK = dS^T Q, dV = P^T dY    one workgroup: 32 keys of a key-value head, over the queries of all its heads
 */
import {
  attentionParameters,
  blockHead,
  declareSums,
  mainOf,
  putWeights,
  rowsOf,
  score,
  sees,
  sharedMemory,
  storeSums,
  weigh,
} from './attention-parts.ts'
import type { ElementType, Program } from './program.ts'

const rows = [0, 1, 2, 3]
const vector: ElementType = 'vec4<f32>'
const reads = { q: vector, k: vector, v: vector, dy: vector, logSum: 'f32', delta: 'f32' } as const

const store = (buffer: string, name: string, groups: number, length: 'T' | 'S', heads: 'H' | 'KV') =>
  storeSums(
    name,
    groups,
    `params.${length}`,
    `${buffer}[((b * params.${length} + i) * params.${heads} + head) * params.D4 + column] = value;`,
  )

/** dq. */
export function queryProgram(groups: number): Program {
  const q = rowsOf('q', 'T', 'H', 'head', 'first')
  const dy = rowsOf('dy', 'T', 'H', 'head', 'first')
  const k = rowsOf('k', 'S', 'KV', 'keyHead', 'firstKey')
  const v = rowsOf('v', 'S', 'KV', 'keyHead', 'firstKey')
  return {
    name: `attention dq ${32 * groups}`,
    reads,
    writes: { dq: vector },
    parameters: attentionParameters,
    code: `${sharedMemory}${sees}
${mainOf(`${blockHead('params.T', 'params.H')}
  let keyHead = head / (params.H / params.KV);
  var keys = params.S;
  if (params.causal == 1u) { keys = min(params.S, first + 32u + params.S - params.T); }
  var log4 = vec4f();
  var delta4 = vec4f();
  for (var r = 0u; r < 4u; r++) {
    let row = (b * params.T + min(first + 4u * down + r, params.T - 1u)) * params.H + head;
    log4[r] = logSum[row];
    delta4[r] = delta[row];
  }
  ${declareSums('sum', groups)}
  for (var firstKey = 0u; firstKey < keys; firstKey += 32u) {
    ${score('s', q, k)}
    ${score('d', dy, v)}
    ${rows
      .map(
        (r) => `for (var c = 0u; c < 4u; c++) {
      let isSeen = sees(first + 4u * down + ${r}u, firstKey + 4u * across + c);
      let p = exp(select(0.0, s${r}[c] * params.scale - log4[${r}], isSeen));
      s${r}[c] = select(0.0, params.scale * p * (d${r}[c] - delta4[${r}]), isSeen);
    }`,
      )
      .join('\n    ')}
    ${putWeights('s')}
    ${weigh('sum', groups, k)}
  }
  ${store('dq', 'sum', groups, 'T', 'H')}`)}`,
  }
}

/** dk and dv. Rows of the block are keys, columns are queries. */
export function keyProgram(groups: number): Program {
  const k = rowsOf('k', 'S', 'KV', 'head', 'first')
  const v = rowsOf('v', 'S', 'KV', 'head', 'first')
  const q = rowsOf('q', 'T', 'H', 'queryHead', 'firstQuery')
  const dy = rowsOf('dy', 'T', 'H', 'queryHead', 'firstQuery')
  return {
    name: `attention dk dv ${32 * groups}`,
    reads,
    writes: { dk: vector, dv: vector },
    parameters: attentionParameters,
    code: `${sharedMemory}${sees}
${mainOf(`${blockHead('params.S', 'params.KV')}
  let shared_heads = params.H / params.KV;
  // The first query that sees the first key of the block, and the block it lies in.
  var start = 0u;
  if (params.causal == 1u && first + params.T > params.S) { start = (first + params.T - params.S) / 32u * 32u; }
  ${declareSums('keySum', groups)}
  ${declareSums('valueSum', groups)}
  for (var queryHead = head * shared_heads; queryHead < (head + 1u) * shared_heads; queryHead++) {
  for (var firstQuery = start; firstQuery < params.T; firstQuery += 32u) {
    var log4 = vec4f();
    var delta4 = vec4f();
    for (var c = 0u; c < 4u; c++) {
      let row = (b * params.T + min(firstQuery + 4u * across + c, params.T - 1u)) * params.H + queryHead;
      log4[c] = logSum[row];
      delta4[c] = delta[row];
    }
    ${score('s', k, q)}
    ${rows
      .map(
        (r) => `for (var c = 0u; c < 4u; c++) {
      let isSeen = sees(firstQuery + 4u * across + c, first + 4u * down + ${r}u);
      let p = exp(select(0.0, s${r}[c] * params.scale - log4[c], isSeen));
      s${r}[c] = select(0.0, p, isSeen);
    }`,
      )
      .join('\n    ')}
    ${putWeights('s')}
    ${weigh('valueSum', groups, dy)}
    ${score('d', v, dy)}
    ${rows.map((r) => `d${r} = params.scale * s${r} * (d${r} - delta4);`).join('\n    ')}
    ${putWeights('d')}
    ${weigh('keySum', groups, q)}
  }
  }
  ${store('dk', 'keySum', groups, 'S', 'KV')}
  ${store('dv', 'valueSum', groups, 'S', 'KV')}`)}`,
  }
}
