/**
 * The one place that touches gpu.js: plain kernels built for its own backends, and translated to WGSL.
 *
 * gpu.js is pinned to 2.24.1. `WebGPUKernel` and the methods used of it are exported but undocumented;
 * `test/device/kernels.test.ts` holds them to what is written here. `loadLibrary` comes before any of this.
 */
import type { GPU, IGPUKernelSettings, WebAssemblyKernel } from 'gpu.js'
import { type Grid, type Kernel, mapCellSource, type ParameterType, parameterNames } from '../../../kernels/kernel.ts'
import type { Translation } from '../../../kernels/translation.ts'
import { SluiceError } from '../../errors.ts'
import type { TypedArray } from '../device.ts'
import { library } from './library.ts'

declare module 'gpu.js' {
  interface IKernelSettings {
    /** Loops with a bound that is no literal stop here, silently; 1000 unless given. */
    loopMaxIterations?: number
  }

  /** Translates a kernel without a device; the steps are those of its own `build`, in order. */
  class WebGPUKernel {
    constructor(source: string, settings: WgslSettings)
    threadDim: number[]
    paramsLayout: object
    setupConstants(): void
    /** Takes one value per parameter, of its type. */
    setupArguments(examples: readonly unknown[]): void
    translateSource(): void
    computeParamsLayout(): object
    assembleWGSL(): string
  }

  /** As `createKernel` takes them, but with the types as a list. */
  interface WgslSettings extends Omit<IGPUKernelSettings, 'argumentTypes'> {
    argumentTypes: string[]
  }
}

/** gpu.js's own backends that run at once: its WebAssembly in float32, or JavaScript, rounded to float32 at the store. */
export type GpujsMode = 'webasm' | 'cpu'

/** A built kernel: computes every cell of the grid into `output`; `parameters` as in `Device.launch`. */
export type GpujsKernel = (output: TypedArray, grid: Grid, parameters: readonly (TypedArray | number)[]) => void

const argumentTypes = { array: 'Array', integer: 'Integer', float: 'Float' } as const

/** Sizes of arguments and grid for which a kernel's WebAssembly is kept: each new one takes about a millisecond. */
const MODULES = 32

const settings = {
  dynamicOutput: true,
  dynamicArguments: true,
  // The default of 1000 truncates longer loops without a word.
  loopMaxIterations: 2 ** 30,
}

interface Source {
  readonly text: string
  /** In order: gpu.js goes by position. */
  readonly parameters: readonly ParameterType[]
  readonly functions: string[]
}

/** What gpu.js reads: the text of the cell function, its parameters' types and the functions that it calls. */
function sourceOf(kernel: Kernel): Source {
  const functions = kernel.helpers.map((helper) => helper.toString())
  if (kernel.kind === 'cell') {
    return { text: kernel.cell.toString(), parameters: Object.values(kernel.parameters), functions }
  }
  const { source, parameters } = mapCellSource(kernel)
  return { text: source, parameters: Object.values(parameters), functions: [kernel.scalar.toString(), ...functions] }
}

const gpus = new Map<GpujsMode, GPU>()

/**
 * Builds a plain kernel for one of gpu.js's own backends.
 *
 * @param mode 'webasm' unless given
 * @throws SluiceError when gpu.js takes another backend than the one asked for
 *
 * @example
 * const output = new Float32Array(2)
 * buildKernel(embedding)(output, [2, 1, 1], [new Float32Array([1, 2, 3, 4]), new Int32Array([1]), 2]) // [3, 4]
 */
export function buildKernel(kernel: Kernel, mode: GpujsMode = 'webasm'): GpujsKernel {
  let gpu = gpus.get(mode)
  if (!gpu) gpus.set(mode, (gpu = new (library().GPU)({ mode })))
  const { text, parameters, functions } = sourceOf(kernel)
  const run = gpu.createKernel(text, {
    ...settings,
    output: [1, 1, 1],
    argumentTypes: Object.fromEntries(parameters.map((type, i) => [`p${i}`, argumentTypes[type]])),
    // Its types name functions only, but text is taken too and is what it makes of them.
    functions: functions as unknown as NonNullable<IGPUKernelSettings['functions']>,
  })
  if (mode === 'webasm') (run.kernel as WebAssemblyKernel).moduleCacheLimit = MODULES
  return (output, grid, given) => {
    run.setOutput([...grid])
    const rows = run(...given.map(argument)) as Float32Array[][]
    const taken = modeOf(run.kernel)
    if (taken !== mode) {
      throw new SluiceError(
        'gpujs device',
        `kernel ${kernel.name} was built for gpu.js's ${taken} backend, not ${mode}; see the rules in kernels/kernel.ts`,
      )
    }
    let i = 0
    for (const plane of rows) {
      for (const row of plane) {
        output.set(row, i)
        i += row.length
      }
    }
  }
}

function modeOf(kernel: object): string {
  return (kernel.constructor as unknown as { readonly mode: string }).mode
}

/** gpu.js holds every array as float32, and cannot take an empty one. */
function argument(value: TypedArray | number): Float32Array | number {
  if (typeof value === 'number') return value
  if (value.length === 0) return new Float32Array(1)
  return value instanceof Float32Array ? value : Float32Array.from(value)
}

/**
 * The WGSL of a plain kernel, made without a device.
 *
 * Binding 0 is a uniform of extents and scalars, then come the arrays in order, then the result.
 *
 * @throws Error from gpu.js when the kernel uses what it cannot translate
 *
 * @example
 * translateToWgsl(matmul) // 'struct Params { outputX : u32, … } … fn main(…) { … }'
 */
export function translateToWgsl(kernel: Kernel): string {
  const { text, parameters, functions } = sourceOf(kernel)
  const translation = new (library().WebGPUKernel)(text, {
    ...settings,
    output: [1, 1, 1],
    argumentTypes: parameters.map((type) => argumentTypes[type]),
    functions: functions as unknown as NonNullable<IGPUKernelSettings['functions']>,
  })
  translation.setupConstants()
  translation.setupArguments(parameters.map((type) => (type === 'array' ? new Float32Array(1) : 0)))
  translation.threadDim = [1, 1, 1]
  translation.translateSource()
  translation.paramsLayout = translation.computeParamsLayout()
  return translation.assembleWGSL()
}

/**
 * The parts of a plain kernel's WGSL that our own programs are made of.
 *
 * Of gpu.js's text only the functions and the statements of the cell are kept: how places are found from the invocation,
 * how arrays are bound and how scalars lie are the device's.
 *
 * @throws Error from gpu.js when the kernel uses what it cannot translate, SluiceError when its text has another form
 *
 * @example
 * translate(gelu).functions // 'fn fn_gelu(user_x : f32) -> f32 { … }'
 */
export function translate(kernel: Kernel): Translation {
  const wgsl = translateToWgsl(kernel)
  const found =
    /var<private> threadGid : vec3<u32>;\n([\s\S]*?)@compute @workgroup_size\(8, 8, 1\)\nfn main\([\s\S]*?let data_index : i32 = [^;]*;\n([\s\S]*)\}\s*$/.exec(
      wgsl,
    )
  if (!found) {
    throw new SluiceError(
      'gpujs translation',
      `the WGSL of kernel ${kernel.name} has another form than expected:\n${wgsl}`,
    )
  }
  const [, before, statements] = found
  // Reading arrays is the device's; what else stands before the entry point is the kernel's.
  const functions = before.replace(/fn get_user_\w+\([\s\S]*?\n\}\n/g, '').trim()
  if (kernel.kind === 'cell') {
    // By the names in the text: a bundler may have renamed what the table declares.
    const types = Object.values(kernel.parameters)
    const parameters = parameterNames(kernel.cell).map((name, i) => [`user_${name}`, types[i]] as const)
    return { functions, body: statements.trim(), parameters }
  }
  const scalar = /result\[data_index\] = (\w+)\(/.exec(statements)
  if (!scalar) throw new SluiceError('gpujs translation', `no call of ${kernel.name} in its WGSL:\n${wgsl}`)
  return { functions, body: scalar[1], parameters: [] }
}
