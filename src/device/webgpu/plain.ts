/**
 * Plain kernels on the GPU: each becomes a program, from gpu.js's translation of its text.
 *
 * The cells of a grid are counted in one dimension, so that a grid of any extents fills whole workgroups; a cell kernel
 * gets its coordinates by integer division. A map kernel is run four cells at a time where its operands are contiguous or
 * single numbers, which is nearly always, and through strides elsewhere.
 */
import { declaredKernels, type Grid, type Kernel, type MapKernel } from '../../../kernels/kernel.ts'
import type { Translation } from '../../../kernels/translation.ts'
import { translations } from '../../../kernels/translations.ts'
import { powers } from '../../../kernels/tuned/wgsl/powers.ts'
import {
  type ElementType,
  type Encoder,
  folded,
  type Program,
  type ScalarType,
} from '../../../kernels/tuned/wgsl/program.ts'
import { tunedScalars } from '../../../kernels/tuned/wgsl/trigonometry.ts'
import { SluiceError } from '../../errors.ts'

/** Invocations of a workgroup. */
const WORKGROUP = 64
/** The x extent of a grid of workgroups is handed over as `width`, in invocations. */
const flatIndex = `id.x + id.y * params.width`

/** Joins the names of a translation with the launch's buffers and numbers. */
interface PlainProgram {
  readonly program: Program
  readonly arrays: readonly (readonly [name: string, index: number])[]
  readonly numbers: readonly (readonly [name: string, index: number])[]
}

type Translator = (kernel: Kernel) => Translation

export class PlainKernels {
  readonly #translations = new Map([...translations, ...tunedScalars, ...powers])
  readonly #programs = new Map<Kernel, Map<string, PlainProgram>>()
  #translator: Translator | undefined

  /** Loads gpu.js if a kernel was declared that has no translation. */
  async prepare(): Promise<void> {
    if (this.#translator) return
    for (const kernel of declaredKernels) {
      if (this.#translations.has(kernel)) continue
      await (await import('../gpujs/library.ts')).loadLibrary('webgpu device')
      this.#translator = (await import('../gpujs/gpujs.ts')).translate
      return
    }
  }

  launch<Buffer>(
    encoder: Encoder<Buffer>,
    kernel: Kernel,
    output: Buffer,
    grid: Grid,
    parameters: readonly (Buffer | number)[],
  ): void {
    const [X, Y, Z] = grid
    const cells = X * Y * Z
    const pattern = kernel.kind === 'map' ? mapPattern(kernel, grid, parameters) : ''
    const { program, arrays, numbers } = this.#program(kernel, pattern)
    const buffers: Record<string, Buffer> = { result: output }
    for (const [name, index] of arrays) buffers[name] = parameters[index] as Buffer
    const invocations = pattern !== '' && pattern !== strided ? Math.ceil(cells / 4) : cells
    const workgroups = folded(Math.ceil(invocations / WORKGROUP))
    const scalars: Record<string, number> = { X, Y, Z, cells: invocations, width: workgroups[0] * WORKGROUP }
    for (const [name, index] of numbers) scalars[name] = parameters[index] as number
    encoder.dispatch(program, buffers, scalars, workgroups)
  }

  #program(kernel: Kernel, pattern: string): PlainProgram {
    let programs = this.#programs.get(kernel)
    if (!programs) this.#programs.set(kernel, (programs = new Map()))
    let program = programs.get(pattern)
    if (!program) {
      const translation = this.#translation(kernel)
      program = kernel.kind === 'map' ? mapProgram(kernel, translation, pattern) : cellProgram(kernel, translation)
      programs.set(pattern, program)
    }
    return program
  }

  #translation(kernel: Kernel): Translation {
    let translation = this.#translations.get(kernel)
    if (!translation) {
      if (!this.#translator) {
        throw new SluiceError(
          'webgpu device',
          `kernel ${kernel.name} was declared after the device was made ready; call await device('webgpu') again before its first launch`,
        )
      }
      this.#translations.set(kernel, (translation = this.#translator(kernel)))
    }
    return translation
  }
}

const scalarTypes = { integer: 'i32', float: 'f32' } as const

/** What the JavaScript of a kernel looks like, for messages. */
const sourceOf = (kernel: Kernel): string => (kernel.kind === 'cell' ? kernel.cell : kernel.scalar).toString()

function cellProgram(kernel: Kernel, { functions, body, parameters }: Translation): PlainProgram {
  const reads: Record<string, ElementType> = {}
  const scalars: Record<string, ScalarType> = { X: 'u32', Y: 'u32', Z: 'u32', cells: 'u32', width: 'u32' }
  const arrays: [string, number][] = []
  const numbers: [string, number][] = []
  parameters.forEach(([name, type], index) => {
    if (type === 'array') {
      reads[name] = 'f32'
      arrays.push([name, index])
    } else {
      scalars[name] = scalarTypes[type]
      numbers.push([name, index])
    }
  })
  const readers = arrays.map(([name]) => `fn get_${name}(z : i32, y : i32, x : i32) -> f32 { return ${name}[x]; }`)
  const code = `var<private> threadGid : vec3<u32>;
${readers.join('\n')}
${functions}
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) id : vec3<u32>) {
  let data_index = ${flatIndex};
  if (data_index >= params.cells) { return; }
  let row = data_index / params.X;
  threadGid = vec3<u32>(data_index - row * params.X, row % params.Y, row / params.Y);
${body}
}`
  return {
    program: {
      name: kernel.name,
      reads,
      writes: { result: 'f32' },
      parameters: scalars,
      code,
      source: sourceOf(kernel),
    },
    arrays,
    numbers,
  }
}

/** Any operand that is neither contiguous nor a single number. */
const strided = 'g'

/** 'c' for a contiguous operand, 's' for a single number, or `strided` for the whole launch. */
function mapPattern(kernel: MapKernel, [X, Y, Z]: Grid, parameters: readonly unknown[]): string {
  let pattern = ''
  for (let operand = 0; operand < kernel.operands; operand++) {
    const [sz, sy, sx] = parameters.slice(4 * operand + 1, 4 * operand + 4)
    const contiguous = (X === 1 || sx === 1) && (Y === 1 || sy === X) && (Z === 1 || sz === X * Y)
    const single = (X === 1 || sx === 0) && (Y === 1 || sy === 0) && (Z === 1 || sz === 0)
    if (!contiguous && !single) return strided
    pattern += single ? 's' : 'c'
  }
  return pattern
}

function mapProgram(kernel: MapKernel, { functions, body: scalar }: Translation, pattern: string): PlainProgram {
  const operands = Array.from({ length: kernel.operands }, (_, i) => `a${i}`)
  const constants = Array.from({ length: kernel.constants }, (_, i) => `c${i}`)
  const scalars: Record<string, ScalarType> = { X: 'u32', Y: 'u32', Z: 'u32', cells: 'u32', width: 'u32' }
  const reads: Record<string, ElementType> = {}
  const arrays: [string, number][] = operands.map((name, i) => [name, 4 * i])
  const numbers: [string, number][] = []
  const isStrided = pattern === strided
  operands.forEach((name, i) => {
    reads[name] = !isStrided && pattern[i] === 'c' ? 'vec4<f32>' : 'f32'
    if (!isStrided) return
    ;['z', 'y', 'x'].forEach((axis, k) => {
      scalars[`${name}${axis}`] = 'u32'
      numbers.push([`${name}${axis}`, 4 * i + 1 + k])
    })
  })
  constants.forEach((name, i) => {
    scalars[name] = 'f32'
    numbers.push([name, 4 * kernel.operands + i])
  })
  const call = (values: string[]) => `${scalar}(${[...values, ...constants.map((c) => `params.${c}`)].join(', ')})`
  const cell = isStrided
    ? `  let row = i / params.X;
  let x = i - row * params.X;
  let y = row % params.Y;
  let z = row / params.Y;
  result[i] = ${call(operands.map((a) => `${a}[z * params.${a}z + y * params.${a}y + x * params.${a}x]`))};`
    : `${operands.map((a, k) => `  let v${k} = ${a}[${pattern[k] === 'c' ? 'i' : '0'}];`).join('\n')}
  result[i] = vec4<f32>(
${['x', 'y', 'z', 'w']
  .map((lane) => `    ${call(operands.map((_, k) => (pattern[k] === 'c' ? `v${k}.${lane}` : `v${k}`)))},`)
  .join('\n')}
  );`
  const code = `${functions}
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) id : vec3<u32>) {
  let i = ${flatIndex};
  if (i >= params.cells) { return; }
${cell}
}`
  return {
    program: {
      name: kernel.name,
      reads,
      writes: { result: isStrided ? 'f32' : 'vec4<f32>' },
      parameters: scalars,
      code,
      source: sourceOf(kernel),
    },
    arrays,
    numbers,
  }
}
