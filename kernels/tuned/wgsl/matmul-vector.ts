/**
 * The matrix-vector product, out[z, i] = sum over k of matrix[z, i, k] vector[z, k]: a matrix product with one row or one
 * column. It reads the matrix once, and that is all its time; what counts is that neighbours read neighbours.
 *
 * A workgroup computes `outputs` results, each with 256 / outputs invocations that share k and add up in workgroup memory.
 * Where k is contiguous, neighbouring invocations take neighbouring k; else they take neighbouring results.
 */
import type { Epilogue } from '../../fused-linear.ts'
import { epilogueName, noEpilogue, storing } from './matmul-epilogue.ts'
import type { Program } from './program.ts'

const INVOCATIONS = 256

/** Results a workgroup, by the axis along which the matrix is read. */
export const vectorOutputs = { k: 4, across: 32 } as const

const programs = new Map<string, Program>()

export function vectorProgram(along: 'k' | 'across', epilogue: Epilogue): Program {
  const ending = epilogue === noEpilogue ? '' : ` ${epilogueName(epilogue)}`
  const name = `matmul vector ${along}${ending}`
  const known = programs.get(name)
  if (known) return known
  const outputs = vectorOutputs[along]
  const sharers = INVOCATIONS / outputs
  const store = storing(epilogue, false)
  const element = (i: number) =>
    `matrix[at + (k + ${i * sharers}u) * params.matrixDepth] * vector[start + (k + ${i * sharers}u) * params.vectorDepth]`
  const program: Program = {
    name,
    reads: { matrix: 'f32', vector: 'f32', ...store.reads },
    writes: store.writes,
    parameters: {
      // Results of one product, k, matrices of the batch, parts of k and their length, workgroups across and in all.
      size: 'u32',
      k: 'u32',
      batch: 'u32',
      splits: 'u32',
      part: 'u32',
      across: 'u32',
      count: 'u32',
      /** n: a result's column is its place modulo this. */
      columns: 'u32',
      matrixBatch: 'u32',
      matrixAcross: 'u32',
      matrixDepth: 'u32',
      vectorBatch: 'u32',
      vectorDepth: 'u32',
    },
    code: `
var<workgroup> shares : array<f32, ${INVOCATIONS}>;
${store.code}
@compute @workgroup_size(${INVOCATIONS}) fn main(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) lane : u32,
) {
  let number = group.x + group.y * groups.x;
  if (number >= params.count) { return; }
  let one = number / params.across;
  let z = one / params.splits;
  let split = one % params.splits;
  let result = ${along === 'k' ? `lane / ${sharers}u` : `lane % ${outputs}u`};
  let share = ${along === 'k' ? `lane % ${sharers}u` : `lane / ${outputs}u`};
  let i = (number % params.across) * ${outputs}u + result;

  // Beyond the last result the last one is computed again, and not stored.
  let at = z * params.matrixBatch + min(i, params.size - 1u) * params.matrixAcross;
  let start = z * params.vectorBatch;
  let end = min((split + 1u) * params.part, params.k);
  var k = split * params.part + share;
  // Four at a time, so that as many reads are on their way.
  var four = vec4f();
  for (; k + ${3 * sharers}u < end; k += ${4 * sharers}u) {
    four += vec4f(
      ${element(0)},
      ${element(1)},
      ${element(2)},
      ${element(3)},
    );
  }
  var sum = (four.x + four.y) + (four.z + four.w);
  for (; k < end; k += ${sharers}u) { sum += ${element(0)}; }

  shares[share * ${outputs}u + result] = sum;
  for (var half = ${sharers / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (share < half) { shares[share * ${outputs}u + result] += shares[(share + half) * ${outputs}u + result]; }
  }
  if (share == 0u && i < params.size) {
    put((split * params.batch + z) * params.size + i, i % params.columns, shares[result]);
  }
}
`,
  }
  programs.set(name, program)
  return program
}
