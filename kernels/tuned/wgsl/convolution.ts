/**
 * The causal convolution on WebGPU: out[b, t, c] = bias[c] + sum_w weight[c, w] x[b, t - W + 1 + w, c], and its gradients.
 *
 *   dx[b, p, c] = sum_w weight[c, w] dout[b, p + W - 1 - w, c], for p < 0 too: the state's
 *   dweight[c, w] = sum_{b, t} dout[b, t, c] x[b, t - W + 1 + w, c],   dbias[c] = sum_{b, t} dout[b, t, c]
 *
 * Neighbouring invocations have neighbouring channels, so that reads lie together. Each walks along time with the last W
 * inputs in registers: one read a step, whatever W is; the programs are written for their W. Sums over time are made in
 * blocks of steps and then over blocks, in order: no atomics.
 */
import { type FusedLauncher, folded, type Program, type ScalarType } from './program.ts'

const THREADS = 256
/** Steps of one invocation: outputs, which want many invocations, and sums, which want few partial results. */
const OUTPUT_STEPS = 8
const SUM_STEPS = 64

const parameters: Readonly<Record<string, ScalarType>> = {
  T: 'u32',
  C: 'u32',
  /** Blocks of steps of one sequence, and invocations in all. */
  blocks: 'u32',
  count: 'u32',
  hasBias: 'u32',
  hasState: 'u32',
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i)

/** Where the invocation stands: channel c, sequence b, first step of its block. */
const opening = (steps: number) => `
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) workgroup : vec3<u32>, @builtin(num_workgroups) count : vec3<u32>, @builtin(local_invocation_index) thread : u32) {
  let id = (workgroup.x + workgroup.y * count.x) * ${THREADS}u + thread;
  if (id >= params.count) { return; }
  let c = id % params.C;
  let b = id / params.C / params.blocks;
  let first = i32(id / params.C % params.blocks * ${steps}u);`

/** Input p of a sequence: p < 0 lies in the state. */
const inputAt = (W: number) => `
fn inputAt(b : u32, p : i32, c : u32) -> f32 {
  if (p >= 0) { return x[(b * params.T + u32(p)) * params.C + c]; }
  if (params.hasState == 0u) { return 0.0; }
  return state[(b * ${W - 1}u + u32(p + ${W - 1})) * params.C + c];
}`

/** Variables x0 to x{W - 2} hold the inputs before `first`; `shift` moves them on by one. */
const window = (W: number) =>
  range(W - 1)
    .map((i) => `var x${i} = inputAt(b, first - ${W - 1 - i}, c);`)
    .join(' ')
const shift = (W: number) =>
  range(W - 1)
    .map((i) => `x${i} = x${i + 1 === W - 1 ? 'Newest' : i + 1};`)
    .join(' ')
const tap = (W: number, i: number) => (i === W - 1 ? 'xNewest' : `x${i}`)

function forwardProgram(W: number): Program {
  return {
    name: `causalConvolution${W}`,
    reads: { x: 'f32', weight: 'f32', bias: 'f32', state: 'f32' },
    writes: { out: 'f32' },
    parameters,
    code: `${inputAt(W)}${opening(OUTPUT_STEPS)}
  ${range(W)
    .map((i) => `let w${i} = weight[c * ${W}u + ${i}u];`)
    .join(' ')}
  var start = 0.0;
  if (params.hasBias != 0u) { start = bias[c]; }
  ${window(W)}
  let end = min(first + ${OUTPUT_STEPS}, i32(params.T));
  for (var t = first; t < end; t++) {
    let xNewest = inputAt(b, t, c);
    out[(b * params.T + u32(t)) * params.C + c] = start${range(W)
      .map((i) => ` + w${i} * ${tap(W, i)}`)
      .join('')};
    ${shift(W)}
  }
}`,
  }
}

/** dx and, where there is a state, dstate: places from -(W - 1), or 0, to T - 1. */
function inputProgram(W: number): Program {
  const next = (i: number) => (i === W - 1 ? 'yNewest' : `y${i}`)
  return {
    name: `causalConvolutionInput${W}`,
    reads: { dout: 'f32', weight: 'f32' },
    writes: { dx: 'f32', dstate: 'f32' },
    parameters,
    code: `
fn gradientAt(b : u32, p : i32, c : u32) -> f32 {
  if (p < 0 || p >= i32(params.T)) { return 0.0; }
  return dout[(b * params.T + u32(p)) * params.C + c];
}${opening(OUTPUT_STEPS)}
  ${range(W)
    .map((i) => `let w${i} = weight[c * ${W}u + ${i}u];`)
    .join(' ')}
  let from0 = first - select(0, ${W - 1}, params.hasState != 0u);
  ${range(W - 1)
    .map((i) => `var y${i} = gradientAt(b, from0 + ${i}, c);`)
    .join(' ')}
  let end = min(from0 + ${OUTPUT_STEPS}, i32(params.T));
  for (var p = from0; p < end; p++) {
    let yNewest = gradientAt(b, p + ${W - 1}, c);
    let value = ${range(W)
      .map((i) => `w${W - 1 - i} * ${next(i)}`)
      .join(' + ')};
    if (p >= 0) { dx[(b * params.T + u32(p)) * params.C + c] = value; } else { dstate[(b * ${W - 1}u + u32(p + ${W - 1})) * params.C + c] = value; }
    ${range(W - 1)
      .map((i) => `y${i} = ${next(i + 1)};`)
      .join(' ')}
  }
}`,
  }
}

/** Sums of a block of steps, [block, W + 1, C]: the W taps' and the bias's. */
function partialProgram(W: number): Program {
  return {
    name: `causalConvolutionPartial${W}`,
    reads: { dout: 'f32', x: 'f32', state: 'f32' },
    writes: { parts: 'f32' },
    parameters,
    code: `${inputAt(W)}${opening(SUM_STEPS)}
  ${window(W)}
  ${range(W + 1)
    .map((i) => `var s${i} = 0.0;`)
    .join(' ')}
  let end = min(first + ${SUM_STEPS}, i32(params.T));
  for (var t = first; t < end; t++) {
    let xNewest = inputAt(b, t, c);
    let y = dout[(b * params.T + u32(t)) * params.C + c];
    ${range(W)
      .map((i) => `s${i} += y * ${tap(W, i)};`)
      .join(' ')} s${W} += y;
    ${shift(W)}
  }
  let at = id / params.C * ${W + 1}u * params.C + c;
  ${range(W + 1)
    .map((i) => `parts[at + ${i}u * params.C] = s${i};`)
    .join(' ')}
}`,
  }
}

/** Sums the blocks: one invocation a channel and tap. */
function weightProgram(W: number): Program {
  return {
    name: `causalConvolutionWeight${W}`,
    reads: { parts: 'f32' },
    writes: { dweight: 'f32', dbias: 'f32' },
    parameters,
    code: `
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) place : vec3<u32>) {
  let id = place.x;
  if (id >= params.count) { return; }
  var sum = 0.0;
  for (var i = 0u; i < params.blocks; i++) { sum += parts[i * params.count + id]; }
  let c = id % params.C;
  let w = id / params.C;
  if (w == ${W}u) { dbias[c] = sum; } else { dweight[c * ${W}u + w] = sum; }
}`,
  }
}

const makePrograms = (W: number) => ({
  forward: forwardProgram(W),
  input: inputProgram(W),
  partial: partialProgram(W),
  weight: weightProgram(W),
})

/** A device compiles each program object once, so each is made once. */
const made = new Map<number, ReturnType<typeof makePrograms>>()

function programsFor(W: number): ReturnType<typeof makePrograms> {
  let programs = made.get(W)
  if (!programs) made.set(W, (programs = makePrograms(W)))
  return programs
}

/** Computes `causalConvolutionForward`. */
export const launchCausalConvolutionForward: FusedLauncher = (encoder, [out], given) => {
  const [x, weight, bias, state] = given as (typeof out)[]
  const [B, T, C, W, hasBias, hasState] = given.slice(4) as number[]
  const blocks = Math.ceil(T / OUTPUT_STEPS)
  const count = B * blocks * C
  const scalars = { T, C, blocks, count, hasBias, hasState }
  encoder.dispatch(programsFor(W).forward, { x, weight, bias, state, out }, scalars, folded(Math.ceil(count / THREADS)))
}

/** Computes `causalConvolutionBackward`. */
export const launchCausalConvolutionBackward: FusedLauncher = (encoder, [dx, dweight, dbias, dstate], given) => {
  const [dout, x, weight, state] = given as (typeof dx)[]
  const [B, T, C, W, hasState] = given.slice(4) as number[]
  const programs = programsFor(W)
  const run = (program: Program, buffers: Readonly<Record<string, typeof dx>>, blocks: number, count: number) =>
    encoder.dispatch(
      program,
      buffers,
      { T, C, blocks, count, hasBias: 1, hasState },
      folded(Math.ceil(count / THREADS)),
    )
  const places = Math.ceil((T + (hasState === 0 ? 0 : W - 1)) / OUTPUT_STEPS)
  run(programs.input, { dout, weight, dx, dstate }, places, B * places * C)
  const blocks = Math.ceil(T / SUM_STEPS)
  const parts = encoder.scratch(B * blocks * (W + 1) * C)
  run(programs.partial, { dout, x, state, parts }, blocks, B * blocks * C)
  run(programs.weight, { parts, dweight, dbias }, B * blocks, (W + 1) * C)
}
