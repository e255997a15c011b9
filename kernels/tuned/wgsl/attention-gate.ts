/**
 * The gate of attention in WGSL: act(a) and its slope, for the activations of `attentionActivations`, and the program that
 * begins the backward pass.
 *
 *   dY = dY' ⊙ act(a)    da = dY' ⊙ Y ⊙ act'(a)    delta = rowsum(dY ⊙ Y)       (an added gate: dY = dY', da = dY' ⊙ act'(a))
 */
import { attentionParameters, LANES } from './attention-parts.ts'
import type { Program } from './program.ts'

export const gateParameters = { headwise: 'u32', activation: 'u32', additive: 'u32' } as const

/** By the side on which the exponential does not overflow. */
export const gateFunctions = `
fn logistic(v : vec4f) -> vec4f {
  let e = exp(-abs(v));
  return select(e, vec4f(1.0), v >= vec4f()) / (1.0 + e);
}
fn activated(a : vec4f) -> vec4f {
  switch params.activation {
    case 0u: { return logistic(a); }
    case 1u: { return a * logistic(a); }
    case 2u: { return a; }
    default: { return 0.5 + 0.5 * logistic(a); }
  }
}
fn slope(a : vec4f) -> vec4f {
  let s = logistic(a);
  switch params.activation {
    case 0u: { return s * (1.0 - s); }
    case 1u: { return s + a * s * (1.0 - s); }
    case 2u: { return vec4f(1.0); }
    default: { return 0.5 * s * (1.0 - s); }
  }
}
/** The gate of row \`row\` of [B T H], column \`column\` in vectors; a headwise gate lies in fours of rows. */
fn gateAt(row : u32, column : u32) -> vec4f {
  if (params.headwise == 1u) { return vec4f(gate[row / 4u][row % 4u]); }
  return gate[row * params.D4 + column];
}`

/** Invocations that share a row. */
const SHARE = 16

/** delta [B, T, H], and where there is a gate dY like dout and dgate like the gate. 4 rows a workgroup. */
export function rowProgram(isGated: boolean): Program {
  const name = isGated ? 'attention gate and delta' : 'attention delta'
  const element = isGated
    ? `
    let a = gateAt(row, column);
    let s = activated(a);
    var dY = dout[at];
    var da = dout[at] * slope(a);
    if (params.additive == 0u) { dY *= s; da *= Y; }
    dy[at] = dY;
    if (params.headwise == 1u) { gateSum += dot(da, vec4f(1.0)); } else { dgateVectors(at, da); }`
    : '\n    let dY = dout[at];'
  return {
    name,
    reads: isGated
      ? { dout: 'vec4<f32>', out: 'vec4<f32>', gate: 'vec4<f32>' }
      : { dout: 'vec4<f32>', out: 'vec4<f32>' },
    writes: isGated ? { delta: 'f32', dy: 'vec4<f32>', dgate: 'f32' } : { delta: 'f32' },
    parameters: isGated ? { ...attentionParameters, ...gateParameters } : attentionParameters,
    code: `
var<workgroup> shared_sums : array<vec2f, ${LANES}>;
${
  isGated
    ? `${gateFunctions}
fn dgateVectors(at : u32, da : vec4f) {
  dgate[4u * at] = da.x; dgate[4u * at + 1u] = da.y; dgate[4u * at + 2u] = da.z; dgate[4u * at + 3u] = da.w;
}`
    : ''
}
@compute @workgroup_size(${LANES}) fn main(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) lane : u32,
) {
  let row = 4u * (group.x + group.y * groups.x) + lane / ${SHARE}u;
  let rows = params.B * params.T * params.H;
  var sum = 0.0;
  var gateSum = 0.0;
  for (var column = lane % ${SHARE}u; column < params.D4 && row < rows; column += ${SHARE}u) {
    let at = row * params.D4 + column;
    let Y = out[at];${element}
    sum += dot(dY, Y);
  }
  shared_sums[lane] = vec2f(sum, gateSum);
  for (var half = ${SHARE / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane % ${SHARE}u < half) { shared_sums[lane] += shared_sums[lane + half]; }
  }
  if (lane % ${SHARE}u == 0u && row < rows) {
    delta[row] = shared_sums[lane].x;
    ${isGated ? 'if (params.headwise == 1u) { dgate[row] = shared_sums[lane].y; }' : ''}
  }
}`,
  }
}
