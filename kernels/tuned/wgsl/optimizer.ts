/**
 * AdamW's step, sums of squares and scaling, for several tensors in one dispatch: kernels/fused-optimizer.ts.
 *
 * Workgroups are dealt out to the tensors one after the other, 256 vectors of four elements each, so that small tensors
 * fill the GPU together. How many tensors share a dispatch depends on how many buffers the adapter binds; the WGSL is made
 * for each number. All are bound by memory, so an invocation reads a whole vector of each buffer before it writes.
 *
 * Buffers are whole vectors long, as those of the device's pool are. What lies past a tensor's end is nobody's: elementwise
 * it may be written, in sums it is left out.
 */
import { adamW, clipFactor, scaleInPlace, squareBlocks, sumsOfSquares } from '../../fused-optimizer.ts'
import type { FusedKernel } from '../../kernel.ts'
import { type ElementType, type FusedLauncher, folded, type Program, type ScalarType } from './program.ts'

const INVOCATIONS = 256
const vector = 'vec4<f32>'

const places = (count: number) => Array.from({ length: count }, (_, i) => i)

function numbered<T>(count: number, entries: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(places(count).flatMap((i) => Object.entries(entries).map(([name, t]) => [name + i, t])))
}

/** Made when first asked for, one for each number of tensors. */
function programs(make: (count: number) => Program): (count: number) => Program {
  const made = new Map<number, Program>()
  return (count) => {
    let program = made.get(count)
    if (!program) made.set(count, (program = make(count)))
    return program
  }
}

const main = `@compute @workgroup_size(${INVOCATIONS})
fn main(
  @builtin(workgroup_id) workgroup : vec3<u32>,
  @builtin(num_workgroups) count : vec3<u32>,
  @builtin(local_invocation_index) local : u32,
) {
  let number = workgroup.x + workgroup.y * count.x;`

/** Runs `statement(i)` for the tensor that the workgroup belongs to, with \`within\`, its number among that tensor's. */
const byTensor = (count: number, statement: (i: number) => string): string =>
  places(count)
    .map((i) => {
      const before = i === 0 ? '0u' : `params.end${i - 1}`
      return `if (number < params.end${i}) {
    let within = number - ${before};
    ${statement(i)}
  }`
    })
    .join(' else ')

/** Runs `statement` with the invocation's vector of tensor i, as `at`. */
const byVector = (i: number, statement: string): string => `
    let at = within * ${INVOCATIONS}u + local;
    if (at < params.vectors${i}) { ${statement} }`

/** Adds 256 numbers of \`sums\` in a tree. */
const tree = `
  for (var half = ${INVOCATIONS / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) { sums[local] += sums[local + half]; }
  }`

const adamWProgram = programs((count) => ({
  name: `adamW of ${count}`,
  reads: { values: 'f32', guard: 'f32', ...numbered<ElementType>(count, { gradient: vector }) },
  writes: numbered<ElementType>(count, { parameter: vector, firstMoment: vector, secondMoment: vector }),
  parameters: {
    ...{ beta1: 'f32', rest1: 'f32', beta2: 'f32', rest2: 'f32', eps: 'f32' },
    ...numbered<ScalarType>(count, { vectors: 'u32', end: 'u32', row: 'u32', decay: 'f32' }),
  },
  code: `
struct Step { parameter : ${vector}, firstMoment : ${vector}, secondMoment : ${vector} }

/** kernels/optimizer.ts, in the same order. */
fn advance(p : ${vector}, m : ${vector}, v : ${vector}, g : ${vector}, row : u32, decay : f32) -> Step {
  let rate = values[3u * row];
  let correction1 = values[3u * row + 1u];
  let correction2 = values[3u * row + 2u];
  let first = params.beta1 * m + params.rest1 * g;
  let second = params.beta2 * v + params.rest2 * g * g;
  let next = p * (1.0 - rate * decay) - (rate * (first / correction1)) / (sqrt(second / correction2) + params.eps);
  return Step(next, first, second);
}

${main}
  // By its bits: comparisons with infinity may be folded away.
  if ((bitcast<u32>(guard[0]) & 0x7f800000u) == 0x7f800000u) { return; }
  ${byTensor(count, (i) =>
    byVector(
      i,
      `
        let step = advance(
          parameter${i}[at], firstMoment${i}[at], secondMoment${i}[at], gradient${i}[at], params.row${i}, params.decay${i});
        parameter${i}[at] = step.parameter;
        firstMoment${i}[at] = step.firstMoment;
        secondMoment${i}[at] = step.secondMoment;`,
    ),
  )}
}`,
}))

const squaresProgram = programs((count) => ({
  name: `sums of squares of ${count}`,
  reads: numbered<ElementType>(count, { x: vector }),
  writes: { partial: 'f32' },
  parameters: { offset: 'u32', ...numbered<ScalarType>(count, { size: 'u32', end: 'u32' }) },
  code: `
var<workgroup> sums : array<f32, ${INVOCATIONS}>;

${main}
  if (number >= params.end${count - 1}) { return; }
  var squares = ${vector}(0);
  let lane = vec4<u32>(0, 1, 2, 3);
  ${byTensor(
    count,
    (i) => `let stride = (params.end${i} - ${i === 0 ? '0u' : `params.end${i - 1}`}) * ${INVOCATIONS}u;
    for (var at = within * ${INVOCATIONS}u + local; 4u * at < params.size${i}; at += stride) {
      let value = select(${vector}(0), x${i}[at], 4u * at + lane < vec4<u32>(params.size${i}));
      squares += value * value;
    }`,
  )}
  sums[local] = squares.x + squares.y + squares.z + squares.w;
  ${tree}
  if (local == 0u) { partial[params.offset + number] = sums[0]; }
}`,
}))

const factorProgram: Program = {
  name: 'clipFactor',
  reads: { partial: 'f32' },
  writes: { norm: 'f32', factor: 'f32' },
  parameters: { count: 'u32', maxNorm: 'f32' },
  code: `
var<workgroup> sums : array<f32, ${INVOCATIONS}>;

@compute @workgroup_size(${INVOCATIONS})
fn main(@builtin(local_invocation_index) local : u32) {
  var sum = 0.0;
  for (var i = local; i < params.count; i += ${INVOCATIONS}u) { sum += partial[i]; }
  sums[local] = sum;
  ${tree}
  if (local == 0u) {
    let length = sqrt(sums[0]);
    let ratio = params.maxNorm / (length + 1e-6);
    norm[0] = length;
    // A norm that is not a number makes every gradient one that is not, as multiplying by it does.
    factor[0] = select(ratio, 1.0, ratio >= 1.0);
  }
}`,
}

const scaleProgram = programs((count) => ({
  name: `scaleInPlace of ${count}`,
  reads: { factor: 'f32' },
  writes: numbered<ElementType>(count, { x: vector }),
  parameters: numbered<ScalarType>(count, { vectors: 'u32', end: 'u32' }),
  code: `
${main}
  let by = factor[0];
  ${byTensor(count, (i) => byVector(i, `x${i}[at] *= by;`))}
}`,
}))

/** Cuts `tensors` into runs of at most `most`. */
function runs<T>(tensors: readonly T[], most: number): T[][] {
  const length = Math.max(1, most)
  return places(Math.ceil(tensors.length / length)).map((i) => tensors.slice(i * length, (i + 1) * length))
}

/** Buffers and scalars of one tensor, without numbers on their names. */
interface Operand<Buffer> {
  readonly buffers: Readonly<Record<string, Buffer>>
  /** Elements. */
  readonly size: number
  readonly scalars: Readonly<Record<string, number>>
}

/** Those of several tensors under the names of the program, with `size`, `vectors`, and `end`, where its workgroups end. */
function joined<Buffer>(operands: readonly Operand<Buffer>[], workgroups: (size: number) => number) {
  const buffers: Record<string, Buffer> = {}
  const scalars: Record<string, number> = {}
  let end = 0
  operands.forEach((operand, i) => {
    for (const [name, buffer] of Object.entries(operand.buffers)) buffers[name + i] = buffer
    for (const [name, value] of Object.entries(operand.scalars)) scalars[name + i] = value
    scalars[`size${i}`] = operand.size
    scalars[`vectors${i}`] = Math.ceil(operand.size / 4)
    end += workgroups(operand.size)
    scalars[`end${i}`] = end
  })
  return { buffers, scalars, workgroups: end }
}

const workgroupsOf = (size: number) => Math.ceil(size / (4 * INVOCATIONS))

const launchAdamW: FusedLauncher = (encoder, outputs, parameters) => {
  type B = (typeof outputs)[number]
  const [values, guard, beta1, beta2, eps, ...each] = parameters as [B, B, number, number, number, ...(B | number)[]]
  const operands = runs(each, 4).map((of, i): Operand<B> => {
    const [gradient, size, row, decay] = of as [B, number, number, number]
    const [parameter, firstMoment, secondMoment] = outputs.slice(3 * i, 3 * i + 3)
    return { buffers: { gradient, parameter, firstMoment, secondMoment }, size, scalars: { row, decay } }
  })
  const constants = { beta1, rest1: 1 - beta1, beta2, rest2: 1 - beta2, eps }
  for (const run of runs(operands, Math.floor((encoder.storageBuffers - 2) / 4))) {
    const { buffers, scalars, workgroups } = joined(run, workgroupsOf)
    encoder.dispatch(
      adamWProgram(run.length),
      { values, guard, ...buffers },
      { ...constants, ...scalars },
      folded(workgroups),
    )
  }
}

const launchSquares: FusedLauncher = (encoder, [partial], parameters) => {
  type B = typeof partial
  let [offset, ...each] = parameters as [number, ...(B | number)[]]
  const operands = runs(each, 2).map(
    ([x, size]): Operand<B> => ({
      buffers: { x: x as B },
      size: size as number,
      scalars: {},
    }),
  )
  for (const run of runs(operands, encoder.storageBuffers - 1)) {
    const { buffers, scalars, workgroups } = joined(run, squareBlocks)
    encoder.dispatch(squaresProgram(run.length), { partial, ...buffers }, { offset, ...scalars }, folded(workgroups))
    offset += workgroups
  }
}

const launchFactor: FusedLauncher = (encoder, [norm, factor], parameters) => {
  const [partial, count, maxNorm] = parameters as [typeof norm, number, number]
  encoder.dispatch(factorProgram, { partial, norm, factor }, { count, maxNorm }, [1, 1, 1])
}

const launchScale: FusedLauncher = (encoder, outputs, parameters) => {
  type B = (typeof outputs)[number]
  const [factor, ...sizes] = parameters as [B, ...number[]]
  const operands = outputs.map((x, i): Operand<B> => ({ buffers: { x }, size: sizes[i], scalars: {} }))
  for (const run of runs(operands, encoder.storageBuffers - 1)) {
    const { buffers, scalars, workgroups } = joined(run, workgroupsOf)
    encoder.dispatch(scaleProgram(run.length), { factor, ...buffers }, scalars, folded(workgroups))
  }
}

const every = (kernels: readonly FusedKernel[], launcher: FusedLauncher) =>
  kernels.map((kernel) => [kernel, launcher] as const)

/** All kernels of kernels/fused-optimizer.ts. */
export const optimizerLaunchers: readonly (readonly [FusedKernel, FusedLauncher])[] = [
  ...every(adamW, launchAdamW),
  ...every([...sumsOfSquares.first, ...sumsOfSquares.further], launchSquares),
  [clipFactor, launchFactor],
  ...every(scaleInPlace, launchScale),
]
