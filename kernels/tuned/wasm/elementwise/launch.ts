/** Launches of maps on the cpu device: the tasks of map kernels and of fused ones, whose code is made when they are first launched. */
import type { Grid, MapKernel } from '../../../kernel.ts'
import type { Callee, Features } from '../assembler.ts'
import type { Place, Task, TaskArgument } from '../task.ts'
import { vectorsIn } from '../vectors.ts'
import { costOf } from './emit.ts'
import { type FusedMap, fuseMaps } from './fuse.ts'
import { accessesOf, type Layout, layoutOf, strideOf } from './layout.ts'
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

/** Launches a program whose operands are given as a map kernel's are. */
export function launcherOf(program: Program, features: Features): MapLauncher {
  const { inputs, constants } = program
  const cost = costOf(program) + 1
  const walks = new Map<number, Callee>()

  const walkOf = (layout: Layout): Callee => {
    let walk = walks.get(layout.key)
    if (!walk) {
      const define = layout.isFlat ? defineFlatWalk : defineRowWalk
      walks.set(layout.key, (walk = define(features, program, accessesOf(layout, inputs))))
    }
    return walk
  }

  return (outputs, grid, parameters) => {
    const layout = layoutOf(inputs, grid, parameters)
    if (!layout) return undefined
    const given: TaskArgument[] = []
    for (let i = 0; i < inputs; i++) given.push((parameters[4 * i] as Place).offset)
    for (const output of outputs) given.push(output.offset)
    for (let i = 0; i < constants; i++) given.push(parameters[4 * inputs + i] as TaskArgument)
    const { X, Y, Z } = layout
    const size = X * Y * Z
    const callee = walkOf(layout)
    const items = layout.isFlat ? vectorsIn(size) : addRows(layout, inputs, parameters, given)
    return [{ callee, given, items, cost: cost * size, scratch: 0, isIndependent: false }]
  }
}

/** Adds what a walk over rows takes; gives the number of its items. */
function addRows(
  layout: Layout,
  inputs: number,
  parameters: Parameters<MapLauncher>[2],
  given: TaskArgument[],
): number {
  const { X, Y, Z, shift } = layout
  accessesOf(layout, inputs).forEach((access, i) => {
    if (access === 'contiguous' || access === 'single') return
    const step = (extent: number, axis: number) => (extent === 1 ? 0 : 4 * strideOf(parameters, i, axis, shift))
    given.push(step(Z, 0), step(Y, 1))
  })
  const rows = Y * Z
  const length = 4 * Math.ceil(Math.max(leastLength, rows < enoughItems ? (X * rows) / enoughItems : X) / 4)
  const pieces = Math.ceil(X / length)
  given.push(X, length, pieces, Y)
  return rows * pieces
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
