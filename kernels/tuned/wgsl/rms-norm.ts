/**
 * Root-mean-square and length normalisation of rows on WebGPU, one kernel forwards and one for the input's gradient:
 *
 *   y = x r (w + c),  r = 1 / sqrt(sum(x^2) / D + eps)        D = C, or 1 and no weight for l2Norm
 *   dx = r (g - x r^2 sum(g x) / D),  g = dy (w + c)
 *   dw = sum over rows of dy x r
 *
 * dw takes a pass for r [N], then partial sums over blocks of rows, then their sum: nothing of the size of x.
 */
import type { Encoder, FusedLauncher, Program } from './program.ts'
import { dispatchSum, type SumTerms } from './reduce.ts'
import { programFor, type RowLayout, rowLayout, rowMain, rowSum, subgroupState } from './rows.ts'
import { rowRange, rowWorkgroups } from './softmax.ts'

const PARAMETERS = { rows: 'u32', n: 'u32', divisor: 'f32', eps: 'f32', centre: 'f32' } as const

const weighted = (hasWeight: boolean) => (hasWeight ? ' * (weight[i] + params.centre)' : '')

const withWeight = (hasWeight: boolean): Program['reads'] => (hasWeight ? { weight: 'f32' } : {})

function forwardProgram(hasWeight: boolean, layout: RowLayout) {
  return programFor(hasWeight ? 'rmsNormForward' : 'l2NormForward', layout, () => ({
    reads: { x: 'f32', ...withWeight(hasWeight) },
    writes: { y: 'f32' },
    parameters: PARAMETERS,
    code: `${subgroupState(layout)}
${rowSum(layout)}
${rowMain(
  layout,
  `${rowRange(layout)}
  var squares = 0.0;
  for (var i = lane; i < count; i += ${layout.lanes}u) { squares += x[base + i] * x[base + i]; }
  let r = 1.0 / sqrt(rowSum(squares, lane, local) / params.divisor + params.eps);
  for (var i = lane; i < count; i += ${layout.lanes}u) { y[base + i] = x[base + i] * r${weighted(hasWeight)}; }`,
)}`,
  }))
}

function backwardProgram(hasWeight: boolean, layout: RowLayout) {
  return programFor(hasWeight ? 'rmsNormBackward' : 'l2NormBackward', layout, () => ({
    reads: { dy: 'f32', x: 'f32', ...withWeight(hasWeight) },
    writes: { dx: 'f32' },
    parameters: PARAMETERS,
    code: `${subgroupState(layout)}
${rowSum(layout)}
${rowMain(
  layout,
  `${rowRange(layout)}
  var squares = 0.0;
  var dots = 0.0;
  for (var i = lane; i < count; i += ${layout.lanes}u) {
    squares += x[base + i] * x[base + i];
    dots += dy[base + i]${weighted(hasWeight)} * x[base + i];
  }
  let r = 1.0 / sqrt(rowSum(squares, lane, local) / params.divisor + params.eps);
  let dot = rowSum(dots, lane, local) / params.divisor;
  for (var i = lane; i < count; i += ${layout.lanes}u) {
    dx[base + i] = r * (dy[base + i]${weighted(hasWeight)} - x[base + i] * r * r * dot);
  }`,
)}`,
  }))
}

const scaleProgram = (layout: RowLayout) =>
  programFor('rmsScale', layout, () => ({
    reads: { x: 'f32' },
    writes: { scale: 'f32' },
    parameters: PARAMETERS,
    code: `${subgroupState(layout)}
${rowSum(layout)}
${rowMain(
  layout,
  `${rowRange(layout)}
  var squares = 0.0;
  for (var i = lane; i < count; i += ${layout.lanes}u) { squares += x[base + i] * x[base + i]; }
  let all = rowSum(squares, lane, local);
  if (count > 0u && lane == 0u) { scale[row] = 1.0 / sqrt(all / params.divisor + params.eps); }`,
)}`,
  }))

function dispatchRows<Buffer>(
  encoder: Encoder<Buffer>,
  program: (layout: RowLayout) => ReturnType<typeof scaleProgram>,
  buffers: Readonly<Record<string, Buffer>>,
  { rows, n, ...rest }: { rows: number; n: number; divisor: number; eps: number; centre: number },
): void {
  const layout = rowLayout(n, 1, encoder.features)
  encoder.dispatch(program(layout), buffers, { rows, n, ...rest }, rowWorkgroups(layout, rows))
}

export const rmsNormForwardLauncher: FusedLauncher = (encoder, [y], given) => {
  const [x, weight] = given as (typeof y)[]
  const [rows, n, eps, centre] = given.slice(2) as number[]
  const program = (layout: RowLayout) => forwardProgram(true, layout)
  dispatchRows(encoder, program, { x, weight, y }, { rows, n, divisor: n, eps, centre })
}

export const rmsNormBackwardLauncher: FusedLauncher = (encoder, [dx], given) => {
  const [dy, x, weight] = given as (typeof dx)[]
  const [rows, n, eps, centre] = given.slice(3) as number[]
  const program = (layout: RowLayout) => backwardProgram(true, layout)
  dispatchRows(encoder, program, { dy, x, weight, dx }, { rows, n, divisor: n, eps, centre })
}

const weightTerms: SumTerms = {
  name: 'rmsNormWeightBackward',
  reads: { dy: 'f32', x: 'f32', scale: 'f32' },
  term: 'dy[e] * x[e] * scale[i]',
}

export const rmsNormWeightBackwardLauncher: FusedLauncher = (encoder, [dweight], given) => {
  const [dy, x] = given as (typeof dweight)[]
  const [rows, n, eps] = given.slice(2) as number[]
  const scale = encoder.scratch(Math.max(1, rows))
  if (rows > 0) dispatchRows(encoder, scaleProgram, { x, scale }, { rows, n, divisor: n, eps, centre: 0 })
  dispatchSum(encoder, weightTerms, { dy, x, scale }, dweight, [1, rows, n])
}

export const l2NormForwardLauncher: FusedLauncher = (encoder, [y], given) => {
  const [rows, n, eps] = given.slice(1) as number[]
  const program = (layout: RowLayout) => forwardProgram(false, layout)
  dispatchRows(encoder, program, { x: given[0] as typeof y, y }, { rows, n, divisor: 1, eps, centre: 0 })
}

export const l2NormBackwardLauncher: FusedLauncher = (encoder, [dx], given) => {
  const [dy, x] = given as (typeof dx)[]
  const [rows, n, eps] = given.slice(2) as number[]
  const program = (layout: RowLayout) => backwardProgram(false, layout)
  dispatchRows(encoder, program, { dy, x, dx }, { rows, n, divisor: 1, eps, centre: 0 })
}
