/**
 * What row kernels share: how the 256 invocations of a workgroup are laid over items and their elements, and how the
 * lanes of one item reach a common sum or maximum.
 *
 * An item is one reduction: a row of [N, C], or a column of [Z, n, X]. L lanes work on an item, so a workgroup holds
 * 256 / L items. Where the elements of an item lie side by side, neighbouring invocations are lanes of one item;
 * where neighbouring items lie side by side, they are items (`itemFastest`). Either way reads are coalesced.
 *
 * The base variant meets in workgroup memory, pairwise. Where the device has subgroups and one item has the whole
 * workgroup, lanes meet within subgroups first, which leaves two barriers of sixteen.
 */
import type { Program } from './program.ts'

/** Invocations of every row kernel: WebGPU's guaranteed limit. */
export const WORKGROUP = 256

export interface RowLayout {
  /** Invocations on one item: 1, 4, 16, 64 or 256. */
  readonly lanes: number
  /** Neighbouring invocations are items, not lanes: for columns. */
  readonly itemFastest: boolean
  /** Lanes meet by subgroup operations; needs 256 lanes. */
  readonly subgroups: boolean
}

/** Elements that a lane should have at least, before an item gets more lanes. */
const ELEMENTS_A_LANE = 4

/**
 * The layout for items of `n` elements that lie `inner` apart.
 *
 * Columns keep enough of them side by side in a workgroup for whole cache lines: up to 64, which is 256 bytes.
 */
export function rowLayout(n: number, inner: number, features: ReadonlySet<string>): RowLayout {
  const most = inner === 1 ? 256 : inner <= 4 ? 64 : inner <= 16 ? 16 : 4
  const lanes = [1, 4, 16, 64].find((count) => count >= most || n <= ELEMENTS_A_LANE * count) ?? most
  return { lanes, itemFastest: inner > 1, subgroups: lanes === WORKGROUP && features.has('subgroups') }
}

export function itemsPerWorkgroup({ lanes }: RowLayout): number {
  return WORKGROUP / lanes
}

/** A name for the layout, to tell programs apart. */
export function layoutName({ lanes, itemFastest, subgroups }: RowLayout): string {
  return `${itemFastest ? 'columns' : 'rows'}${lanes}${subgroups ? 'Subgroups' : ''}`
}

/** Programs made once each, by name. */
const made = new Map<string, Program>()

/** The program `name` for a layout, made by `make` the first time. */
export function programFor(
  name: string,
  layout: RowLayout,
  make: (name: string) => Omit<Program, 'name' | 'features'>,
): Program {
  const full = `${name} ${layoutName(layout)}`
  let program = made.get(full)
  if (!program) {
    const features = layout.subgroups ? (['subgroups'] as const) : []
    made.set(full, (program = { name: full, features, ...make(full) }))
  }
  return program
}

/**
 * The entry point around `body`, which sees `group` (the workgroup's number), `local`, `lane` and `slot` (which of the
 * workgroup's items).
 */
export function rowMain({ lanes, itemFastest, subgroups }: RowLayout, body: string): string {
  const items = WORKGROUP / lanes
  return `
@compute @workgroup_size(${WORKGROUP}) fn main(
  @builtin(workgroup_id) workgroup : vec3u,
  @builtin(num_workgroups) workgroups : vec3u,
  @builtin(local_invocation_index) local : u32${subgroups ? ',\n  @builtin(subgroup_size) size : u32' : ''}
) {
  ${subgroups ? 'subgroupSize = size;' : ''}
  let group = workgroup.x + workgroup.y * workgroups.x;
  let lane = ${itemFastest ? `local / ${items}u` : `local % ${lanes}u`};
  let slot = ${itemFastest ? `local % ${items}u` : `local / ${lanes}u`};
${body}
}`
}

/** Distance in workgroup memory from one lane of an item to its next. */
function laneStride({ lanes, itemFastest }: RowLayout): number {
  return itemFastest ? WORKGROUP / lanes : 1
}

/**
 * A function `name(value, lane, local)` that gives every lane of an item the combination of their values.
 *
 * It holds barriers, so all invocations of the workgroup must call it.
 *
 * @param combine WGSL of two values `a` and `b`; must be associative up to rounding
 * @param subgroup the subgroup operation that does the same, such as `subgroupAdd`
 */
export function together(
  layout: RowLayout,
  name: string,
  type: 'f32' | 'u32',
  combine: (a: string, b: string) => string,
  subgroup: string,
): string {
  const { lanes, subgroups } = layout
  const head = `fn ${name}(value : ${type}, lane : u32, local : u32) -> ${type} {`
  if (lanes === 1) return `${head} return value; }`
  if (subgroups) {
    // WGSL leaves open how invocations fall into subgroups; in a row of invocations every implementation takes them in
    // turn. The parity test of this variant runs on each device that has it.
    return `
var<workgroup> ${name}Parts : array<${type}, ${WORKGROUP}>;
${head}
  let part = ${subgroup}(value);
  if (local % subgroupSize == 0u) { ${name}Parts[local / subgroupSize] = part; }
  workgroupBarrier();
  var all = ${name}Parts[0];
  for (var i = 1u; i < ${WORKGROUP}u / subgroupSize; i++) { all = ${combine('all', `${name}Parts[i]`)}; }
  workgroupBarrier();
  return all;
}`
  }
  const stride = laneStride(layout)
  return `
var<workgroup> ${name}Parts : array<${type}, ${WORKGROUP}>;
${head}
  ${name}Parts[local] = value;
  workgroupBarrier();
  for (var step = ${lanes}u / 2u; step > 0u; step /= 2u) {
    if (lane < step) {
      ${name}Parts[local] = ${combine(`${name}Parts[local]`, `${name}Parts[local + step * ${stride}u]`)};
    }
    workgroupBarrier();
  }
  let all = ${name}Parts[local - lane * ${stride}u];
  workgroupBarrier();
  return all;
}`
}

/** What subgroup variants need at module scope. */
export function subgroupState({ subgroups }: RowLayout): string {
  return subgroups ? 'var<private> subgroupSize : u32;' : ''
}

/** `rowSum(value, lane, local)`. */
export function rowSum(layout: RowLayout): string {
  return together(layout, 'rowSum', 'f32', (a, b) => `(${a} + ${b})`, 'subgroupAdd')
}

/** `rowMax(key, lane, local)` of keys, see `KEYS`. */
export function rowMax(layout: RowLayout): string {
  return together(layout, 'rowMax', 'u32', (a, b) => `max(${a}, ${b})`, 'subgroupMax')
}

/**
 * Keys: unsigned integers in the order of the float32 values whose bits they are made of, NaN above all.
 *
 * WGSL may assume that no float is NaN or infinite, and its compilers do; integers have no such freedom. So a maximum
 * over keys is exact for infinities and denormals, and keeps NaN.
 */
export const KEYS = `
const NAN_KEY = 0xffc00000u;
const INFINITY_KEY = 0xff800000u;
fn keyOf(bits : u32) -> u32 {
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return NAN_KEY; }
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}
fn bitsOf(key : u32) -> u32 {
  return select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u);
}`

/** `notANumber(salt)`: NaN made at run time, since a constant one does not compile. Any salt will do. */
export const NOT_A_NUMBER = 'fn notANumber(salt : u32) -> f32 { return bitcast<f32>(0x7fc00000u | salt); }'
