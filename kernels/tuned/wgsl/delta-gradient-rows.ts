/**
 * The gated delta rule's gradients of q, k, v, g and beta, from what delta-gradient.ts found; one workgroup a chunk.
 *
 *   dq = scale (dQ + dP' K),   R = dK + dP'^T Q + (beta ⊙ dA')^T K,   Z = dA' K + e^c ⊙ T^T dW,   dk = R + beta ⊙ Z
 *   E = T^T dV̂,   dv = beta ⊙ E,   dbeta = rowsum(Z ⊙ K) + rowsum(E ⊙ V)
 *   dc = rowsum(dQ ⊙ Q - R ⊙ K + beta ⊙ Z ⊙ K),   dc_C += e^{c_C} <dS, S> + sum(K ⊙ dK through the end state)
 *   dg_i = sum_{j >= i} dc_j
 *
 * Sums over columns stay in a workgroup, in a fixed order: no atomics, the same bits every time. Z gathers two terms that
 * dk, dbeta and dc use in the same way: rowsum(dA ⊙ A) is beta_i K_i . (dA' K)_i, so K K^T is not needed again.
 */
import { SUMS } from './delta-gradient.ts'
import {
  deepTiles,
  deltaProgram,
  gateReaders,
  type Rows,
  reader,
  scratchBlock,
  squareBlock,
  writer,
} from './delta-parts.ts'
import type { Program } from './program.ts'

const q: Rows = { name: 'q', width: 'K' }
const k: Rows = { name: 'k', width: 'K' }
const v: Rows = { name: 'v', width: 'V' }
const dq: Rows = { name: 'dq', width: 'K' }
const dk: Rows = { name: 'dk', width: 'K' }
const dv: Rows = { name: 'dv', width: 'V' }

const opening = `
  if (id >= params.chunks) { return; }
  let chunk = id;
  enter(chunk);
  let row = thread / 16u;
  let column = thread % 16u;
  let c = running(chunk, 4u * row);
  let gains = betas(chunk, 4u * row);`

/** Sums a row's 16 invocations, whose vectors of 4 rows lie in `array` from `start` on. */
const rowSum = `
fn rowSum(start : u32, row : u32) -> f32 {
  var sum = 0.0;
  for (var x = 0u; x < 16u; x++) { sum += left[start + row / 4u * 16u + x][row % 4u]; }
  return sum;
}`

/** dq and dk, and the rows of `sums`. */
export function keysGradientProgram(): Program {
  return deltaProgram({
    name: 'deltaKeysGradient',
    reads: {
      q: 'vec4<f32>',
      k: 'vec4<f32>',
      gates: 'vec2<f32>',
      inner: 'vec4<f32>',
      through: 'vec4<f32>',
    },
    writes: { dq: 'vec4<f32>', dk: 'vec4<f32>', sums: 'f32' },
    threads: 128,
    declarations: `${deepTiles}${rowSum}${gateReaders}${reader(q)}${reader(k)}${writer(dq)}${writer(dk)}${scratchBlock('through', 'K', 3)}${squareBlock('inner')}`,
    body: `${opening}
  var dc = vec4<f32>();
  var dbeta = vec4<f32>();
  var end = vec4<f32>();
  for (var top = 0u; top < params.K; top += 64u) {
    let at = top + 4u * column;
    let keys = block_k(4u * row, at);
    let queries = params.scale * block_q(4u * row, at);
    let ended = block_through(chunk, 64u + 4u * row, at);
    var forQueries = block_through(chunk, 4u * row, at);
    var r = ended;
    var z = mat4x4<f32>();
    // dP' K, dA' K, dA'^T (beta K), dP'^T Q, (T ⊙ e^c)^T dW: a matrix of inner times rows, the first two as they lie.
    for (var term = 0u; term < params.depth / 8u + 1u; term++) {
      var rows = keys;
      if (term == 2u) { rows = scaleRows(keys, gains); }
      if (term == 3u) { rows = queries; }
      if (term == 4u) { rows = block_through(chunk, 32u + 4u * row, at); }
      putRight(4u * row, 4u * column, rows);
      if (thread < 64u) {
        let corner = vec2<u32>(4u * (thread / 8u), 4u * (thread % 8u));
        let part = select(select(1u, 0u, term == 0u || term == 3u), 2u, term == 4u);
        let m = square_inner(chunk * 768u + 256u * part, corner.x, corner.y);
        if (term < 2u) { putLeft(corner.y, corner.x, transpose(m)); } else { putLeft(corner.x, corner.y, m); }
      }
      workgroupBarrier();
      let result = product(row, column);
      if (term == 0u) { forQueries += result; } else if (term == 1u || term == 4u) { z += result; } else { r += result; }
      workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
      let corrected = dot(z[i], keys[i]);
      dbeta[i] += corrected;
      dc[i] += dot(forQueries[i], queries[i]) - dot(r[i], keys[i]) + gains[i] * corrected;
      end[i] += dot(ended[i], keys[i]);
      write_dq(4u * row + i, at, params.scale * forQueries[i]);
      write_dk(4u * row + i, at, r[i] + gains[i] * z[i]);
    }
  }
  left[thread] = dc;
  left[128u + thread] = dbeta;
  workgroupBarrier();
  let start = chunk * ${SUMS.length}u;
  if (thread < 32u) {
    sums[start + ${SUMS.dc}u + thread] = rowSum(0u, thread);
    sums[start + ${SUMS.dbeta}u + thread] = rowSum(128u, thread);
  }
  workgroupBarrier();
  left[thread] = end;
  workgroupBarrier();
  if (thread < 32u) { sums[start + ${SUMS.end}u + thread] = rowSum(0u, thread); }`,
  })
}

/** dv, dbeta and dg: the last program of the backward pass. */
export function valuesGradientProgram(): Program {
  return deltaProgram({
    name: 'deltaValuesGradient',
    reads: {
      v: 'vec4<f32>',
      gates: 'vec2<f32>',
      inverse: 'vec4<f32>',
      corrections: 'vec4<f32>',
      sums: 'f32',
    },
    writes: { dv: 'vec4<f32>', dg: 'f32', dbeta: 'f32' },
    threads: 128,
    declarations: `${deepTiles}
var<workgroup> dc : array<f32, 32>;
${rowSum}${gateReaders}${reader(v)}${writer(dv)}${scratchBlock('corrections', 'V')}`,
    body: `${opening.replace('let c = running(chunk, 4u * row);\n  ', '')}
  var sum = vec4<f32>();
  for (var i = thread; i < 256u; i += 128u) { left[i] = inverse[(params.base + chunk) * 256u + i]; }
  for (var top = 0u; top < params.V; top += 64u) {
    let at = top + 4u * column;
    workgroupBarrier();
    putRight(4u * row, 4u * column, block_corrections(chunk, 4u * row, at));
    workgroupBarrier();
    let e = product(row, column);
    for (var i = 0u; i < 4u; i++) {
      sum[i] += dot(e[i], read_v(4u * row + i, at));
      write_dv(4u * row + i, at, gains[i] * e[i]);
    }
  }
  workgroupBarrier();
  left[thread] = sum;
  let start = chunk * ${SUMS.length}u;
  if (thread < 32u) { dc[thread] = sums[start + ${SUMS.dc}u + thread]; }
  workgroupBarrier();
  if (thread >= 32u || first + thread >= params.T) { return; }
  var carried = 0.0;
  for (var i = 0u; i < (params.K + 63u) / 64u; i++) { carried += sums[start + ${SUMS.dot}u + i]; }
  // The gradient of c_C, which every step's g is part of.
  carried *= exp(total(chunk));
  for (var i = 0u; i < 32u; i++) { carried += sums[start + ${SUMS.end}u + i]; }
  for (var i = 31u; i > thread; i--) { carried += dc[i]; }
  let at = (batch * params.T + first + thread) * params.H + head;
  dg[at] = carried + dc[thread];
  dbeta[at] = sums[start + ${SUMS.dbeta}u + thread] + rowSum(0u, thread);`,
  })
}
