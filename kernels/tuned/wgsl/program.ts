/**
 * What a tuned WebGPU kernel is: a program, which is WGSL with its bindings declared beside it, and a launcher, which
 * says how many workgroups of which program a launch takes.
 *
 * The WGSL of a program is written without boilerplate: buffers are used by the names given here, scalars as
 * `params.name`, and the entry point is `main`. `programCode` puts the declarations in front.
 */

/** How a buffer's elements are read: `f32`, or vectors of them; `f16` where the device has `shader-f16`. */
export type ElementType = 'f32' | 'vec2<f32>' | 'vec4<f32>' | 'u32' | 'i32' | 'f16' | 'vec4<f16>'

export type ScalarType = 'u32' | 'i32' | 'f32'

export interface Program {
  /** As errors and profiles show it. */
  readonly name: string
  /** Buffers that are only read, in the order of their bindings. */
  readonly reads: Readonly<Record<string, ElementType>>
  /** Buffers that are written, and may be read: `var<storage, read_write>`. */
  readonly writes: Readonly<Record<string, ElementType>>
  /** Scalars of one launch, as `params.name`. */
  readonly parameters: Readonly<Record<string, ScalarType>>
  /** Features the WGSL needs, such as 'subgroups' or 'shader-f16'; the launcher must ask before it dispatches. */
  readonly features?: readonly ('subgroups' | 'shader-f16')[]
  /** Constants, functions and `@compute @workgroup_size(…) fn main(…)`. */
  readonly code: string
  /** The JavaScript that the WGSL was made from, for messages about a kernel that does not compile. */
  readonly source?: string
}

/** Workgroups along x, y and z; at most `MOST_WORKGROUPS` each. */
export type Workgroups = readonly [x: number, y: number, z: number]

/** WebGPU's guaranteed limit of workgroups in one dimension. */
export const MOST_WORKGROUPS = 65535

/** What a launcher writes its dispatches to; a device implements it. `Buffer` is the device's own. */
export interface Encoder<Buffer> {
  /** Features that the device has. */
  readonly features: ReadonlySet<string>
  /**
   * How matrix products may hold operands in workgroup memory: 'float16' halves what they read of it, and rounds each
   * operand to 11 bits. Sums stay in float32.
   */
  readonly precision: 'float32' | 'float16'
  /** Storage buffers that one program may bind. */
  readonly storageBuffers: number
  /** Runs a program after everything dispatched before. Buffers and scalars by the program's own names. */
  dispatch(
    program: Program,
    buffers: Readonly<Record<string, Buffer>>,
    parameters: Readonly<Record<string, number>>,
    workgroups: Workgroups,
  ): void
  /** A buffer of `length` 4-byte elements with unspecified contents, which lives until the launch ends. */
  scratch(length: number): Buffer
}

/** Takes a launch of a plain kernel over: same output, grid and parameters as the plain kernel's. */
export type Launcher = <Buffer>(
  encoder: Encoder<Buffer>,
  output: Buffer,
  grid: readonly [x: number, y: number, z: number],
  parameters: readonly (Buffer | number)[],
) => void

/** Computes a fused kernel: outputs in the order of its `results`, parameters in the order of its table. */
export type FusedLauncher = <Buffer>(
  encoder: Encoder<Buffer>,
  outputs: readonly Buffer[],
  parameters: readonly (Buffer | number)[],
) => void

/** The whole WGSL of a program: features, `Params` at binding 0, reads and then writes from binding 1, the code. */
export function programCode({ reads, writes, parameters, features = [], code }: Program): string {
  const enable = features.map((feature) => `enable ${feature === 'shader-f16' ? 'f16' : feature};`)
  const fields = Object.entries(parameters).map(([name, type]) => `  ${name} : ${type},`)
  // A uniform struct may not be empty.
  const struct = ['struct Params {', ...(fields.length > 0 ? fields : ['  unused : u32,']), '}']
  const bindings: string[] = []
  const bind = (names: Readonly<Record<string, ElementType>>, access: string) => {
    for (const [name, type] of Object.entries(names)) {
      bindings.push(`@group(0) @binding(${bindings.length + 1}) var<storage, ${access}> ${name} : array<${type}>;`)
    }
  }
  bind(reads, 'read')
  bind(writes, 'read_write')
  return [...enable, ...struct, '@group(0) @binding(0) var<uniform> params : Params;', ...bindings, code].join('\n')
}

/**
 * `count` workgroups laid out in two dimensions where one is not enough. The program finds its number with
 * `workgroup.x + workgroup.y * count.x` (`@builtin(workgroup_id)`, `@builtin(num_workgroups)`), and must return when it
 * lies beyond what it was launched for.
 */
export function folded(count: number): Workgroups {
  if (count <= MOST_WORKGROUPS) return [count, 1, 1]
  const rows = Math.ceil(count / MOST_WORKGROUPS)
  return [Math.ceil(count / rows), rows, 1]
}
