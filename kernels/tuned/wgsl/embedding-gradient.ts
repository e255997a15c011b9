/**
 * The gradient of an embedding, out[v] = sum of the rows dy[j] with indices[j] = v: dy [m, C], out [V, C].
 *
 * There are no float atomics, so the positions are sorted by index first, in three dispatches:
 *
 *  1. `sort`: the positions are cut into chunks, and each finds its place in its chunk by counting those that come before
 *     it: smaller indices, and equal ones at earlier positions. m x chunk comparisons of integers in workgroup memory.
 *  2. `starts`: where each row's positions start in each chunk, by bisection.
 *  3. `rows`: each output element adds its positions, in their order.
 *
 * The same input gives the same bits, and nothing is searched per element: with V 50,000, m 8192 and C 1024 the sort is 17
 * million comparisons and the rest is writing 205 MB once, where workgroups that each look through the whole index list for
 * a block of 16 rows would read it 3125 times, and the plain kernel 51 million times.
 *
 * With few rows and many positions (V 65, m 1024, C 64: 16 positions a row, and most of them in a few rows) there are too
 * few output elements to keep a GPU busy. Then a workgroup takes one row, 16 of its invocations share each element's
 * positions, and their sums are added in a tree of fixed shape.
 */
import { type ElementType, folded, type Launcher, type Program } from './program.ts'

const SORTED = 64
const INVOCATIONS = 256
/** Invocations that share an element when rows are deep, and elements a workgroup. */
const SHARES = 16
const LANES = INVOCATIONS / SHARES
/** Positions a row, on average, from which rows count as deep. */
const DEEP = 8
/** Sizes of chunks: small ones make the sort cheap, few ones the rows. */
const SMALLEST_CHUNK = 2048
const MOST_CHUNKS = 8

const main = (invocations: number) => `@compute @workgroup_size(${invocations})
fn main(
  @builtin(workgroup_id) workgroup : vec3<u32>,
  @builtin(num_workgroups) count : vec3<u32>,
  @builtin(local_invocation_index) local : u32,
) {
  let number = workgroup.x + workgroup.y * count.x;`

const sort: Program = {
  name: 'embeddingGradient sort',
  reads: { indices: 'f32' },
  writes: { order: 'u32', keys: 'u32' },
  parameters: { m: 'u32', chunk: 'u32' },
  code: `
var<workgroup> tile : array<u32, ${SORTED}>;

/** Past the end, and at a negative index: larger than any row. */
fn key(j : u32, end : u32) -> u32 {
  if (j >= end) { return 0xffffffffu; }
  return bitcast<u32>(i32(indices[j]));
}

${main(SORTED)}
  let start = number * ${SORTED}u / params.chunk * params.chunk;
  if (start >= params.m) { return; }
  let end = min(params.m, start + params.chunk);
  let j = number * ${SORTED}u + local;
  let mine = key(j, end);
  var rank = start;
  for (var base = start; base < end; base += ${SORTED}u) {
    workgroupBarrier();
    tile[local] = key(base + local, end);
    workgroupBarrier();
    for (var k = 0u; k < ${SORTED}u; k++) {
      let other = tile[k];
      rank += u32(other < mine || (other == mine && base + k < j));
    }
  }
  if (j < end) {
    order[rank] = j;
    keys[rank] = mine;
  }
}`,
}

const starts: Program = {
  name: 'embeddingGradient starts',
  reads: { keys: 'u32' },
  writes: { starts: 'u32' },
  parameters: { m: 'u32', chunk: 'u32', cells: 'u32', V: 'u32' },
  code: `
${main(INVOCATIONS)}
  let cell = number * ${INVOCATIONS}u + local;
  if (cell >= params.cells) { return; }
  // Row V is where the last one ends.
  let row = cell % (params.V + 1u);
  var low = cell / (params.V + 1u) * params.chunk;
  var high = min(params.m, low + params.chunk);
  while (low < high) {
    let middle = (low + high) / 2u;
    if (keys[middle] < row) { low = middle + 1u; } else { high = middle; }
  }
  starts[cell] = low;
}`,
}

/** Adds every `step`-th of a row's positions, from the `first` on; four reads are under way at a time. */
const rowSum = (type: ElementType) => `
fn rowSum(row : u32, c : u32, first : u32, step : u32) -> ${type} {
  var sum = ${type}(0);
  for (var chunk = 0u; chunk < params.chunks; chunk++) {
    let at = chunk * (params.V + 1u) + row;
    let end = starts[at + 1u];
    var k = starts[at] + first;
    for (; k + 3u * step < end; k += 4u * step) {
      let d0 = dy[order[k] * params.C + c];
      let d1 = dy[order[k + step] * params.C + c];
      let d2 = dy[order[k + 2u * step] * params.C + c];
      let d3 = dy[order[k + 3u * step] * params.C + c];
      sum = (((sum + d0) + d1) + d2) + d3;
    }
    for (; k < end; k += step) { sum += dy[order[k] * params.C + c]; }
  }
  return sum;
}`

type Rows = (type: ElementType) => Program

const rowsProgram = (name: string, type: ElementType, code: string): Program => ({
  name: `embeddingGradient ${name}${type === 'f32' ? '' : ' of vectors'}`,
  reads: { dy: type, order: 'u32', starts: 'u32' },
  writes: { gradient: type },
  parameters: { V: 'u32', C: 'u32', chunks: 'u32' },
  code: rowSum(type) + code,
})

const shallow: Rows = (type) =>
  rowsProgram(
    'rows',
    type,
    `
${main(INVOCATIONS)}
  let cell = number * ${INVOCATIONS}u + local;
  if (cell >= params.V * params.C) { return; }
  gradient[cell] = rowSum(cell / params.C, cell % params.C, 0u, 1u);
}`,
  )

const deep: Rows = (type) =>
  rowsProgram(
    'deep rows',
    type,
    `
var<workgroup> sums : array<${type}, ${INVOCATIONS}>;

${main(INVOCATIONS)}
  let blocks = (params.C + ${LANES - 1}u) / ${LANES}u;
  let row = number / blocks;
  if (row >= params.V) { return; }
  let c = (number % blocks) * ${LANES}u + local % ${LANES}u;
  sums[local] = ${type}(0);
  if (c < params.C) { sums[local] = rowSum(row, c, local / ${LANES}u, ${SHARES}u); }
  for (var half = ${INVOCATIONS / 2}u; half >= ${LANES}u; half /= 2u) {
    workgroupBarrier();
    if (local < half) { sums[local] += sums[local + half]; }
  }
  if (local < ${LANES}u && c < params.C) { gradient[row * params.C + c] = sums[local]; }
}`,
  )

const shallowRows = { one: shallow('f32'), four: shallow('vec4<f32>') }
const deepRows = { one: deep('f32'), four: deep('vec4<f32>') }

export const launchEmbeddingGradient: Launcher = (encoder, output, [width, V], parameters) => {
  const [dy, indices, m] = parameters as [typeof output, typeof output, number]
  const chunk = Math.max(SMALLEST_CHUNK, SORTED * Math.ceil(m / MOST_CHUNKS / SORTED))
  const chunks = Math.ceil(m / chunk)
  const [order, keys] = [encoder.scratch(Math.max(1, m)), encoder.scratch(Math.max(1, m))]
  const cells = chunks * (V + 1)
  const rowStarts = encoder.scratch(Math.max(1, cells))
  if (m > 0) {
    encoder.dispatch(sort, { indices, order, keys }, { m, chunk }, folded(Math.ceil(m / SORTED)))
    const workgroups = folded(Math.ceil(cells / INVOCATIONS))
    encoder.dispatch(starts, { keys, starts: rowStarts }, { m, chunk, cells, V }, workgroups)
  }
  const isDeep = m >= DEEP * V
  const { one, four } = isDeep ? deepRows : shallowRows
  const [program, C] = width % 4 === 0 ? [four, width / 4] : [one, width]
  const workgroups = isDeep ? V * Math.ceil(C / LANES) : Math.ceil((V * C) / INVOCATIONS)
  const buffers = { dy, order, starts: rowStarts, gradient: output }
  encoder.dispatch(program, buffers, { V, C, chunks }, folded(workgroups))
}
