/**
 * scatterAdd and topKIndex, where the plain kernels search.
 *
 * scatterAdd, x and out [Z, n, X], indices and source [Z, m, X]: positions of one (z, x) only ever meet each other. With
 * many columns, or few positions in each, an invocation walks down a column and adds what it finds to a copy of x: O(n + m)
 * a column, in the order of positions. With few long columns that would leave the GPU idle; there an invocation owns an
 * output element and looks through the column's indices, which lie in workgroup memory.
 *
 * topKIndex, x [Z, n, X] to [Z, k, X]: an invocation counts how many elements precede its own, which is its place in the
 * output. n comparisons an element instead of the plain kernel's n^2 an output.
 */
import { folded, type Launcher, type Program } from './program.ts'

const INVOCATIONS = 256
/** Elements that one invocation copies. */
const COPIES = 4
/** From so many columns on, or up to so few positions in each, columns are walked. */
const MANY_COLUMNS = 1024
const FEW_POSITIONS = 16

const main = `@compute @workgroup_size(${INVOCATIONS})
fn main(
  @builtin(workgroup_id) workgroup : vec3<u32>,
  @builtin(num_workgroups) count : vec3<u32>,
  @builtin(local_invocation_index) local : u32,
) {
  let number = workgroup.x + workgroup.y * count.x;`

const copy: Program = {
  name: 'scatterAdd copy',
  reads: { x: 'f32' },
  writes: { result: 'f32' },
  parameters: { size: 'u32' },
  code: `
${main}
  for (var k = 0u; k < ${COPIES}u; k++) {
    let cell = (number * ${COPIES}u + k) * ${INVOCATIONS}u + local;
    if (cell < params.size) { result[cell] = x[cell]; }
  }
}`,
}

const walk: Program = {
  name: 'scatterAdd columns',
  reads: { indices: 'f32', source: 'f32' },
  writes: { result: 'f32' },
  parameters: { columns: 'u32', m: 'u32', n: 'u32', inner: 'u32' },
  code: `
${main}
  let column = number * ${INVOCATIONS}u + local;
  if (column >= params.columns) { return; }
  let z = column / params.inner;
  let x = column % params.inner;
  for (var j = 0u; j < params.m; j++) {
    let at = (z * params.m + j) * params.inner + x;
    // An index that names no element adds to none, as in the plain kernel; a negative one is a large unsigned one.
    let y = bitcast<u32>(i32(indices[at]));
    if (y < params.n) { result[(z * params.n + y) * params.inner + x] += source[at]; }
  }
}`,
}

const search: Program = {
  name: 'scatterAdd elements',
  reads: { x: 'f32', indices: 'f32', source: 'f32' },
  writes: { result: 'f32' },
  parameters: { columns: 'u32', m: 'u32', n: 'u32', inner: 'u32' },
  code: `
var<workgroup> tile : array<i32, ${INVOCATIONS}>;

${main}
  let blocks = (params.n + ${INVOCATIONS - 1}u) / ${INVOCATIONS}u;
  let column = number / blocks;
  if (column >= params.columns) { return; }
  let z = column / params.inner;
  let c = column % params.inner;
  let y = (number % blocks) * ${INVOCATIONS}u + local;
  let cell = (z * params.n + y) * params.inner + c;
  var sum = 0.0;
  if (y < params.n) { sum = x[cell]; }
  for (var base = 0u; base < params.m; base += ${INVOCATIONS}u) {
    workgroupBarrier();
    if (base + local < params.m) { tile[local] = i32(indices[(z * params.m + base + local) * params.inner + c]); }
    workgroupBarrier();
    let end = min(${INVOCATIONS}u, params.m - base);
    for (var k = 0u; k < end; k++) {
      if (tile[k] == i32(y)) { sum += source[(z * params.m + base + k) * params.inner + c]; }
    }
  }
  if (y < params.n) { result[cell] = sum; }
}`,
}

export const launchScatterAdd: Launcher = (encoder, output, [inner, n, outer], parameters) => {
  const [x, indices, source, m] = parameters as [typeof output, typeof output, typeof output, number]
  const columns = outer * inner
  const sizes = { columns, m, n, inner }
  if (columns < MANY_COLUMNS && m > FEW_POSITIONS) {
    const workgroups = folded(columns * Math.ceil(n / INVOCATIONS))
    encoder.dispatch(search, { x, indices, source, result: output }, sizes, workgroups)
    return
  }
  const size = columns * n
  encoder.dispatch(copy, { x, result: output }, { size }, folded(Math.ceil(size / (COPIES * INVOCATIONS))))
  if (m === 0) return
  encoder.dispatch(walk, { indices, source, result: output }, sizes, folded(Math.ceil(columns / INVOCATIONS)))
}

const rank: Program = {
  name: 'topKIndex',
  // As bits: floats of one order and integers of the same, without WGSL's own view of NaN and tiny numbers.
  reads: { x: 'u32' },
  writes: { places: 'f32' },
  parameters: { cells: 'u32', n: 'u32', inner: 'u32', k: 'u32' },
  code: `
/** Grows with the float, the two zeros alike, NaN above all. */
fn key(bits : u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return 0xffffffffu; }
  if (magnitude == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, bits > 0x7fffffffu);
}

${main}
  let cell = number * ${INVOCATIONS}u + local;
  if (cell >= params.cells) { return; }
  let c = cell % params.inner;
  let i = cell / params.inner % params.n;
  let z = cell / params.inner / params.n;
  let start = z * params.n * params.inner + c;
  let mine = key(x[cell]);
  var before = 0u;
  for (var j = 0u; j < params.n; j++) {
    let other = key(x[start + j * params.inner]);
    before += u32(other > mine || (other == mine && j < i));
  }
  if (before < params.k) { places[(z * params.k + before) * params.inner + c] = f32(i); }
}`,
}

export const launchTopKIndex: Launcher = (encoder, output, [inner, k, outer], parameters) => {
  const [x, n] = parameters as [typeof output, number]
  const cells = outer * n * inner
  encoder.dispatch(rank, { x, places: output }, { cells, n, inner, k }, folded(Math.ceil(cells / INVOCATIONS)))
}
