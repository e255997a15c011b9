/**
 * What the gated delta rule's programs share: where a workgroup's chunk lies, rows read and written, 4 x 4 blocks.
 *
 * A chunk is 32 steps of one head. `chunk` numbers those of one dispatch, whose scratch it indexes; `params.base` more is
 * its number among all, (b H + h) N + n, for what the forward pass saved. Steps past T of the last chunk are zeros, in what
 * is read and in scratch. K and V are multiples of 4, so that every read is a vector.
 *
 * Products work on tiles in workgroup memory, depth first: `left[d][rows]` and `right[d][columns]`, in vectors of 4. Each
 * invocation holds 4 x 4 results in registers: two vector reads for 16 multiply-adds.
 */
import type { ElementType, Program, ScalarType } from './program.ts'

/** Scalars of every program: `chunks` of this dispatch, `base` before them, N chunks a head. */
export const parameters: Readonly<Record<string, ScalarType>> = {
  T: 'u32',
  H: 'u32',
  K: 'u32',
  V: 'u32',
  N: 'u32',
  chunks: 'u32',
  base: 'u32',
  /** 32, the depth of products: read, not written out, so that compilers need not unroll them. */
  depth: 'u32',
  scale: 'f32',
}

/** An operand of rows [B, T, H, width], as it lies. */
export interface Rows {
  readonly name: string
  readonly width: 'K' | 'V'
}

/**
 * `read_name(step, at)`: columns at to at + 3 of one of the chunk's steps; zeros outside. `block_name`: 4 steps of them.
 *
 * Places outside are read inside and then left out: no branches, of which a program would have hundreds.
 */
export function reader({ name, width }: Rows): string {
  return `
fn read_${name}(step : u32, at : u32) -> vec4<f32> {
  let time = first + step;
  let start = ((batch * params.T + min(time, params.T - 1u)) * params.H + head) * params.${width};
  let value = ${name}[(start + min(at, params.${width} - 4u)) / 4u];
  return select(vec4<f32>(), value, vec4<bool>(time < params.T && at < params.${width}));
}
fn block_${name}(step : u32, at : u32) -> mat4x4<f32> {
  return mat4x4<f32>(read_${name}(step, at), read_${name}(step + 1u, at), read_${name}(step + 2u, at), read_${name}(step + 3u, at));
}`
}

/** `write_name(step, at, value)`: its inverse. */
export function writer({ name, width }: Rows): string {
  return `
fn write_${name}(step : u32, at : u32, value : vec4<f32>) {
  if (first + step < params.T && at < params.${width}) {
    ${name}[(((batch * params.T + first + step) * params.H + head) * params.${width} + at) / 4u] = value;
  }
}`
}

/** Rows of scratch [chunk, parts * 32, width]: `block_name(row, at)`, 4 x 4 of them; zeros past the last column. */
export function scratchBlock(name: string, width: 'K' | 'V', parts = 1): string {
  const row = (i: number) => `${name}[start + ${i}u * stride]`
  return `
fn block_${name}(chunk : u32, row : u32, at : u32) -> mat4x4<f32> {
  let stride = params.${width} / 4u;
  if (at >= params.${width}) { return mat4x4<f32>(); }
  let start = (chunk * ${32 * parts}u + row) * stride + at / 4u;
  return mat4x4<f32>(${[0, 1, 2, 3].map(row).join(', ')});
}`
}

/** 4 x 4 of a [32, 32] matrix that starts at vector `start`. */
export function squareBlock(name: string): string {
  const row = (i: number) => `${name}[corner + ${8 * i}u]`
  return `
fn square_${name}(start : u32, row : u32, column : u32) -> mat4x4<f32> {
  let corner = start + row * 8u + column / 4u;
  return mat4x4<f32>(${[0, 1, 2, 3].map(row).join(', ')});
}`
}

/**
 * Where the chunk lies (`first` is its first step), and small arithmetic. Rows of results are the columns of a mat4x4:
 * `outer` is l r^T row by row, `scaleRows` multiplies row i by d[i].
 */
const common = `
var<private> batch : u32;
var<private> head : u32;
var<private> first : u32;
fn enter(chunk : u32) {
  let whole = params.base + chunk;
  first = 32u * (whole % params.N);
  batch = whole / params.N / params.H;
  head = whole / params.N % params.H;
}
fn outer(l : vec4<f32>, r : vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(l.x * r, l.y * r, l.z * r, l.w * r);
}
fn scaleRows(m : mat4x4<f32>, d : vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(m[0] * d.x, m[1] * d.y, m[2] * d.z, m[3] * d.w);
}`

export interface DeltaProgram {
  readonly name: string
  readonly reads: Readonly<Record<string, ElementType>>
  readonly writes: Readonly<Record<string, ElementType>>
  readonly threads: number
  /** Workgroup memory, helpers. */
  readonly declarations: string
  /** The body of `main`, after `id`, the workgroup's number, and `thread`, the invocation's. */
  readonly body: string
}

/**
 * Writes loops of 4 out. They go over the rows of a 4 x 4 block: an index that a driver does not see through would put the
 * block in memory instead of in registers.
 */
export function unrolled(code: string): string {
  const loop = /for \(var (\w+) = 0u; \1 < 4u; \1\+\+\) \{/.exec(code)
  if (!loop) return code
  const [start, name] = [loop.index + loop[0].length, loop[1]]
  let [end, depth] = [start, 1]
  for (; depth > 0; end++) depth += code[end] === '{' ? 1 : code[end] === '}' ? -1 : 0
  const body = code.slice(start, end - 1)
  // A name after a point is a component of a vector, not the counter.
  const counter = new RegExp(`(?<![.\\w])${name}(?!\\w)`, 'g')
  const bodies = ['0u', '1u', '2u', '3u'].map((i) => `{${body.replace(counter, i)}}`)
  return unrolled(code.slice(0, loop.index) + bodies.join('\n') + code.slice(end))
}

export function deltaProgram({ name, reads, writes, threads, declarations, body }: DeltaProgram): Program {
  const code = unrolled(`${common}
${declarations}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) workgroup : vec3<u32>, @builtin(num_workgroups) count : vec3<u32>, @builtin(local_invocation_index) thread : u32) {
  let id = workgroup.x + workgroup.y * count.x;
${body}
}`)
  return { name, reads, writes, parameters, code }
}

/**
 * Functions of a chunk's gates, which lie as (running sum, beta) in `gates`: `running(row)` of 4 steps, `betas(row)`,
 * `total()` at the chunk's end.
 */
export const gateReaders = `
fn running(chunk : u32, row : u32) -> vec4<f32> {
  let at = (params.base + chunk) * 32u + row;
  return vec4<f32>(gates[at].x, gates[at + 1u].x, gates[at + 2u].x, gates[at + 3u].x);
}
fn betas(chunk : u32, row : u32) -> vec4<f32> {
  let at = (params.base + chunk) * 32u + row;
  return vec4<f32>(gates[at].y, gates[at + 1u].y, gates[at + 2u].y, gates[at + 3u].y);
}
fn total(chunk : u32) -> f32 { return gates[(params.base + chunk) * 32u + 31u].x; }`

/** Tiles of depth 32: 32 rows on the left, 64 columns on the right; `product` multiplies them, 128 invocations. */
export const deepTiles = `
var<workgroup> left : array<vec4<f32>, 256>;
var<workgroup> right : array<vec4<f32>, 512>;
fn product(row : u32, column : u32) -> mat4x4<f32> {
  var sum = mat4x4<f32>();
  for (var d = 0u; d < params.depth; d++) { sum += outer(left[d * 8u + row], right[d * 16u + column]); }
  return sum;
}
fn putLeft(depth : u32, row : u32, m : mat4x4<f32>) {
  for (var i = 0u; i < 4u; i++) { left[(depth + i) * 8u + row / 4u] = m[i]; }
}
fn putRight(depth : u32, column : u32, m : mat4x4<f32>) {
  for (var i = 0u; i < 4u; i++) { right[(depth + i) * 16u + column / 4u] = m[i]; }
}`
