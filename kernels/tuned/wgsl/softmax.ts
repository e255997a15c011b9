/**
 * Softmax of rows on WebGPU, one kernel forwards and one back: y = e^(s x - m) / sum, dx = s y (dy - sum(dy y)).
 *
 * A row is read twice, the second time from cache: once for its maximum and sum (or its dot product), once to write.
 */
import { onlineSum } from './log-sum.ts'
import { type FusedLauncher, folded } from './program.ts'
import { itemsPerWorkgroup, programFor, type RowLayout, rowLayout, rowMain, rowSum, subgroupState } from './rows.ts'

/** Opens the body of a row kernel: `row`, its elements from `base`, and how many this invocation's row has, 0 for none. */
export const rowRange = (layout: RowLayout) => `
  let row = group * ${itemsPerWorkgroup(layout)}u + slot;
  let base = row * params.n;
  let count = select(0u, params.n, row < params.rows);`

/** Workgroups for `rows` rows. */
export const rowWorkgroups = (layout: RowLayout, rows: number) => folded(Math.ceil(rows / itemsPerWorkgroup(layout)))

const forwardProgram = (layout: RowLayout) =>
  programFor('softmaxForward', layout, () => ({
    reads: { x: 'f32' },
    writes: { y: 'f32' },
    parameters: { rows: 'u32', n: 'u32', T: 'u32', scale: 'f32' },
    code: `${onlineSum(layout)}
${rowMain(
  layout,
  `${rowRange(layout)}
  var visible = count;
  if (params.T > 0u && count > 0u) { visible = row % params.T + 1u + params.n - params.T; }
  var part = OnlineSum(LOWEST, 0.0, false);
  for (var i = lane; i < visible; i += ${layout.lanes}u) { part = added(part, x[base + i] * params.scale); }
  let all = met(part, lane, local);
  for (var i = lane; i < count; i += ${layout.lanes}u) {
    var e = 0.0;
    if (i < visible) { e = exp(x[base + i] * params.scale - all.m); }
    y[base + i] = e / all.sum;
  }`,
)}`,
  }))

export const softmaxForwardLauncher: FusedLauncher = (encoder, [y], [x, rows, n, T, scale]) => {
  const layout = rowLayout(n as number, 1, encoder.features)
  encoder.dispatch(
    forwardProgram(layout),
    { x: x as typeof y, y },
    { rows: rows as number, n: n as number, T: T as number, scale: scale as number },
    rowWorkgroups(layout, rows as number),
  )
}

const backwardProgram = (layout: RowLayout) =>
  programFor('softmaxBackward', layout, () => ({
    reads: { dy: 'f32', y: 'f32' },
    writes: { dx: 'f32' },
    parameters: { rows: 'u32', n: 'u32', scale: 'f32' },
    code: `${subgroupState(layout)}
${rowSum(layout)}
${rowMain(
  layout,
  `${rowRange(layout)}
  var dot = 0.0;
  for (var i = lane; i < count; i += ${layout.lanes}u) { dot += dy[base + i] * y[base + i]; }
  let all = rowSum(dot, lane, local);
  for (var i = lane; i < count; i += ${layout.lanes}u) {
    dx[base + i] = params.scale * y[base + i] * (dy[base + i] - all);
  }`,
)}`,
  }))

export const softmaxBackwardLauncher: FusedLauncher = (encoder, [dx], [dy, y, rows, n, scale]) => {
  const layout = rowLayout(n as number, 1, encoder.features)
  encoder.dispatch(
    backwardProgram(layout),
    { dy: dy as typeof dx, y: y as typeof dx, dx },
    { rows: rows as number, n: n as number, scale: scale as number },
    rowWorkgroups(layout, rows as number),
  )
}
