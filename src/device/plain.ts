/**
 * Runs a plain kernel directly, cell by cell, on typed arrays in host memory.
 *
 * Each kernel gets a loop of its own, made once from its name and parameters. The cell is then called from a single
 * call site, so that the JavaScript engine inlines it: about 2 ns a cell, against about 20 through one shared loop.
 */
import {
  type CellKernel,
  type Grid,
  type Kernel,
  type MapKernel,
  operandLayout,
  parameterNames,
} from '../../kernels/kernel.ts'
import type { TypedArray } from './device.ts'

type Value = TypedArray | number
type CellLoop = (output: TypedArray, x: number, y: number, z: number, ...parameters: Value[]) => void

const cellLoops = new Map<CellKernel, CellLoop>()
const mapLoops = new Map<MapKernel, Map<string, CellLoop>>()

/** Computes every cell of `grid` into `output`. `parameters` as in `Device.launch`, buffers as typed arrays. */
export function runPlain(kernel: Kernel, output: TypedArray, grid: Grid, parameters: readonly Value[]): void {
  if (output.length === 0) return
  if (kernel.kind === 'map') runMap(kernel, output, grid, parameters)
  else cellLoop(kernel)(output, grid[0], grid[1], grid[2], ...parameters)
}

let made = 0

/** Differs for every loop: engines share what they learn about functions of the same text. */
function loopName(kernel: Kernel): string {
  return `${kernel.name}Loop${++made}`
}

function cellLoop(kernel: CellKernel): CellLoop {
  let loop = cellLoops.get(kernel)
  if (!loop) cellLoops.set(kernel, (loop = makeCellLoop(kernel)))
  return loop
}

function makeCellLoop(kernel: CellKernel): CellLoop {
  const parameters = parameterNames(kernel.cell).map((_, i) => `p${i}`)
  const source = `return function ${loopName(kernel)}(output, X, Y, Z${parameters.map((p) => `, ${p}`).join('')}) {
    const thread = { x: 0, y: 0, z: 0 }
    const self = { thread }
    let i = 0
    for (let z = 0; z < Z; z++) {
      thread.z = z
      for (let y = 0; y < Y; y++) {
        thread.y = y
        for (let x = 0; x < X; x++) {
          thread.x = x
          output[i++] = cell.call(self${parameters.map((p) => `, ${p}`).join('')})
        }
      }
    }
  }`
  return new Function('cell', source)(kernel.cell) as CellLoop
}

/**
 * A map's loop is chosen by how its operands lie: all contiguous or single numbers is one flat loop; anything else walks
 * three strides an operand.
 */
const letters = { contiguous: 'c', single: 's', strided: 'g' } as const

function runMap(kernel: MapKernel, output: TypedArray, grid: Grid, parameters: readonly Value[]): void {
  let pattern = ''
  // c, s or g: contiguous, single, general.
  for (let i = 0; i < kernel.operands; i++) pattern += letters[operandLayout(grid, parameters, i)]
  if (pattern.includes('g')) pattern = 'g'
  let loops = mapLoops.get(kernel)
  if (!loops) mapLoops.set(kernel, (loops = new Map()))
  let loop = loops.get(pattern)
  if (!loop) loops.set(pattern, (loop = pattern === 'g' ? makeStridedLoop(kernel) : makeFlatLoop(kernel, pattern)))
  loop(output, ...grid, ...parameters)
}

function mapParameters(kernel: MapKernel): { operands: string[]; constants: string[]; list: string } {
  const operands = Array.from({ length: kernel.operands }, (_, i) => `a${i}`)
  const constants = Array.from({ length: kernel.constants }, (_, i) => `, c${i}`)
  return {
    operands,
    constants,
    list: operands.map((a) => `, ${a}, ${a}z, ${a}y, ${a}x`).join('') + constants.join(''),
  }
}

function makeFlatLoop(kernel: MapKernel, pattern: string): CellLoop {
  const { operands, constants, list } = mapParameters(kernel)
  const reads = operands.map((a, i) => (pattern[i] === 's' ? `${a}Value` : `${a}[i]`)).join(', ')
  const singles = operands.filter((_, i) => pattern[i] === 's').map((a) => `const ${a}Value = ${a}[0]`)
  const source = `return function ${loopName(kernel)}(output, X, Y, Z${list}) {
    const n = X * Y * Z
    ${singles.join('\n    ')}
    for (let i = 0; i < n; i++) output[i] = scalar(${reads}${constants.join('')})
  }`
  return new Function('scalar', source)(kernel.scalar) as CellLoop
}

function makeStridedLoop(kernel: MapKernel): CellLoop {
  const { operands, constants, list } = mapParameters(kernel)
  const reads = operands.map((a) => `${a}[${a}i]`).join(', ')
  const source = `return function ${loopName(kernel)}(output, X, Y, Z${list}) {
    let i = 0
    for (let z = 0; z < Z; z++) {
      for (let y = 0; y < Y; y++) {
        ${operands.map((a) => `let ${a}i = z * ${a}z + y * ${a}y`).join('\n        ')}
        for (let x = 0; x < X; x++) {
          output[i++] = scalar(${reads}${constants.join('')})
          ${operands.map((a) => `${a}i += ${a}x`).join('; ')}
        }
      }
    }
  }`
  return new Function('scalar', source)(kernel.scalar) as CellLoop
}
