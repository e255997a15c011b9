/**
 * Cross-entropy on WebGPU: the mean over counted rows of log sum e^x - x[target], logits [N, V], and its gradient
 * (softmax - onehot) dy / counted, without a temporary of the logits' size.
 *
 * Forwards a kernel reads every row once and writes its loss and its log sum; a second one takes the mean. Backwards one
 * kernel reads the logits once and writes the gradient. A target that is no class gives NaN: it was checked on hosts, and
 * a GPU's indices cannot be without waiting for it.
 */
import { onlineSum } from './log-sum.ts'
import { type FusedLauncher, folded, type Program } from './program.ts'
import { NOT_A_NUMBER, programFor, type RowLayout, rowLayout, rowMain, rowSum, subgroupState } from './rows.ts'
import { rowRange, rowWorkgroups } from './softmax.ts'

const rowsProgram = (layout: RowLayout) =>
  programFor('crossEntropyForward', layout, () => ({
    reads: { logits: 'f32', targets: 'f32' },
    writes: { losses: 'f32', logSum: 'f32' },
    parameters: { rows: 'u32', n: 'u32', ignore: 'i32' },
    code: `${onlineSum(layout)}
${rowMain(
  layout,
  `${rowRange(layout)}
  var part = OnlineSum(LOWEST, 0.0, false);
  for (var i = lane; i < count; i += ${layout.lanes}u) { part = added(part, logits[base + i]); }
  let all = met(part, lane, local);
  if (count > 0u && lane == 0u) {
    let target_class = i32(targets[row]);
    let logarithm = log(all.sum);
    var loss = notANumber(local);
    if (target_class >= 0 && target_class < i32(params.n) && !all.poisoned) {
      loss = logarithm - (logits[base + u32(target_class)] - all.m);
    }
    losses[row] = select(loss, 0.0, target_class == params.ignore);
    logSum[row] = select(logarithm + all.m, all.sum, all.poisoned);
  }`,
)}`,
  }))

/** One workgroup: the number of rows is at most thousands, of which each lane sums its share. */
const meanProgram = (layout: RowLayout) =>
  programFor('crossEntropyMean', layout, () => ({
    reads: { losses: 'f32', targets: 'f32' },
    writes: { loss: 'f32', counted: 'f32' },
    parameters: { rows: 'u32', ignore: 'i32' },
    code: `${subgroupState(layout)}
${NOT_A_NUMBER}
${rowSum(layout)}
${rowMain(
  layout,
  `var sum = 0.0;
  // In float32, exact up to 2^24 rows.
  var number = 0.0;
  for (var i = lane; i < params.rows; i += ${layout.lanes}u) {
    sum += losses[i];
    number += select(1.0, 0.0, i32(targets[i]) == params.ignore);
  }
  let all = rowSum(sum, lane, local);
  let rows = rowSum(number, lane, local);
  if (group == 0u && local == 0u) {
    loss[0] = select(all / rows, notANumber(local), rows == 0.0);
    counted[0] = rows;
  }`,
)}`,
  }))

export const crossEntropyForwardLauncher: FusedLauncher = (
  encoder,
  [loss, counted, logSum],
  [logits, targets, rows, n, ignore],
) => {
  type Buffer = typeof loss
  const losses = encoder.scratch(Math.max(1, rows as number))
  const scalars = { rows: rows as number, ignore: ignore as number }
  if ((rows as number) > 0) {
    const layout = rowLayout(n as number, 1, encoder.features)
    encoder.dispatch(
      rowsProgram(layout),
      { logits: logits as Buffer, targets: targets as Buffer, losses, logSum },
      { ...scalars, n: n as number },
      rowWorkgroups(layout, rows as number),
    )
  }
  // As many lanes as a workgroup has, however few the rows: there is one workgroup.
  const whole: RowLayout = { lanes: 256, itemFastest: false, subgroups: encoder.features.has('subgroups') }
  encoder.dispatch(meanProgram(whole), { losses, targets: targets as Buffer, loss, counted }, scalars, [1, 1, 1])
}

/** One invocation writes `width` classes of one row. */
function backwardProgram(width: 1 | 4): Program {
  const vector = width === 4
  return {
    name: `crossEntropyBackward${vector ? 'Vector' : ''}`,
    reads: {
      logits: vector ? 'vec4<f32>' : 'f32',
      targets: 'f32',
      logSum: 'f32',
      dy: 'f32',
      counted: 'f32',
    },
    writes: { dlogits: vector ? 'vec4<f32>' : 'f32' },
    parameters: { groups: 'u32', cells: 'u32', ignore: 'i32' },
    code: `
@compute @workgroup_size(256) fn main(
  @builtin(workgroup_id) workgroup : vec3u,
  @builtin(num_workgroups) workgroups : vec3u,
  @builtin(local_invocation_index) local : u32
) {
  let place = (workgroup.x + workgroup.y * workgroups.x) * 256u + local;
  if (place >= params.cells) { return; }
  let row = place / params.groups;
  let first = i32((place % params.groups) * ${width}u);
  let target_class = i32(targets[row]);
  if (target_class == params.ignore) {
    dlogits[place] = ${vector ? 'vec4f(0.0)' : '0.0'};
    return;
  }
  let probability = exp(logits[place] - logSum[row]);
  let classes = ${vector ? 'first + vec4i(0, 1, 2, 3)' : 'first'};
  let hot = ${vector ? 'select(vec4f(0.0), vec4f(1.0), classes == vec4i(target_class))' : 'select(0.0, 1.0, classes == target_class)'};
  dlogits[place] = (probability - hot) * (dy[0] / counted[0]);
}`,
  }
}

const scalarBackward = backwardProgram(1)
const vectorBackward = backwardProgram(4)

export const crossEntropyBackwardLauncher: FusedLauncher = (
  encoder,
  [dlogits],
  [logits, targets, logSum, dy, counted, rows, n, ignore],
) => {
  type Buffer = typeof dlogits
  const width = (n as number) % 4 === 0 ? 4 : 1
  const groups = (n as number) / width
  const cells = (rows as number) * groups
  if (cells === 0) return
  encoder.dispatch(
    width === 4 ? vectorBackward : scalarBackward,
    {
      logits: logits as Buffer,
      targets: targets as Buffer,
      logSum: logSum as Buffer,
      dy: dy as Buffer,
      counted: counted as Buffer,
      dlogits,
    },
    { groups, cells, ignore: ignore as number },
    folded(Math.ceil(cells / 256)),
  )
}
