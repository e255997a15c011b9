/**
 * Running sums along one axis of x [Z, n, X] on WebGPU: the launch of the plain `cumsumAxis`, forwards or in reverse.
 *
 * The lanes of an item take L elements at a time: an inclusive scan of these in workgroup memory, plus what the ones
 * before gave. Few long axes are cut into segments: their sums are scanned first, and each segment starts from the sum
 * of those before it. So the work is linear in n, where the plain kernel's is quadratic.
 */
import { folded, type Launcher, type Program } from './program.ts'
import { dispatchSegmentSums, type Split, splitOf } from './reduce.ts'
import { itemsPerWorkgroup, programFor, type RowLayout, rowMain } from './rows.ts'

function rowScan(layout: RowLayout): string {
  const { lanes, itemFastest } = layout
  const stride = itemFastest ? itemsPerWorkgroup(layout) : 1
  return `
struct Scan { inclusive : f32, total : f32 }
var<workgroup> sums : array<f32, 256>;
fn rowScan(value : f32, lane : u32, local : u32) -> Scan {
  sums[local] = value;
  workgroupBarrier();
  for (var step = 1u; step < ${lanes}u; step *= 2u) {
    var before = 0.0;
    if (lane >= step) { before = sums[local - step * ${stride}u]; }
    workgroupBarrier();
    sums[local] += before;
    workgroupBarrier();
  }
  let result = Scan(sums[local], sums[local + (${lanes - 1}u - lane) * ${stride}u]);
  workgroupBarrier();
  return result;
}`
}

/** @param joined each segment starts from `carries` [Z, S, X], the running sums of the segments */
function scanProgram(joined: boolean, layout: RowLayout): Program {
  const reads: Program['reads'] = joined ? { x: 'f32', carries: 'f32' } : { x: 'f32' }
  return programFor(joined ? 'cumsumAxisOfSegments' : 'cumsumAxis', layout, () => ({
    reads,
    writes: { out: 'f32' },
    parameters: { n: 'u32', inner: 'u32', items: 'u32', segments: 'u32', length: 'u32', reverse: 'u32' },
    code: `${rowScan(layout)}
${rowMain(
  layout,
  `
  let segment = group % params.segments;
  let item = (group / params.segments) * ${itemsPerWorkgroup(layout)}u + slot;
  let inside = item < params.items;
  let z = item / params.inner;
  let column = item % params.inner;
  // Beyond the last workgroup of a folded grid nothing is inside; the segment is still one of those there are.
  let first = segment * params.length;
  let count = min(params.n, first + params.length) - first;
  let backwards = params.reverse == 1u;
  var carry = 0.0;
  ${
    joined
      ? `if (inside && !backwards && segment > 0u) {
    carry = carries[(z * params.segments + segment - 1u) * params.inner + column];
  }
  if (inside && backwards && segment + 1u < params.segments) {
    carry = carries[(z * params.segments + segment + 1u) * params.inner + column];
  }`
      : ''
  }
  for (var start = 0u; start < count; start += ${layout.lanes}u) {
    let j = start + lane;
    let present = inside && j < count;
    let i = select(first + j, first + count - 1u - j, backwards);
    let e = (z * params.n + i) * params.inner + column;
    var value = 0.0;
    if (present) { value = x[e]; }
    let scan = rowScan(value, lane, local);
    if (present) { out[e] = carry + scan.inclusive; }
    carry += scan.total;
  }`,
)}`,
  }))
}

export const cumsumAxisLauncher: Launcher = (encoder, output, [inner, , outer], [x, n, , reverse]) => {
  type Buffer = typeof output
  const items = outer * inner
  // Its meeting is a scan, which stays in workgroup memory.
  const split = splitOf(items, n as number, inner, new Set())
  const scan = (
    of: Buffer,
    to: Buffer,
    length: number,
    { layout, tiles, segments, ...rest }: Split,
    carries?: Buffer,
  ) =>
    encoder.dispatch(
      scanProgram(carries !== undefined, layout),
      carries === undefined ? { x: of, out: to } : { x: of, out: to, carries },
      { n: length, inner, items, segments, length: rest.length, reverse: reverse as number },
      folded(tiles * segments),
    )
  if (split.segments === 1) return scan(x as Buffer, output, n as number, split)
  const { segments } = split
  const sums = encoder.scratch(items * segments)
  const carries = encoder.scratch(items * segments)
  dispatchSegmentSums(encoder, x as Buffer, sums, split, [outer, n as number, inner])
  scan(sums, carries, segments, { ...splitOf(items, segments, inner, new Set()), segments: 1, length: segments })
  scan(x as Buffer, output, n as number, split, carries)
}
