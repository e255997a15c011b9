/** Launches of maps on the cpu device: the tasks of map kernels and of fused ones, whose code is made when they are first launched. */
import type { Grid, MapKernel } from '../../../kernel.ts'
import type { Callee, Features } from '../assembler.ts'
import type { Place, Task, TaskArgument } from '../task.ts'
import { vectorsIn } from '../vectors.ts'
import { costOf } from './emit.ts'
import { type FusedMap, fuseMaps } from './fuse.ts'
import { type Access, type Layout, layoutOf } from './layout.ts'
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

/** Launches a program whose operands are given as a map kernel's are. */
export function launcherOf(program: Program, features: Features): MapLauncher {
  const { inputs, constants } = program
  const cost = costOf(program)
  const walks = new Map<string, Callee>()

  const walk = ({ accesses }: Layout, define: typeof defineFlatWalk): Callee => {
    const key = accesses.join(' ')
    let callee = walks.get(key)
    if (!callee) walks.set(key, (callee = define(features, program, accesses)))
    return callee
  }

  return (outputs, grid, parameters) => {
    const layout = layoutOf(inputs, grid, parameters)
    if (!layout) return undefined
    const given: TaskArgument[] = []
    for (let i = 0; i < inputs; i++) given.push((parameters[4 * i] as Place).offset)
    for (const output of outputs) given.push(output.offset)
    for (let i = 0; i < constants; i++) given.push(parameters[4 * inputs + i] as TaskArgument)

    const { X, Y, Z, accesses, steps } = layout
    const size = X * Y * Z
    const task = { cost: size * (cost + 1), scratch: 0, given }
    if (accesses.every(isFlat)) return [{ ...task, callee: walk(layout, defineFlatWalk), items: vectorsIn(size) }]
    const rows = Y * Z
    const length = 4 * Math.ceil(Math.max(leastLength, rows < enoughItems ? (X * rows) / enoughItems : X) / 4)
    const pieces = Math.ceil(X / length)
    accesses.forEach((access, i) => {
      if (!isFlat(access)) given.push(4 * steps[i]![0], 4 * steps[i]![1])
    })
    given.push(X, length, pieces, Y)
    return [{ ...task, callee: walk(layout, defineRowWalk), items: rows * pieces }]
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
