/**
 * The gated delta rule's gradients within each chunk, all chunks at once, after both scans.
 *
 * S is the chunk's first state, dS the gradient of its last; dV̂ from the backward scan. With dP' = tril(dO V̂^T) ⊙ Gamma:
 *   through the states:  dQ = (dO S^T) ⊙ e^c,   dK = (V̂ dS^T) ⊙ e^{c_C - c},   dW = -dV̂ S^T
 *   through the inverse: dA' = -strictTril(T^T (dV̂ (beta V)^T + dW (beta e^c K)^T) T^T) ⊙ Gamma,   T = (I + A)^-1
 * What becomes of them is in delta-gradient-rows.ts. Gamma is masked before exp everywhere.
 */
import { columnBlocks } from './delta-chunk.ts'
import { deltaProgram, gateReaders, type Rows, reader, scratchBlock, squareBlock } from './delta-parts.ts'
import type { Program } from './program.ts'

const k: Rows = { name: 'k', width: 'K' }
const v: Rows = { name: 'v', width: 'V' }
const dout: Rows = { name: 'dout', width: 'V' }

/** What a chunk leaves in `sums`: rows of dc, dbeta and K ⊙ dK through the end state, then <dS, S> by blocks of keys. */
export const SUMS = { dc: 0, dbeta: 32, end: 64, dot: 96, length: 100 } as const

/** 4 x 4 of the transposed states, [depth of values, keys]. */
const stateBlock = (name: string) => `
fn block_${name}(chunk : u32, key : u32, at : u32) -> mat4x4<f32> {
  let width = params.V / 4u;
  if (key >= params.K || at >= params.V) { return mat4x4<f32>(); }
  let start = (chunk * params.K + key) * width + at / 4u;
  return mat4x4<f32>(${name}[start], ${name}[start + width], ${name}[start + 2u * width], ${name}[start + 3u * width]);
}`

const storeThrough = (part: number, value: string) => `
    for (var i = 0u; i < 4u; i++) {
      through[(chunk * 96u + ${32 * part}u + 4u * row + i) * (params.K / 4u) + at / 4u] = ${value}[i];
    }`

/** Parts 0 and 1 of `through` [chunk, 3, 32, K]: (dO S^T) ⊙ e^c and dW. */
export function throughStateProgram(): Program {
  return deltaProgram({
    name: 'deltaThroughState',
    reads: { dout: 'vec4<f32>', gates: 'vec2<f32>', corrections: 'vec4<f32>', states: 'vec4<f32>' },
    writes: { through: 'vec4<f32>' },
    threads: 128,
    declarations: `
var<workgroup> outs : array<vec4<f32>, 128>;
var<workgroup> changes : array<vec4<f32>, 128>;
var<workgroup> right : array<vec4<f32>, 256>;
${gateReaders}${reader(dout)}${scratchBlock('corrections', 'V')}${stateBlock('states')}`,
    body: `${columnBlocks('K')}
  var dq = mat4x4<f32>();
  var dw = mat4x4<f32>();
  for (var depth = 0u; depth < params.V; depth += 16u) {
    workgroupBarrier();
    let deep = 4u * (thread % 4u);
    let rows = thread % 64u / 4u;
    if (thread < 64u) {
      let m = transpose(block_states(chunk, at - 4u * column + 4u * rows, depth + deep));
      for (var i = 0u; i < 4u; i++) { right[(deep + i) * 16u + rows] = m[i]; }
    } else if (rows < 8u) {
      let m = transpose(block_dout(4u * rows, depth + deep));
      for (var i = 0u; i < 4u; i++) { outs[(deep + i) * 8u + rows] = m[i]; }
    } else {
      let m = transpose(block_corrections(chunk, 4u * rows - 32u, depth + deep));
      for (var i = 0u; i < 4u; i++) { changes[(deep + i) * 8u + rows - 8u] = m[i]; }
    }
    workgroupBarrier();
    for (var d = 0u; d < params.depth / 2u; d++) {
      dq += outer(outs[d * 8u + row], right[d * 16u + column]);
      dw -= outer(changes[d * 8u + row], right[d * 16u + column]);
    }
  }
  dq = scaleRows(dq, exp(running(chunk, 4u * row)));
  if (at < params.K) {${storeThrough(0, 'dq')}${storeThrough(1, 'dw')}
  }`,
  })
}

/** Part 2 of `through`: (V̂ dS^T) ⊙ e^{c_C - c}, and <dS, S> of the block of keys. */
export function throughGradientProgram(): Program {
  return deltaProgram({
    name: 'deltaThroughGradient',
    reads: { gates: 'vec2<f32>', corrections: 'vec4<f32>', states: 'vec4<f32>', gradients: 'vec4<f32>' },
    writes: { through: 'vec4<f32>', sums: 'f32' },
    threads: 128,
    declarations: `
var<workgroup> left : array<vec4<f32>, 128>;
var<workgroup> right : array<vec4<f32>, 256>;
var<workgroup> parts : array<f32, 128>;
${gateReaders}${scratchBlock('corrections', 'V')}${stateBlock('states')}${stateBlock('gradients')}`,
    body: `${columnBlocks('K')}
  var dk = mat4x4<f32>();
  var inner = 0.0;
  for (var depth = 0u; depth < params.V; depth += 16u) {
    workgroupBarrier();
    let deep = 4u * (thread % 4u);
    let rows = thread % 64u / 4u;
    if (thread < 64u) {
      let key = at - 4u * column + 4u * rows;
      let gradient = block_gradients(chunk, key, depth + deep);
      let value = block_states(chunk, key, depth + deep);
      for (var i = 0u; i < 4u; i++) { inner += dot(gradient[i], value[i]); }
      let m = transpose(gradient);
      for (var i = 0u; i < 4u; i++) { right[(deep + i) * 16u + rows] = m[i]; }
    } else if (rows < 8u) {
      let m = transpose(block_corrections(chunk, 4u * rows, depth + deep));
      for (var i = 0u; i < 4u; i++) { left[(deep + i) * 8u + rows] = m[i]; }
    }
    workgroupBarrier();
    for (var d = 0u; d < params.depth / 2u; d++) { dk += outer(left[d * 8u + row], right[d * 16u + column]); }
  }
  dk = scaleRows(dk, exp(total(chunk) - running(chunk, 4u * row)));
  if (at < params.K) {${storeThrough(2, 'dk')}
  }
  parts[thread] = inner;
  for (var half = 64u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { parts[thread] += parts[thread + half]; }
  }
  if (thread == 0u) { sums[chunk * ${SUMS.length}u + ${SUMS.dot}u + id % blocks] = parts[0]; }`,
  })
}

/** 64 invocations on [32, 32] results, tiles of depth 16. */
const squareTiles = `
var<workgroup> left : array<vec4<f32>, 128>;
var<workgroup> right : array<vec4<f32>, 128>;
fn product(row : u32, column : u32) -> mat4x4<f32> {
  var sum = mat4x4<f32>();
  for (var d = 0u; d < params.depth / 2u; d++) { sum += outer(left[d * 8u + row], right[d * 8u + column]); }
  return sum;
}
fn put(side : u32, depth : u32, row : u32, m : mat4x4<f32>) {
  let t = transpose(m);
  for (var i = 0u; i < 4u; i++) {
    if (side == 0u) { left[(depth + i) * 8u + row] = t[i]; } else { right[(depth + i) * 8u + row] = t[i]; }
  }
}
fn decays(c : vec4<f32>, other : vec4<f32>, row : u32, column : u32, least : u32) -> mat4x4<f32> {
  var m = mat4x4<f32>();
  for (var i = 0u; i < 4u; i++) {
    for (var j = 0u; j < 4u; j++) {
      if (row + i >= column + j + least) { m[i][j] = exp(c[i] - other[j]); }
    }
  }
  return m;
}
fn times(a : mat4x4<f32>, b : mat4x4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]);
}`

const squareOpening = `
  if (id >= params.chunks) { return; }
  let chunk = id;
  enter(chunk);
  let row = thread / 8u;
  let column = thread % 8u;
  // The block of a tile that this invocation loads: 4 of depth, 4 rows.
  let deep = 4u * (thread % 4u);
  let rows = thread % 32u / 4u;`

/** Part 0 of `inner` [chunk, 3, 32, 32]: dP'. */
export function scoresGradientProgram(): Program {
  return deltaProgram({
    name: 'deltaScoresGradient',
    reads: { dout: 'vec4<f32>', gates: 'vec2<f32>', corrections: 'vec4<f32>' },
    writes: { inner: 'vec4<f32>' },
    threads: 64,
    declarations: `${squareTiles}${gateReaders}${reader(dout)}${scratchBlock('corrections', 'V')}`,
    body: `${squareOpening}
  var sum = mat4x4<f32>();
  for (var depth = 0u; depth < params.V; depth += 16u) {
    workgroupBarrier();
    var block : mat4x4<f32>;
    if (thread < 32u) { block = block_dout(4u * rows, depth + deep); } else { block = block_corrections(chunk, 4u * rows, depth + deep); }
    put(thread / 32u, deep, rows, block);
    workgroupBarrier();
    sum += product(row, column);
  }
  sum = times(sum, decays(running(chunk, 4u * row), running(chunk, 4u * column), 4u * row, 4u * column, 0u));
  for (var i = 0u; i < 4u; i++) { inner[chunk * 768u + (4u * row + i) * 8u + column] = sum[i]; }`,
  })
}

/** Parts 1 and 2 of `inner`: dA' and T ⊙ e^c, whose columns are scaled. */
export function inverseGradientProgram(): Program {
  return deltaProgram({
    name: 'deltaInverseGradient',
    reads: {
      k: 'vec4<f32>',
      v: 'vec4<f32>',
      gates: 'vec2<f32>',
      inverse: 'vec4<f32>',
      corrections: 'vec4<f32>',
      through: 'vec4<f32>',
    },
    writes: { inner: 'vec4<f32>' },
    threads: 64,
    declarations: `${squareTiles}
// T, then T^T; what it multiplies.
var<workgroup> t : array<vec4<f32>, 256>;
var<workgroup> m : array<vec4<f32>, 256>;
${gateReaders}${reader(k)}${reader(v)}${scratchBlock('corrections', 'V')}${scratchBlock('through', 'K', 3)}${squareBlock('inverse')}`,
    body: `${squareOpening}
  let gains = betas(chunk, 4u * rows);
  let grown = gains * exp(running(chunk, 4u * rows));
  var sum = mat4x4<f32>();
  // Slabs of 16 values, then of 16 keys.
  let values = (params.V + 15u) / 16u;
  let slabs = values + (params.K + 15u) / 16u;
  for (var slab = 0u; slab < slabs; slab++) {
    workgroupBarrier();
    let at = 16u * select(slab - values, slab, slab < values) + deep;
    var block : mat4x4<f32>;
    if (slab < values) {
      if (thread < 32u) { block = block_corrections(chunk, 4u * rows, at); } else { block = scaleRows(block_v(4u * rows, at), gains); }
    } else {
      if (thread < 32u) { block = block_through(chunk, 32u + 4u * rows, at); } else { block = scaleRows(block_k(4u * rows, at), grown); }
    }
    put(thread / 32u, deep, rows, block);
    workgroupBarrier();
    sum += product(row, column);
  }
  // T^T dT, transposed; then T times that, transposed: T^T dT T^T. A block of a transposed matrix is at (column, row).
  var own = square_inverse((params.base + chunk) * 256u, 4u * row, 4u * column);
  let c = running(chunk, 4u * column);
  for (var i = 0u; i < 4u; i++) { inner[chunk * 768u + 512u + (4u * row + i) * 8u + column] = own[i] * exp(c); }
  var place = vec2<u32>(row, column);
  for (var turn = 0u; turn < params.depth / 16u; turn++) {
    for (var i = 0u; i < 4u; i++) {
      m[(4u * place.x + i) * 8u + place.y] = sum[i];
      t[(4u * place.x + i) * 8u + place.y] = own[i];
    }
    workgroupBarrier();
    sum = mat4x4<f32>();
    for (var d = 0u; d < params.depth; d++) { sum += outer(t[d * 8u + row], m[d * 8u + column]); }
    workgroupBarrier();
    sum = transpose(sum);
    own = transpose(own);
    place = vec2<u32>(column, row);
  }
  sum = times(sum, decays(running(chunk, 4u * column), running(chunk, 4u * row), 4u * column, 4u * row, 1u));
  for (var i = 0u; i < 4u; i++) { inner[chunk * 768u + 256u + (4u * column + i) * 8u + row] = -sum[i]; }`,
  })
}
