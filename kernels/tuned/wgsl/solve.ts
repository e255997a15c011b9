/**
 * (I + strictTril(A)) X = B by forward substitution in one launch: a [batch, rows, rows], b and x [batch, rows, columns].
 *
 * An invocation owns a column of X and holds 16 of its rows in registers. It takes off what the rows before them give,
 * then solves the 16 x 16 triangle on the diagonal without any barrier, since a column needs only itself. The 16 rows of A
 * are read into workgroup memory, 64 columns of A at a time, transposed, so that one step of j reads 4 vectors for 16
 * products. Rows of X that are done are read back from the output, where the same invocation wrote them.
 *
 * The transposed system is the same one with rows and columns counted from the end: A'[r, j] = A[n - 1 - j, n - 1 - r].
 */
import { type FusedLauncher, folded, type Program } from './program.ts'

/** Columns of X a workgroup: one an invocation. */
const COLUMNS = 64
/** Rows in registers. */
const ROWS = 16
/** Columns of A in workgroup memory. */
const TILE = 64
/** Vectors from one column of the tile to the next: 5, not 4, so that neighbours lie in other memory banks. */
const STRIDE = ROWS / 4 + 1

const held = Array.from({ length: ROWS }, (_, i) => i)
const component = (i: number) => 'xyzw'[i % 4]
/** Takes off x[j] times the tile's column j from the held rows above `after`. */
const eliminate = (column: string, x: string, after: number) =>
  held
    .filter((i) => i > after)
    .map((i) => `held${i} -= tile[${column} + ${i >> 2}u].${component(i)} * ${x};`)
    .join('\n      ')

const solve: Program = {
  name: 'solveUnitLower',
  reads: { a: 'f32', b: 'f32' },
  writes: { x: 'f32' },
  parameters: { batch: 'u32', rows: 'u32', columns: 'u32', transpose: 'u32' },
  code: `
var<workgroup> tile : array<vec4<f32>, ${TILE * STRIDE}>;

/** Place in b and x of a row, counted in the order of solving. */
fn place(z : u32, row : u32, column : u32) -> u32 {
  let r = select(row, params.rows - 1u - row, params.transpose == 1u);
  return (z * params.rows + r) * params.columns + column;
}

/** An entry of A in the order of solving, 0 outside. Only those below the diagonal are used. */
fn entry(z : u32, row : u32, column : u32) -> f32 {
  let n = params.rows;
  if (row >= n || column >= n) { return 0.0; }
  if (params.transpose == 1u) { return a[(z * n + n - 1u - column) * n + n - 1u - row]; }
  return a[(z * n + row) * n + column];
}

fn load(z : u32, row : u32, column : u32) -> f32 {
  if (row >= params.rows || column >= params.columns) { return 0.0; }
  return b[place(z, row, column)];
}

fn store(z : u32, row : u32, column : u32, value : f32) {
  if (row < params.rows && column < params.columns) { x[place(z, row, column)] = value; }
}

/** The invocation's column of the tile: rows first ... first + ${ROWS - 1} of A's column. */
fn fill(z : u32, first : u32, column : u32, local : u32) {
  for (var q = 0u; q < ${ROWS / 4}u; q++) {
    let row = first + 4u * q;
    tile[local * ${STRIDE}u + q] = vec4<f32>(
      entry(z, row, column), entry(z, row + 1u, column), entry(z, row + 2u, column), entry(z, row + 3u, column));
  }
}

@compute @workgroup_size(${COLUMNS})
fn main(
  @builtin(workgroup_id) workgroup : vec3<u32>,
  @builtin(num_workgroups) count : vec3<u32>,
  @builtin(local_invocation_index) local : u32,
) {
  let number = workgroup.x + workgroup.y * count.x;
  let blocks = (params.columns + ${COLUMNS - 1}u) / ${COLUMNS}u;
  let z = number / blocks;
  if (z >= params.batch) { return; }
  let column = (number % blocks) * ${COLUMNS}u + local;
  let mine = column < params.columns;
  for (var first = 0u; first < params.rows; first += ${ROWS}u) {
    ${held.map((i) => `var held${i} = load(z, first + ${i}u, column);`).join('\n    ')}
    for (var start = 0u; start < first; start += ${TILE}u) {
      workgroupBarrier();
      fill(z, first, start + local, local);
      workgroupBarrier();
      let end = select(0u, min(${TILE}u, first - start), mine);
      for (var j = 0u; j < end; j++) {
        let done = x[place(z, start + j, column)];
        let at = j * ${STRIDE}u;
      ${eliminate('at', 'done', -1)}
      }
    }
    workgroupBarrier();
    if (local < ${ROWS}u) { fill(z, first, first + local, local); }
    workgroupBarrier();
    ${held.map((j) => eliminate(`${j * STRIDE}u`, `held${j}`, j)).join('\n    ')}
    ${held.map((i) => `store(z, first + ${i}u, column, held${i});`).join('\n    ')}
  }
}`,
}

export const launchSolveUnitLower: FusedLauncher = (encoder, [x], parameters) => {
  const [a, b, batch, rows, columns, transpose] = parameters as [typeof x, typeof x, number, number, number, number]
  const workgroups = folded(batch * Math.ceil(columns / COLUMNS))
  encoder.dispatch(solve, { a, b, x }, { batch, rows, columns, transpose }, workgroups)
}
