/**
 * The gated delta rule within a chunk, all chunks at once: what the steps of 32 do to each other, before any state.
 *
 *   c_i = sum_{j <= i} g_j,   Gamma_ij = e^{c_i - c_j} for i >= j, else 0 (masked before exp: no ratio, no overflow)
 *   A = strictTril(diag(beta) K K^T ⊙ Gamma),   inverse = (I + A)^-1,   scores = scale Q K^T ⊙ Gamma
 *   U = inverse diag(beta) V,   W = inverse diag(beta e^c) K
 *
 * The inverse is found by forward substitution in two blocks of 16, joined by -T22 A21 T11. Powers of A would lose every
 * digit where keys repeat.
 */
import { deepTiles, deltaProgram, gateReaders, type Rows, reader, squareBlock, writer } from './delta-parts.ts'
import type { Program } from './program.ts'

const q: Rows = { name: 'q', width: 'K' }
const k: Rows = { name: 'k', width: 'K' }
const out: Rows = { name: 'out', width: 'V' }

/** gates, inverse and scores: one workgroup a chunk. Rows of k and q are stacked, so half the invocations do each product. */
export function inverseProgram(): Program {
  return deltaProgram({
    name: 'deltaInverse',
    reads: { q: 'vec4<f32>', k: 'vec4<f32>', g: 'f32', beta: 'f32' },
    writes: { gates: 'vec2<f32>', inverse: 'vec4<f32>', scores: 'vec4<f32>' },
    threads: 128,
    declarations: `
var<workgroup> tile : array<vec4<f32>, 256>;
var<workgroup> raw : array<f32, 32>;
var<workgroup> sums : array<f32, 32>;
var<workgroup> rates : array<f32, 32>;
// A, row by row; its upper right quarter, which is zero, holds A21 T11 for a while.
var<workgroup> a : array<f32, 1024>;
var<workgroup> t : array<f32, 1024>;
${reader(q)}${reader(k)}
fn decay(i : u32, j : u32) -> f32 {
  if (i < j) { return 0.0; }
  return exp(sums[i] - sums[j]);
}`,
    body: `
  if (id >= params.chunks) { return; }
  enter(id);
  let whole = params.base + id;
  if (thread < 32u) {
    raw[thread] = 0.0;
    rates[thread] = 0.0;
    if (first + thread < params.T) {
      let at = (batch * params.T + first + thread) * params.H + head;
      raw[thread] = g[at];
      rates[thread] = beta[at];
    }
  }
  workgroupBarrier();
  if (thread < 32u) {
    var sum = 0.0;
    for (var j = 0u; j <= thread; j++) { sum += raw[j]; }
    sums[thread] = sum;
    gates[whole * 32u + thread] = vec2<f32>(sum, rates[thread]);
  }
  let row = thread / 8u;
  let column = thread % 8u;
  var sum = mat4x4<f32>();
  for (var at = 0u; at < params.K; at += 16u) {
    workgroupBarrier();
    if (thread < 64u) {
      let rows = thread / 4u;
      let depth = 4u * (thread % 4u);
      var m : mat4x4<f32>;
      if (rows < 8u) { m = block_k(4u * rows, at + depth); } else { m = block_q(4u * rows - 32u, at + depth); }
      m = transpose(m);
      for (var i = 0u; i < 4u; i++) { tile[(depth + i) * 16u + rows] = m[i]; }
    }
    workgroupBarrier();
    for (var d = 0u; d < params.depth / 2u; d++) { sum += outer(tile[d * 16u + row], tile[d * 16u + column]); }
  }
  for (var r = 0u; r < 4u; r++) {
    let i = (4u * row + r) % 32u;
    let j = 4u * column;
    let gamma = vec4<f32>(decay(i, j), decay(i, j + 1u), decay(i, j + 2u), decay(i, j + 3u));
    let value = sum[r] * gamma;
    if (row < 8u) {
      for (var x = 0u; x < 4u; x++) { a[i * 32u + j + x] = select(0.0, rates[i] * value[x], i > j + x); }
    } else {
      scores[whole * 256u + i * 8u + column] = params.scale * value;
    }
  }
  workgroupBarrier();
  // Each column of the two blocks on the diagonal by forward substitution; a column is one invocation's own.
  if (thread < 32u) {
    let corner = 16u * (thread / 16u);
    for (var i = corner; i < corner + 16u; i++) {
      var value = select(0.0, 1.0, i == thread);
      if (i > thread) {
        for (var m = thread; m < i; m++) { value -= a[i * 32u + m] * t[m * 32u + thread]; }
      }
      t[i * 32u + thread] = value;
    }
  }
  workgroupBarrier();
  for (var at = thread; at < 256u; at += 128u) {
    let i = at / 16u;
    let j = at % 16u;
    var value = 0.0;
    for (var m = j; m < 16u; m++) { value += a[(16u + i) * 32u + m] * t[m * 32u + j]; }
    a[i * 32u + 16u + j] = value;
  }
  workgroupBarrier();
  for (var at = thread; at < 256u; at += 128u) {
    let i = at / 16u;
    let j = at % 16u;
    var value = 0.0;
    for (var m = 0u; m <= i; m++) { value -= t[(16u + i) * 32u + 16u + m] * a[m * 32u + 16u + j]; }
    t[(16u + i) * 32u + j] = value;
    t[i * 32u + 16u + j] = 0.0;
  }
  workgroupBarrier();
  for (var at = thread; at < 256u; at += 128u) {
    inverse[whole * 256u + at] = vec4<f32>(t[4u * at], t[4u * at + 1u], t[4u * at + 2u], t[4u * at + 3u]);
  }`,
  })
}

/** The opening of programs with one workgroup per chunk and 64 columns; `row` and `column` are the invocation's. */
export const columnBlocks = (width: string) => `
  let blocks = (params.${width} + 63u) / 64u;
  if (id >= params.chunks * blocks) { return; }
  let chunk = id / blocks;
  enter(chunk);
  let row = thread / 16u;
  let column = thread % 16u;
  let at = 64u * (id % blocks) + 4u * column;`

/** left[m][i] = inverse[i][m]: one block each for half of the invocations. */
const putInverse = `
  if (thread < 64u) {
    let corner = vec2<u32>(4u * (thread / 8u), 4u * (thread % 8u));
    putLeft(corner.y, corner.x, transpose(square_inverse((params.base + chunk) * 256u, corner.x, corner.y)));
  }`

/**
 * W and the keys as the scan over chunks reads them.
 *
 * Forward: `first` = W^T [chunk, K, 32], `second` = K ⊙ e^{c_C - c} [chunk, 32, K].
 * Backward: `first` = (K ⊙ e^{c_C - c})^T, `second` = Q ⊙ scale e^c above -W, [chunk, 64, K].
 */
export function keysProgram(direction: 'forward' | 'backward'): Program {
  const isForward = direction === 'forward'
  const store = (name: string, from: string, rows: number, offset: number) => `
    for (var i = 0u; i < 4u; i++) {
      ${name}[(chunk * ${rows}u + ${offset}u + 4u * row + i) * (params.K / 4u) + at / 4u] = ${from}[i];
    }`
  const storeAcross = (name: string, from: string) => `
    let across = transpose(${from});
    for (var i = 0u; i < 4u; i++) { ${name}[(chunk * params.K + at + i) * 8u + row] = across[i]; }`
  return deltaProgram({
    name: isForward ? 'deltaKeys' : 'deltaKeysBackward',
    reads: {
      ...(isForward ? {} : { q: 'vec4<f32>' }),
      k: 'vec4<f32>',
      gates: 'vec2<f32>',
      inverse: 'vec4<f32>',
    },
    writes: { turned: 'vec4<f32>', rows: 'vec4<f32>' },
    threads: 128,
    declarations: `${deepTiles}${gateReaders}${reader(k)}${isForward ? '' : reader(q)}${squareBlock('inverse')}`,
    body: `${columnBlocks('K')}${putInverse}
  let c = running(chunk, 4u * row);
  let keys = block_k(4u * row, at);
  putRight(4u * row, 4u * column, scaleRows(keys, betas(chunk, 4u * row) * exp(c)));
  let kept = scaleRows(keys, exp(total(chunk) - c));
  workgroupBarrier();
  let w = product(row, column);
  if (at < params.K) {${
    isForward
      ? `${storeAcross('turned', 'w')}${store('rows', 'kept', 32, 0)}`
      : `${storeAcross('turned', 'kept')}
    let queries = scaleRows(block_q(4u * row, at), params.scale * exp(c));${store('rows', 'queries', 64, 0)}
    let negative = -1.0 * w;${store('rows', 'negative', 64, 32)}`
  }
  }`,
  })
}

/**
 * A [32, 32] matrix times rows of width V, into scratch [chunk, 32, V].
 *
 * `corrections`: U = inverse diag(beta) V. `gradients`: scores^T dout, where the gradient of V̂ begins.
 */
export function valuesProgram(result: 'corrections' | 'gradients'): Program {
  const isForward = result === 'corrections'
  const from: Rows = { name: isForward ? 'v' : 'dout', width: 'V' }
  const matrix = isForward ? 'inverse' : 'scores'
  return deltaProgram({
    name: isForward ? 'deltaValues' : 'deltaValuesBackward',
    reads: { [from.name]: 'vec4<f32>', ...(isForward ? { gates: 'vec2<f32>' } : {}), [matrix]: 'vec4<f32>' },
    writes: { corrections: 'vec4<f32>' },
    threads: 128,
    declarations: `${deepTiles}${isForward ? gateReaders : ''}${reader(from)}${squareBlock(matrix)}`,
    body: `${columnBlocks('V')}${
      isForward
        ? `${putInverse}
  putRight(4u * row, 4u * column, scaleRows(block_v(4u * row, at), betas(chunk, 4u * row)));`
        : `
  for (var i = thread; i < 256u; i += 128u) { left[i] = scores[(params.base + chunk) * 256u + i]; }
  putRight(4u * row, 4u * column, block_dout(4u * row, at));`
    }
  workgroupBarrier();
  let u = product(row, column);
  if (at < params.V) {
    for (var i = 0u; i < 4u; i++) { corrections[(chunk * 32u + 4u * row + i) * (params.V / 4u) + at / 4u] = u[i]; }
  }`,
  })
}

/** out = (Q ⊙ scale e^c) S + scores V̂: one workgroup for 64 columns of a chunk. */
export function outputProgram(): Program {
  return deltaProgram({
    name: 'deltaOutput',
    reads: {
      q: 'vec4<f32>',
      gates: 'vec2<f32>',
      scores: 'vec4<f32>',
      states: 'vec4<f32>',
      corrections: 'vec4<f32>',
    },
    writes: { out: 'vec4<f32>' },
    threads: 128,
    declarations: `${deepTiles}${gateReaders}${reader(q)}${writer(out)}${squareBlock('scores')}`,
    body: `${columnBlocks('V')}
  let width = params.V / 4u;
  var sum = mat4x4<f32>();
  // Slabs of 32 keys against the state, then the 32 steps against their corrections.
  let slabs = (params.K + 31u) / 32u;
  for (var slab = 0u; slab <= slabs; slab++) {
    workgroupBarrier();
    if (thread < 64u) {
      let rows = 4u * (thread / 8u);
      let deep = 4u * (thread % 8u);
      var m : mat4x4<f32>;
      if (slab < slabs) {
        m = scaleRows(block_q(rows, 32u * slab + deep), params.scale * exp(running(chunk, rows)));
      } else {
        m = square_scores((params.base + chunk) * 256u, rows, deep);
      }
      putLeft(deep, rows, transpose(m));
    }
    for (var i = 0u; i < 4u; i++) {
      let key = 32u * slab + 4u * row + i;
      var value = vec4<f32>();
      if (at < params.V) {
        if (slab == slabs) {
          value = corrections[(chunk * 32u + 4u * row + i) * width + at / 4u];
        } else if (key < params.K) {
          value = states[(chunk * params.K + key) * width + at / 4u];
        }
      }
      right[(4u * row + i) * 16u + column] = value;
    }
    workgroupBarrier();
    sum += product(row, column);
  }
  for (var i = 0u; i < 4u; i++) { write_out(4u * row + i, at, sum[i]); }`,
  })
}
