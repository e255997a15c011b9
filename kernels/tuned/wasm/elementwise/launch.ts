/** Launches of maps on the cpu device: the tasks of map kernels and of fused ones, whose code is made when they are first launched. */
import type { Grid, MapKernel } from '../../../kernel.ts'
import type { Callee, Features } from '../assembler.ts'
import type { Place, Task, TaskArgument } from '../task.ts'
import { vectorsIn } from '../vectors.ts'
import { costOf } from './emit.ts'
import { type FusedMap, fuseMaps } from './fuse.ts'
import { type Access, layoutOf } from './layout.ts'
import { type Program, programOf } from './program.ts'
import { defineFlatWalk, defineRowWalk } from './walk.ts'

/** Like a `Launcher`, but undefined for launches that only the plain loop can do. */
export type MapLauncher = (
  outputs: readonly Place[],
  grid: Grid,
  parameters: readonly (Place | TaskArgument)[],
) => readonly Task[] | undefined

/** Pieces of rows are not shorter, so that starting one takes little of its time. */
const leastLength = 256
/** Enough items that threads can share them evenly. */
const enoughItems = 64

const isFlat = (access: Access): boolean => access === 'contiguous' || access === 'single'

/**
 * Which of the operands are single numbers, as bits, where the grid is one row and the others are contiguous: most launches
 * are of this kind, and tell it at a glance. -1 for all others.
 */
function singlesOf(operands: number, [, Y, Z]: Grid, parameters: readonly unknown[]): number {
  if (Y !== 1 || Z !== 1 || operands > 30) return -1
  let singles = 0
  for (let i = 0; i < operands; i++) {
    const step = parameters[4 * i + 3]
    if (step === 0) singles |= 1 << i
    else if (step !== 1) return -1
  }
  return singles
}

/** Launches a program whose operands are given as a map kernel's are. */
export function launcherOf(program: Program, features: Features): MapLauncher {
  const { inputs, constants } = program
  const cost = costOf(program)
  const walks = new Map<string, Callee>()
  /** Those of one row, by the bits of `singlesOf`. */
  const flatWalks: Callee[] = []

  const walk = (accesses: readonly Access[], define: typeof defineFlatWalk): Callee => {
    const key = accesses.join(' ')
    let callee = walks.get(key)
    if (!callee) walks.set(key, (callee = define(features, program, accesses)))
    return callee
  }
  const flatWalk = (singles: number): Callee => {
    const accesses = Array.from({ length: inputs }, (_, i): Access => ((singles >> i) & 1 ? 'single' : 'contiguous'))
    return (flatWalks[singles] ??= walk(accesses, defineFlatWalk))
  }

  return (outputs, grid, parameters) => {
    const given: TaskArgument[] = []
    for (let i = 0; i < inputs; i++) given.push((parameters[4 * i] as Place).offset)
    for (const output of outputs) given.push(output.offset)
    for (let i = 0; i < constants; i++) given.push(parameters[4 * inputs + i] as TaskArgument)
    const task = (callee: Callee, size: number, items: number): Task[] => [
      { callee, given, items, cost: size * (cost + 1), scratch: 0, isIndependent: false },
    ]
    const singles = singlesOf(inputs, grid, parameters)
    if (singles >= 0) return task(flatWalks[singles] ?? flatWalk(singles), grid[0], vectorsIn(grid[0]))

    const layout = layoutOf(inputs, grid, parameters)
    if (!layout) return undefined
    const { X, Y, Z, accesses, steps } = layout
    const size = X * Y * Z
    if (accesses.every(isFlat)) return task(walk(accesses, defineFlatWalk), size, vectorsIn(size))
    const rows = Y * Z
    const length = 4 * Math.ceil(Math.max(leastLength, rows < enoughItems ? (X * rows) / enoughItems : X) / 4)
    const pieces = Math.ceil(X / length)
    accesses.forEach((access, i) => {
      if (!isFlat(access)) given.push(4 * steps[i]![0], 4 * steps[i]![1])
    })
    given.push(X, length, pieces, Y)
    return task(walk(accesses, defineRowWalk), size, rows * pieces)
  }
}

/** The launchers of map kernels and of what is fused of them, made once each. */
export class MapLaunchers {
  readonly #features: Features
  readonly #programs = new Map<MapKernel, { readonly program: Program | undefined; readonly number: number }>()
  readonly #launchers = new Map<MapKernel, MapLauncher | undefined>()
  readonly #fused = new Map<string, MapLauncher | undefined>()

  constructor(features: Features) {
    this.#features = features
  }

  /** Of one kernel; undefined where the plain loop must run it. */
  of(kernel: MapKernel): MapLauncher | undefined {
    const made = this.#launchers.get(kernel)
    if (made) return made
    if (!this.#launchers.has(kernel)) this.#launchers.set(kernel, this.#make(this.#known(kernel).program))
    return this.#launchers.get(kernel)
  }

  /**
   * Of several maps in one pass: see `fuseMaps`. Its operands are those of the fused launch, and then come the constants of
   * all maps, in order; undefined where one of the maps has no program.
   */
  fused(maps: readonly FusedMap[], outputs: readonly number[]): MapLauncher | undefined {
    const parts = maps.map(({ kernel, operands }) => [this.#known(kernel).number, operands])
    const key = JSON.stringify([parts, outputs])
    if (!this.#fused.has(key)) {
      this.#fused.set(key, this.#make(fuseMaps(maps, outputs, (kernel) => this.#known(kernel).program)))
    }
    return this.#fused.get(key)
  }

  #known(kernel: MapKernel) {
    let known = this.#programs.get(kernel)
    if (!known) this.#programs.set(kernel, (known = { program: programOf(kernel), number: this.#programs.size }))
    return known
  }

  #make(program: Program | undefined): MapLauncher | undefined {
    return program && launcherOf(program, this.#features)
  }
}
