/**
 * The gated delta rule from chunk to chunk: the only part that goes in order of time, once a head and block of columns.
 *
 *   forward, n rising:    V̂ = U - W S,            S  <- e^{c_C} S  + (K ⊙ e^{c_C - c})^T V̂
 *   backward, n falling:  dV̂ = P^T dO + (K ⊙ e^{c_C - c}) dS,   dS <- e^{c_C} dS + (Q ⊙ e^c)^T dO - W^T dV̂
 *
 * Columns of S do not meet, so each workgroup carries a block of them: 32 for keys up to 64 wide, 16 up to 128, 8 up to
 * 256, which is 8 KiB of state. The state lies in workgroup memory, for the product over keys, and in registers, 4 x 4 an
 * invocation, where the update adds to it. The other operand passes through a slab of 4 KiB.
 */
import { deltaProgram, gateReaders, type Rows, reader } from './delta-parts.ts'
import type { Program } from './program.ts'

export const SCAN_WIDTHS = [64, 128, 256] as const

/** Keys of up to `most`: 2048 / most columns of the state. */
export type ScanWidth = (typeof SCAN_WIDTHS)[number]

export const scanColumns = (most: ScanWidth): number => 2048 / most

/**
 * One of the two directions.
 *
 * `begin` is the state before the first step, or its gradient after the last; `end` the other end. `states` gets what each
 * chunk starts from, in its own direction. `corrections` holds U (P^T dO) and gets V̂ (dV̂). `turned` and `rows` are from
 * `keysProgram`.
 */
export function scanProgram(direction: 'forward' | 'backward', most: ScanWidth): Program {
  const isForward = direction === 'forward'
  const groups = scanColumns(most) / 4
  /** Rows of the chunk that the slab holds in an update. */
  const deep = 1024 / most
  const dout: Rows = { name: 'dout', width: 'V' }
  const entries = 32 * groups
  /** Runs `code` for each vector of a [32, columns] tile, as `e`. */
  const eachEntry = (code: string) =>
    entries < 128
      ? `if (thread < ${entries}u) { let e = thread; ${code} }`
      : `for (var e = thread; e < ${entries}u; e += 128u) { ${code} }`
  const update = `
    for (var top = 0u; top < params.depth; top += ${deep}u) {
      workgroupBarrier();
      for (var e = thread; e < 256u; e += 128u) {
        let key = e % ${most / 4}u;
        slab[e] = vec4<f32>();
        if (key < depth) { slab[e] = rows[(chunk * ${isForward ? 32 : 64}u + ${isForward ? '' : '32u * part + '}top + e / ${most / 4}u) * depth + key]; }
      }
      workgroupBarrier();
      for (var r = 0u; r < params.depth / ${32 / deep}u; r++) {
        own += outer(slab[r * ${most / 4}u + keyGroup], tile[(top + r) * ${groups}u + group]);
      }
    }`
  // Each invocation sums rows e / groups of the tile, for one vector of columns; two rows where there are 256 entries.
  const sums = entries > 128 ? ['sum', 'sum2'] : ['sum']
  const product = `
    ${sums.map((name) => `var ${name} = vec4<f32>();`).join(' ')}
    for (var deep = 0u; deep < params.K; deep += 32u) {
      workgroupBarrier();
      for (var e = thread; e < 256u; e += 128u) {
        slab[e] = vec4<f32>();
        if (deep + e / 8u < params.K) { slab[e] = turned[(chunk * params.K + deep) * 8u + e]; }
      }
      workgroupBarrier();
      if (thread < ${entries}u) {
        let row = thread / ${groups}u;
        for (var d = 0u; d < params.depth; d++) {
          let s = state[(deep + d) * ${groups}u + thread % ${groups}u];
          ${sums.map((name, i) => `${name} += slab[d * 8u + row / 4u + ${4 * i}u][row % 4u] * s;`).join(' ')}
        }
      }
    }
    ${eachEntry(`
      let vector = block * ${groups}u + e % ${groups}u;
      var value = vec4<f32>();
      if (vector < width) {
        let at = (chunk * 32u + e / ${groups}u) * width + vector;
        let change = ${sums.length > 1 ? 'select(sum, sum2, e >= 128u)' : 'sum'};
        value = corrections[at] ${isForward ? '-' : '+'} change;
        corrections[at] = value;
      }
      ${isForward ? 'tile[e] = value;' : ''}`)}`
  /** Backward, the tile is dO first, then dV̂, which its own invocation has just written. */
  const fillTile = eachEntry(`
        let vector = block * ${groups}u + e % ${groups}u;
        var value = vec4<f32>();
        if (part == 0u) {
          value = read_dout(e / ${groups}u, 4u * vector);
        } else if (vector < width) {
          value = corrections[(chunk * 32u + e / ${groups}u) * width + vector];
        }
        tile[e] = value;`)
  return deltaProgram({
    name: isForward ? `deltaScan${most}` : `deltaScanBackward${most}`,
    reads: {
      ...(isForward ? {} : { dout: 'vec4<f32>' }),
      gates: 'vec2<f32>',
      turned: 'vec4<f32>',
      rows: 'vec4<f32>',
      begin: 'vec4<f32>',
    },
    writes: { corrections: 'vec4<f32>', states: 'vec4<f32>', end: 'vec4<f32>' },
    threads: 128,
    declarations: `
var<workgroup> state : array<vec4<f32>, 512>;
var<workgroup> slab : array<vec4<f32>, 256>;
var<workgroup> tile : array<vec4<f32>, ${entries}>;
${gateReaders}${isForward ? '' : reader(dout)}`,
    body: `
  let blocks = (params.V + ${4 * groups - 1}u) / ${4 * groups}u;
  if (id >= params.chunks / params.N * blocks) { return; }
  let block = id % blocks;
  let depth = params.K / 4u;
  let width = params.V / 4u;
  let group = thread % ${groups}u;
  let keyGroup = thread / ${groups}u;
  let vectors = block * ${groups}u + group;
  let isInside = keyGroup < depth && vectors < width;
  // Heads of this dispatch are numbered from its first chunk.
  let corner = ((params.base / params.N + id / blocks) * params.K + 4u * keyGroup) * width + vectors;
  var own = mat4x4<f32>();
  if (isInside) { own = mat4x4<f32>(begin[corner], begin[corner + width], begin[corner + 2u * width], begin[corner + 3u * width]); }
  for (var step = 0u; step < params.N; step++) {
    let chunk = id / blocks * params.N + ${isForward ? 'step' : 'params.N - 1u - step'};
    enter(chunk);
    workgroupBarrier();
    for (var r = 0u; r < 4u; r++) {
      let key = 4u * keyGroup + r;
      state[key * ${groups}u + group] = own[r];
      if (isInside) { states[(chunk * params.K + key) * width + vectors] = own[r]; }
    }
    own = exp(total(chunk)) * own;${product}${
      isForward
        ? update
        : `
    for (var part = 0u; part < params.depth / 16u; part++) {
      workgroupBarrier();
      ${fillTile}${update}
    }`
    }
  }
  if (isInside) {
    for (var r = 0u; r < 4u; r++) { end[corner + r * width] = own[r]; }
  }`,
  })
}
