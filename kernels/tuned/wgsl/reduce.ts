/**
 * Reductions over one axis, x [Z, n, X] to [Z, X], on WebGPU: the launches of the plain kernels in `kernels/reduce.ts` and
 * of `softmaxDot`.
 *
 * An item is one output (z, x); its lanes each take every L-th element and then meet. When there are too few items to
 * fill a GPU, the axis is cut into S segments: a first pass writes [Z, S, X], a second reduces that over S.
 *
 * NaN and infinities: extrema and argmax are found on integer keys, so they are exact. The sign of a zero may differ from
 * the plain kernel's where both zeros tie. Sums leave them to the hardware's addition, which WGSL does not promise.
 */
import { type Encoder, folded, type Launcher, type Program, type ScalarType } from './program.ts'
import {
  itemsPerWorkgroup,
  KEYS,
  programFor,
  type RowLayout,
  rowLayout,
  rowMain,
  rowMax,
  rowSum,
  subgroupState,
} from './rows.ts'

/** Workgroups that keep a large GPU busy: 132 multiprocessors, four each. */
const ENOUGH_WORKGROUPS = 512
/** Elements that each lane of a segment must have at least. */
const SEGMENT_ELEMENTS_A_LANE = 16

export interface Split {
  readonly layout: RowLayout
  /** Workgroups that cover all items once. */
  readonly tiles: number
  readonly segments: number
  /** Elements of a segment; the last may have fewer. */
  readonly length: number
}

/** How a reduction of `items` items over `n` elements, `inner` apart, is laid out. */
export function splitOf(items: number, n: number, inner: number, features: ReadonlySet<string>): Split {
  const layout = rowLayout(n, inner, features)
  const tiles = Math.ceil(items / itemsPerWorkgroup(layout))
  const wanted = Math.ceil(ENOUGH_WORKGROUPS / tiles)
  const most = Math.max(1, Math.floor(n / (layout.lanes * SEGMENT_ELEMENTS_A_LANE)))
  const length = Math.ceil(n / Math.min(wanted, most))
  return { layout, tiles, segments: Math.max(1, Math.ceil(n / length)) || 1, length }
}

const PARAMETERS = { n: 'u32', inner: 'u32', items: 'u32', segments: 'u32', length: 'u32' } as const

/** Opens the body: which item and which elements `first` + lane, … below `last` are this invocation's. */
const itemRange = (layout: RowLayout) => `
  let segment = group % params.segments;
  let item = (group / params.segments) * ${itemsPerWorkgroup(layout)}u + slot;
  let inside = item < params.items;
  let z = item / params.inner;
  let column = item % params.inner;
  let first = segment * params.length;
  // Whoever has no item has no elements, and stays for the barriers.
  let last = select(first, min(params.n, first + params.length), inside);
  let place = (z * params.segments + segment) * params.inner + column;`

const elements = ({ lanes }: RowLayout, step: string) => `
  for (var i = first + lane; i < last; i += ${lanes}u) {
    let e = (z * params.n + i) * params.inner + column;
    ${step}
  }`

/** A sum whose terms are an expression. */
export interface SumTerms {
  readonly name: string
  readonly reads: Program['reads']
  /** Scalars beside those of the layout. */
  readonly parameters?: Readonly<Record<string, ScalarType>>
  /** WGSL before the loop; sees `item`, `z`, `column` and `inside`. */
  readonly before?: string
  /** WGSL of one term; sees its place `e`, and `i` along the axis. */
  readonly term: string
}

const plainSum: SumTerms = { name: 'sumAxis', reads: { x: 'f32' }, term: 'x[e]' }

function sumProgram({ name, reads, parameters = {}, before = '', term }: SumTerms, layout: RowLayout): Program {
  return programFor(name, layout, () => ({
    reads,
    writes: { out: 'f32' },
    parameters: { ...PARAMETERS, ...parameters },
    code: `${subgroupState(layout)}
${rowSum(layout)}
${rowMain(
  layout,
  `${itemRange(layout)}
  ${before}
  var sum = 0.0;
  ${elements(layout, `sum += ${term};`)}
  let all = rowSum(sum, lane, local);
  if (inside && lane == 0u) { out[place] = all; }`,
)}`,
  }))
}

/**
 * Sums terms over the axis of [outer, n, inner] into `out` [outer, inner]; in two passes where one would leave the GPU
 * idle.
 */
export function dispatchSum<Buffer>(
  encoder: Encoder<Buffer>,
  terms: SumTerms,
  buffers: Readonly<Record<string, Buffer>>,
  out: Buffer,
  [outer, n, inner]: readonly [outer: number, n: number, inner: number],
  parameters: Readonly<Record<string, number>> = {},
): void {
  const items = outer * inner
  const { layout, tiles, segments, length } = splitOf(items, n, inner, encoder.features)
  const into = segments === 1 ? out : encoder.scratch(items * segments)
  dispatchSegments(encoder, terms, buffers, into, { layout, tiles, segments, length }, [outer, n, inner], parameters)
  if (segments > 1) dispatchSum(encoder, plainSum, { x: into }, out, [outer, segments, inner])
}

/** The first pass alone: sums of segments, [outer, S, inner]. */
function dispatchSegments<Buffer>(
  encoder: Encoder<Buffer>,
  terms: SumTerms,
  buffers: Readonly<Record<string, Buffer>>,
  out: Buffer,
  { layout, tiles, segments, length }: Split,
  [outer, n, inner]: readonly [outer: number, n: number, inner: number],
  parameters: Readonly<Record<string, number>> = {},
): void {
  encoder.dispatch(
    sumProgram(terms, layout),
    { ...buffers, out },
    { n, inner, items: outer * inner, segments, length, ...parameters },
    folded(tiles * segments),
  )
}

/** Sums of the segments of x [outer, n, inner] that `split` cuts its axis into: [outer, S, inner]. */
export function dispatchSegmentSums<Buffer>(
  encoder: Encoder<Buffer>,
  x: Buffer,
  out: Buffer,
  split: Split,
  extents: readonly [outer: number, n: number, inner: number],
): void {
  dispatchSegments(encoder, plainSum, { x }, out, split, extents)
}

export const sumAxisLauncher: Launcher = (encoder, output, [inner, , outer], [x, n]) => {
  dispatchSum(encoder, plainSum, { x: x as never }, output, [outer, n as number, inner])
}

const exponentialTerms: SumTerms = {
  name: 'sumExpAxis',
  reads: { x: 'f32', maximum: 'f32' },
  // An infinite or NaN maximum is taken as 0; its exponent bits tell, which no float comparison does for certain.
  before: `
  var shift = 0.0;
  if (inside) { shift = maximum[item]; }
  if ((bitcast<u32>(shift) & 0x7f800000u) == 0x7f800000u) { shift = 0.0; }`,
  term: 'exp(x[e] - shift)',
}

export const sumExpAxisLauncher: Launcher = (encoder, output, [inner, , outer], [x, maximum, n]) => {
  const buffers = { x: x as never, maximum: maximum as never }
  dispatchSum(encoder, exponentialTerms, buffers, output, [outer, n as number, inner])
}

const dotTerms: SumTerms = { name: 'softmaxDot', reads: { dy: 'f32', y: 'f32' }, term: 'dy[e] * y[e]' }

export const softmaxDotLauncher: Launcher = (encoder, output, [inner, , outer], [dy, y, n]) => {
  dispatchSum(encoder, dotTerms, { dy: dy as never, y: y as never }, output, [outer, n as number, inner])
}

/** Floats by their bits, so that nothing on the way may take a NaN for a number. */
function extremumProgram(sign: 'max' | 'min', layout: RowLayout): Program {
  // The smallest is the largest of the negated values. A NaN's sign does not matter to its key.
  const flip = sign === 'max' ? '' : ' ^ 0x80000000u'
  return programFor(`${sign}Axis`, layout, () => ({
    reads: { x: 'u32' },
    writes: { out: 'u32' },
    parameters: PARAMETERS,
    code: `${subgroupState(layout)}
${KEYS}
${rowMax(layout)}
${rowMain(
  layout,
  `${itemRange(layout)}
  var key = 0u;
  ${elements(layout, `key = max(key, keyOf(x[e]${flip}));`)}
  let all = rowMax(key, lane, local);
  if (inside && lane == 0u) { out[place] = bitsOf(all)${flip}; }`,
)}`,
  }))
}

const extremumLauncher =
  (sign: 'max' | 'min'): Launcher =>
  (encoder, output, [inner, , outer], [x, n]) => {
    const reduce = (from: typeof output, to: typeof output, length: number, split: Split) =>
      encoder.dispatch(
        extremumProgram(sign, split.layout),
        { x: from, out: to },
        { n: length, inner, items, segments: split.segments, length: split.length },
        folded(split.tiles * split.segments),
      )
    const items = outer * inner
    const split = splitOf(items, n as number, inner, encoder.features)
    if (split.segments === 1) return reduce(x as typeof output, output, n as number, split)
    const parts = encoder.scratch(items * split.segments)
    reduce(x as typeof output, parts, n as number, split)
    reduce(parts, output, split.segments, wholeAxis(items, split.segments, inner, encoder.features))
  }

/** The layout of a second pass, which is short enough for one. */
function wholeAxis(items: number, n: number, inner: number, features: ReadonlySet<string>): Split {
  return { ...splitOf(items, n, inner, features), segments: 1, length: n }
}

export const maxAxisLauncher: Launcher = extremumLauncher('max')
export const minAxisLauncher: Launcher = extremumLauncher('min')

/**
 * The index of the largest, the first of ties. A pass over parts reads the index of each beside its value; a pass that
 * leaves parts writes both. Zeros of both signs tie.
 */
function argmaxProgram(ofParts: boolean, toParts: boolean, layout: RowLayout): Program {
  const { lanes, itemFastest } = layout
  const stride = itemFastest ? itemsPerWorkgroup(layout) : 1
  const reads: Program['reads'] = ofParts ? { x: 'u32', indices: 'u32' } : { x: 'u32' }
  const writes: Program['writes'] = toParts ? { values: 'u32', out: 'u32' } : { out: 'f32' }
  return programFor(`argmaxAxis${ofParts ? 'OfParts' : ''}${toParts ? 'ToParts' : ''}`, layout, () => ({
    reads,
    writes,
    parameters: PARAMETERS,
    code: `${subgroupState(layout)}
${KEYS}
var<workgroup> keys : array<u32, 256>;
var<workgroup> places : array<u32, 256>;
${rowMain(
  layout,
  `${itemRange(layout)}
  var key = 0u;
  var best = 0xffffffffu;
  ${elements(
    layout,
    `let candidate = keyOf(select(x[e], 0u, x[e] == 0x80000000u));
    if (candidate > key) {
      key = candidate;
      best = ${ofParts ? 'indices[e]' : 'i'};
    }`,
  )}
  keys[local] = key;
  places[local] = best;
  workgroupBarrier();
  for (var step = ${lanes}u / 2u; step > 0u; step /= 2u) {
    if (lane < step) {
      let other = local + step * ${stride}u;
      if (keys[other] > keys[local] || (keys[other] == keys[local] && places[other] < places[local])) {
        keys[local] = keys[other];
        places[local] = places[other];
      }
    }
    workgroupBarrier();
  }
  if (inside && lane == 0u) {
    ${toParts ? 'values[place] = bitsOf(keys[local]);' : ''}
    out[place] = ${toParts ? 'places[local]' : 'f32(places[local])'};
  }`,
)}`,
  }))
}

export const argmaxAxisLauncher: Launcher = (encoder, output, [inner, , outer], [x, n]) => {
  type Buffer = typeof output
  const items = outer * inner
  // Its meeting carries two values, so it stays in workgroup memory.
  const base: ReadonlySet<string> = new Set()
  const { layout, tiles, segments, length } = splitOf(items, n as number, inner, base)
  const parameters = { n: n as number, inner, items, segments, length }
  if (segments === 1) {
    encoder.dispatch(argmaxProgram(false, false, layout), { x: x as Buffer, out: output }, parameters, folded(tiles))
    return
  }
  const values = encoder.scratch(items * segments)
  const indices = encoder.scratch(items * segments)
  const first = argmaxProgram(false, true, layout)
  encoder.dispatch(first, { x: x as Buffer, values, out: indices }, parameters, folded(tiles * segments))
  const second = wholeAxis(items, segments, inner, base)
  encoder.dispatch(
    argmaxProgram(true, false, second.layout),
    { x: values, indices, out: output },
    { n: segments, inner, items, segments: 1, length: segments },
    folded(second.tiles),
  )
}
