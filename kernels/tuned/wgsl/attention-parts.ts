/**
 * What attention's programs share: products of blocks of 32 rows by 32 rows, as WGSL.
 *
 * A workgroup has 64 invocations, 8 down and 8 across (`down`, `across`); each holds 4 x 4 entries of a 32 x 32 block of
 * scores, as 4 vectors, one a row. Rows of an operand are vectors of D / 4 = D4 elements, `stride` apart from `base` on.
 * Rows beyond the last are read from the last one; the caller masks what comes of them. Workgroup memory: 12 KiB.
 *
 *   score:   the block's entry (i, j) = <left row i, right row j>, over slices of 16 of D
 *   weigh:   sums[i] += sum over j of weight(i, j) row j of X, over groups of 32 columns of D
 */

/** Rows and columns of a block of scores. */
export const BLOCK = 32
export const LANES = 64

/** Groups of 32 columns, 8 vectors, that the rows of width D take: how many vectors an invocation sums for each row. */
export const groupsOf = (D: number): number => Math.ceil(D / 32)

const range = (n: number) => Array.from({ length: n }, (_, i) => i)

export const sharedMemory = `
// A slice of 16 of D: [d][rows in fours].
var<workgroup> leftSlice : array<array<vec4f, 8>, 16>;
var<workgroup> rightSlice : array<array<vec4f, 8>, 16>;
// Weights of the block: [column][rows in fours].
var<workgroup> weights : array<array<vec4f, 8>, 32>;
// 32 rows of 32 columns of what is weighed.
var<workgroup> tile : array<array<vec4f, 8>, 32>;
`

/** `var score0 … score3 : vec4f`, the block's scores; \`left\` and \`right\` name a buffer and its rows. */
export interface Rows {
  /** Buffer of vec4<f32>. */
  readonly buffer: string
  /** WGSL: where row 0 starts, in vectors. */
  readonly base: string
  /** WGSL: vectors between rows. */
  readonly stride: string
  /** WGSL: the first row of the block, and how many rows there are in all. */
  readonly first: string
  readonly count: string
}

const rowAt = ({ buffer, base, stride, first, count }: Rows, row: string, column: string) =>
  `${buffer}[${base} + min(${first} + ${row}, ${count} - 1u) * ${stride} + ${column}]`

/** Sets `name0` to `name3` to the products of the rows of `left` with those of `right`. Begins with a barrier. */
export function score(name: string, left: Rows, right: Rows): string {
  const block = (rows: Rows) =>
    `block = mat4x4f(${range(4)
      .map((r) => rowAt(rows, `4u * fours + ${r}u`, 'column'))
      .join(', ')});`
  return `
    ${range(4)
      .map((r) => `var ${name}${r} = vec4f();`)
      .join(' ')}
    for (var slice = 0u; slice < (params.D4 + 3u) / 4u; slice++) {
      workgroupBarrier(); // nobody reads the slice before any more
      {
        // Blocks of 4 rows by 4 of D: invocations 0 to 31 copy those of the left, the others those of the right.
        let fours = lane & 7u;
        let part = (lane >> 3u) & 3u;
        let column = 4u * slice + part;
        var block = mat4x4f();
        if (column < params.D4) {
          if (lane < 32u) { ${block(left)} } else { ${block(right)} }
        }
        block = transpose(block);
        if (lane < 32u) {
          ${range(4)
            .map((c) => `leftSlice[4u * part + ${c}u][fours] = block[${c}];`)
            .join(' ')}
        } else {
          ${range(4)
            .map((c) => `rightSlice[4u * part + ${c}u][fours] = block[${c}];`)
            .join(' ')}
        }
      }
      workgroupBarrier();
      for (var d = 0u; d < params.depth; d += 2u) {
        ${range(2)
          .map(
            (e) => `let a${e} = leftSlice[d + ${e}u][down];
        let b${e} = rightSlice[d + ${e}u][across];
        ${range(4)
          .map((r) => `${name}${r} = fma(vec4f(a${e}[${r}]), b${e}, ${name}${r});`)
          .join(' ')}`,
          )
          .join('\n        ')}
      }
    }`
}

/** Puts `name0` to `name3` where \`weigh\` reads them. The products before must have ended with a barrier. */
export const putWeights = (name: string): string => `
    {
      let turned = transpose(mat4x4f(${range(4)
        .map((r) => `${name}${r}`)
        .join(', ')}));
      ${range(4)
        .map((c) => `weights[4u * across + ${c}u][down] = turned[${c}];`)
        .join(' ')}
    }`

const sum = (name: string, row: number, group: number) => `${name}${row}_${group}`

/** An invocation's sums: 4 rows by `groups` vectors. */
export const declareSums = (name: string, groups: number): string =>
  range(4)
    .map((r) =>
      range(groups)
        .map((g) => `var ${sum(name, r, g)} = vec4f();`)
        .join(' '),
    )
    .join('\n  ')

/** Runs a statement for every sum: its name and row. */
export const eachSum = (name: string, groups: number, statement: (sum: string, row: number) => string): string =>
  range(4)
    .flatMap((r) => range(groups).map((g) => statement(sum(name, r, g), r)))
    .join('\n  ')

/**
 * Runs `body` once for every sum that lies in the matrix, as `value`, at row `i` of `count` rows and vector `column`. One
 * loop over a list, not a statement a sum: drivers compile it many times faster, and it runs once.
 */
export const storeSums = (name: string, groups: number, count: string, body: string): string => `
  {
    var list = array<vec4f, ${4 * groups}>(${range(4)
      .flatMap((r) => range(groups).map((g) => sum(name, r, g)))
      .join(', ')});
    for (var e = 0u; e < ${4 * groups}u; e++) {
      let r = e / ${groups}u;
      let i = first + 4u * down + r;
      let column = 8u * (e % ${groups}u) + across;
      let value = list[e];
      if (i < ${count} && column < params.D4) { ${body} }
    }
  }`

/** Adds the weighted rows of `rows` to the sums. Begins with a barrier. */
export function weigh(name: string, groups: number, rows: Rows): string {
  return range(groups)
    .map(
      (g) => `
    workgroupBarrier(); // the weights are there, and nobody reads the tile before any more
    for (var part = 0u; part < 4u; part++) {
      let row = (lane >> 3u) + 8u * part;
      let column = 8u * ${g}u + (lane & 7u);
      var value = vec4f();
      if (column < params.D4) { value = ${rowAt(rows, 'row', 'column')}; }
      tile[row][lane & 7u] = value;
    }
    workgroupBarrier();
    for (var j = 0u; j < params.block; j++) {
      let weight = weights[j][down];
      let value = tile[j][across];
      ${range(4)
        .map((r) => `${sum(name, r, g)} = fma(vec4f(weight[${r}]), value, ${sum(name, r, g)});`)
        .join(' ')}
    }`,
    )
    .join('\n')
}

/** The beginning of every program: which block of which head of which batch entry the workgroup has. */
export const blockHead = (rows: string, heads: string): string => `
  let number = group.x + group.y * groups.x;
  let blocks = (${rows} + 31u) / 32u;
  if (number >= blocks * ${heads} * params.B) { return; }
  // Causal blocks differ in length: the long ones first, so that none of them is left for the end.
  let first = 32u * (blocks - 1u - number % blocks);
  let head = (number / blocks) % ${heads};
  let b = number / (blocks * ${heads});
  let across = lane & 7u;
  let down = lane >> 3u;`

export const mainOf = (body: string): string => `
@compute @workgroup_size(${LANES}) fn main(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) lane : u32,
) {${body}
}`

export const attentionParameters = {
  B: 'u32',
  T: 'u32',
  S: 'u32',
  H: 'u32',
  KV: 'u32',
  D4: 'u32',
  // 16 and 32. Loops with a bound that is known are unrolled whole by some drivers, which takes them many seconds a program.
  depth: 'u32',
  block: 'u32',
  causal: 'u32',
  scale: 'f32',
} as const

/** Whether query `i` sees key `j`: WGSL, also false beyond the last of each. */
export const sees = `
fn sees(i : u32, j : u32) -> bool {
  return i < params.T && j < params.S && (params.causal == 0u || j + params.T <= i + params.S);
}`

/** Rows of an operand with H or KV heads: those of one head of one batch entry. */
export const rowsOf = (buffer: string, length: 'T' | 'S', heads: 'H' | 'KV', head: string, first: string): Rows => ({
  buffer,
  base: `(b * params.${length} * params.${heads} + ${head}) * params.D4`,
  stride: `(params.${heads} * params.D4)`,
  first,
  count: `params.${length}`,
})
