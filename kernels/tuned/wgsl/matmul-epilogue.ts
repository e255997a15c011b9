/**
 * What a product does with a finished sum before it is stored: act(sum + bias[column]), and, where the gradient will need
 * it, sum + bias itself, in a second result. Also the pass that adds the parts of a product whose k was split.
 */
import type { Activation, Epilogue } from '../../fused-linear.ts'
import type { ElementType, Program } from './program.ts'

export const noEpilogue: Epilogue = { activation: 'identity', hasBias: false, saves: false }

export const epilogueName = ({ activation, hasBias, saves }: Epilogue): string =>
  `${hasBias ? '+bias ' : ''}${activation}${saves ? ' saved' : ''}`

/**
 * Activations as WGSL of `x`, a scalar or a vector of type T. sigmoid(v) is taken by the side on which the exponential
 * does not overflow, as the plain kernels do; the comparison of relu lets NaN through.
 */
const activations: Readonly<Record<Activation, string>> = {
  identity: 'return x;',
  relu: 'return select(x, T(), x <= T());',
  sigmoid: 'return logistic(x);',
  silu: 'return x * logistic(x);',
  gelu: 'return x * logistic(1.5957691216057308 * (x + 0.044715 * x * x * x));',
}

/**
 * WGSL of `put(place, column, sum)`, which stores one element of the result, a number or 4 neighbours of a row, and the
 * buffers that it uses. `place` and `column` count such elements.
 */
export function storing(
  epilogue: Epilogue,
  isWide: boolean,
): { reads: Record<string, ElementType>; writes: Record<string, ElementType>; code: string } {
  const type: ElementType = isWide ? 'vec4<f32>' : 'f32'
  const { activation, hasBias, saves } = epilogue
  return {
    reads: hasBias ? { bias: type } : {},
    writes: saves ? { out: type, preactivation: type } : { out: type },
    code: `
alias T = ${type};

fn logistic(v : T) -> T {
  let e = exp(-abs(v));
  return select(e, T(1.0), v >= T()) / (1.0 + e);
}

fn activate(x : T) -> T { ${activations[activation]} }

fn put(place : u32, column : u32, sum : T) {
  let value = sum${hasBias ? ' + bias[column]' : ''};
  ${saves ? 'preactivation[place] = value;' : ''}
  out[place] = activate(value);
}
`,
  }
}

const sums = new Map<string, Program>()

/** out[i] = the sum over s of partial[s, i], in order of s, then the epilogue. 256 elements a workgroup. */
export function sumProgram(epilogue: Epilogue, isWide: boolean): Program {
  const name = `matmul sum ${isWide ? 'wide ' : ''}${epilogueName(epilogue)}`
  const known = sums.get(name)
  if (known) return known
  const { reads, writes, code } = storing(epilogue, isWide)
  const program: Program = {
    name,
    reads: { partial: writes.out, ...reads },
    writes,
    // Lengths in elements of `out`.
    parameters: { size: 'u32', columns: 'u32', splits: 'u32' },
    code: `${code}
@compute @workgroup_size(256) fn main(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) lane : u32,
) {
  let i = (group.x + group.y * groups.x) * 256u + lane;
  if (i >= params.size) { return; }
  var sum = partial[i];
  for (var s = 1u; s < params.splits; s++) { sum += partial[s * params.size + i]; }
  put(i, i % params.columns, sum);
}
`,
  }
  sums.set(name, program)
  return program
}
