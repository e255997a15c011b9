/**
 * What a kernel is: a plain, pure function that computes one output cell, in the form that gpu.js takes.
 *
 * A kernel knows numbers and flat arrays, nothing of tensors. Its source text has three lives: it runs directly on typed
 * arrays, gpu.js translates it for the GPU, and a reader reads it. There are two forms:
 *
 *  - a **cell** kernel reads `this.thread.x`, `.y`, `.z` and any number of arrays, integers and floats;
 *  - a **map** kernel is a scalar function of one number per operand. The runner owns the loop, so that the same text
 *    serves every broadcast and, later, every fusion.
 *
 * Rules that keep the text translatable: a top-level `function`; only its parameters, `this.thread` and functions named
 * in `helpers`; loops that start at literal 0 and count up, no two in one block with the same counter; no closures,
 * default parameters or arrays of its own; integers declared as such and places computed inside the brackets, because
 * whatever is held in a local or read from an array is a float32 on the GPU, and `i | 0` there makes an integer of it.
 */

/** A flat array as a kernel sees it: read by integer index. */
export type Cells = ArrayLike<number>

/** `this` inside a cell kernel: the coordinates of the output cell, x fastest. */
export interface KernelThis {
  /** Column, row and layer of the output cell, from 0. */
  readonly thread: { readonly x: number; readonly y: number; readonly z: number }
}

export type ParameterType = 'array' | 'integer' | 'float'

/** Extents [X, Y, Z] of the cells to compute; output cell (x, y, z) is stored at (z Y + y) X + x. */
export type Grid = readonly [x: number, y: number, z: number]

// biome-ignore lint/complexity/noBannedTypes: kernels of every signature share these tables
type AnyFunction = Function

export interface CellKernel {
  readonly kind: 'cell'
  readonly name: string
  readonly cell: AnyFunction
  readonly parameters: Readonly<Record<string, ParameterType>>
  readonly helpers: readonly AnyFunction[]
}

export interface MapKernel {
  readonly kind: 'map'
  readonly name: string
  readonly scalar: AnyFunction
  /** How many leading parameters are operands, one number each; the rest are float constants. */
  readonly operands: number
  readonly constants: number
  readonly helpers: readonly AnyFunction[]
}

/** A plain kernel: one function for every output cell, or one for every number. */
export type Kernel = CellKernel | MapKernel

/**
 * A launch with several results that only tuned kernels compute. It has no plain function: what it means is the
 * composition of smaller operations in the record that uses it, and a device that does not offer it runs that.
 */
export interface FusedKernel {
  readonly kind: 'fused'
  readonly name: string
  readonly parameters: Readonly<Record<string, ParameterType>>
  /** Each result, in order: made anew, or an existing buffer that the kernel updates in place. */
  readonly results: Readonly<Record<string, 'new' | 'update'>>
}

/**
 * Declares a fused kernel.
 *
 * @example
 * const attentionForward = defineFused('attentionForward', { q: 'array', … , scale: 'float' }, { out: 'new', logSum: 'new' })
 */
export function defineFused(
  name: string,
  parameters: FusedKernel['parameters'],
  results: FusedKernel['results'],
): FusedKernel {
  return { kind: 'fused', name, parameters, results }
}

/** Every kernel declared so far: devices that must prepare kernels before a launch look here. */
const declared = new Set<Kernel>()

export const declaredKernels: ReadonlySet<Kernel> = declared

function declare<K extends Kernel>(kernel: K): K {
  declared.add(kernel)
  return kernel
}

/**
 * Declares a cell kernel.
 *
 * @param cell a top-level named function
 * @param parameters the type of each parameter, in order, under its own name
 * @param helpers other top-level functions of the same file that `cell` calls
 * @throws Error when their number differs from the function's own, or the function is not a plain named one
 *
 * @example
 * const double = defineKernel(function double(this: KernelThis, x: Cells) { return 2 * x[this.thread.x] }, { x: 'array' })
 */
export function defineKernel(
  // biome-ignore lint/suspicious/noExplicitAny: kernels have every signature; the table below is checked against it
  cell: (this: KernelThis, ...parameters: any[]) => number,
  parameters: Readonly<Record<string, ParameterType>>,
  helpers: readonly AnyFunction[] = [],
): CellKernel {
  // Bundlers rename parameters, so only their number can be checked here; a test compares the names.
  const actual = parameterNames(cell)
  if (Object.keys(parameters).length !== actual.length) {
    throw new Error(
      `defineKernel: ${cell.name} takes (${actual.join(', ')}) but its table declares (${Object.keys(parameters).join(', ')}); list each parameter once, in order`,
    )
  }
  return declare({ kind: 'cell', name: cell.name, cell, parameters, helpers })
}

/**
 * Declares a map kernel from a scalar function: `operands` numbers in, one number out.
 *
 * @param operands how many leading parameters are operands (default: all); the rest are constants of the launch
 *
 * @example
 * const sigmoid = elementwise(function sigmoid(x: number) { return 1 / (1 + Math.exp(-x)) })
 */
export function elementwise(
  scalar: (...values: number[]) => number,
  operands: number = scalar.length,
  helpers: readonly AnyFunction[] = [],
): MapKernel {
  const names = parameterNames(scalar)
  return declare({ kind: 'map', name: scalar.name, scalar, operands, constants: names.length - operands, helpers })
}

/** Parameter names of a plain `function`, read from its text, as gpu.js reads them. A minifier may have taken its name. */
export function parameterNames(of: AnyFunction): string[] {
  const text = of.toString()
  const match = /^function\s*[\w$]*\s*\(([^)]*)\)/.exec(text)
  if (!match) {
    throw new Error(
      `defineKernel: expected a top-level function, got «${text.slice(0, 40)}…»; arrows and methods cannot be translated`,
    )
  }
  const list = match[1].trim()
  if (list === '') return []
  const names = list.split(',').map((name) => name.trim())
  const odd = names.find((name) => name !== '' && !/^[\w$]+$/.test(name))
  if (odd !== undefined) throw new Error(`defineKernel: ${of.name}: parameter «${odd}» must be a plain name`)
  return names.filter((name) => name !== '')
}

/** Where operand cell (x, y, z) of a map lies: `z sz + y sy + x sx`. A zero stride repeats, which is broadcasting. */
export type MapStrides = readonly [sz: number, sy: number, sx: number]

/**
 * How an operand of a map lies: as the output does, one number for all cells, or otherwise.
 *
 * @param parameters those of the launch: four an operand, see `MapStrides`
 */
export function operandLayout(
  [X, Y, Z]: Grid,
  parameters: readonly unknown[],
  operand: number,
): 'contiguous' | 'single' | 'strided' {
  const sz = parameters[4 * operand + 1]
  const sy = parameters[4 * operand + 2]
  const sx = parameters[4 * operand + 3]
  if ((X === 1 || sx === 1) && (Y === 1 || sy === X) && (Z === 1 || sz === X * Y)) return 'contiguous'
  return (X === 1 || sx === 0) && (Y === 1 || sy === 0) && (Z === 1 || sz === 0) ? 'single' : 'strided'
}

/**
 * The cell form of a map kernel, as source text: each operand read through its three strides.
 *
 * The index is one inline expression of integers, because gpu.js keeps such an expression in integer arithmetic.
 */
export function mapCellSource(kernel: MapKernel): { source: string; parameters: Record<string, ParameterType> } {
  const operands = Array.from({ length: kernel.operands }, (_, i) => `a${i}`)
  const constants = Array.from({ length: kernel.constants }, (_, i) => `c${i}`)
  const parameters: Record<string, ParameterType> = {}
  const reads: string[] = []
  for (const a of operands) {
    parameters[a] = 'array'
    for (const axis of ['z', 'y', 'x']) parameters[`${a}${axis}`] = 'integer'
    reads.push(`${a}[this.thread.z * ${a}z + this.thread.y * ${a}y + this.thread.x * ${a}x]`)
  }
  for (const c of constants) parameters[c] = 'float'
  const call = `${kernel.scalar.name}(${[...reads, ...constants].join(', ')})`
  const source = `function ${kernel.name}Cell(${Object.keys(parameters).join(', ')}) { return ${call}; }`
  return { source, parameters }
}
