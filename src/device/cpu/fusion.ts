/**
 * Which elementwise launches of a captured program can be one: those that walk the same cells and hand values to each
 * other, or read the same ones. Values that only they use are then never written.
 */
import { defineFused, type FusedKernel, type Grid, type MapKernel, operandLayout } from '../../../kernels/kernel.ts'
import type { FusedMap } from '../../../kernels/tuned/wasm/elementwise/fuse.ts'
import type { MapLauncher, MapLaunchers } from '../../../kernels/tuned/wasm/elementwise/launch.ts'
import { layoutOf } from '../../../kernels/tuned/wasm/elementwise/layout.ts'
import type { Place, Task, TaskArgument } from '../../../kernels/tuned/wasm/task.ts'
import type { TracedLaunch, UnplacedValue } from '../device.ts'
import { type IsTemporary, Uses, valuesRead } from './uses.ts'

/** Launches of a group at most: beyond, its numbers no longer fit the registers. */
const MOST_MEMBERS = 12
/** Values that a group reads at most; each may be read in two ways, and a launch has 26 operands at most. */
const MOST_READ = 12

/** Launches that become one, at the place of the last of them. */
export interface Group<V> {
  /** In order. */
  readonly members: number[]
  /** The cells that all of them walk; an x extent alone where no operand needs more. */
  grid: Grid
  readonly made: Set<V>
  readonly read: Set<V>
}

type MapLaunch<V> = TracedLaunch<V> & { readonly kernel: MapKernel; readonly grid: Grid }

function isMap<V extends UnplacedValue>(launch: TracedLaunch<V>, maps: MapLaunchers): launch is MapLaunch<V> {
  const { kernel, grid, parameters } = launch
  if (kernel.kind !== 'map' || !maps.of(kernel)) return false
  const values = [...launch.outputs, ...valuesRead(launch)]
  if (values.some(({ buffer }) => buffer.dtype !== 'float32')) return false
  return layoutOf(kernel.operands, grid!, parameters) !== undefined
}

/** Whether an operand's strides matter, so that the grid must stay as it is. */
const needsGrid = <V>({ kernel, grid, parameters }: MapLaunch<V>): boolean =>
  Array.from({ length: kernel.operands }, (_, operand) => operandLayout(grid, parameters, operand)).includes('strided')

const cells = ([X, Y, Z]: Grid): number => X * Y * Z
const isFlat = ([, Y, Z]: Grid): boolean => Y === 1 && Z === 1

/** The grid that serves both, or undefined. */
function commonGrid(a: Grid, b: Grid): Grid | undefined {
  if (cells(a) !== cells(b)) return undefined
  if (isFlat(a)) return b
  return isFlat(b) || a.every((extent, axis) => extent === b[axis]) ? a : undefined
}

/** Groups of two launches or more, each launch in one of them at most. */
export function groupMaps<V extends UnplacedValue>(
  launches: readonly TracedLaunch<V>[],
  maps: MapLaunchers,
): Group<V>[] {
  const uses = new Uses(launches)
  const groups: Group<V>[] = []
  launches.forEach((launch, at) => {
    if (!isMap(launch, maps)) return
    const grid: Grid = needsGrid(launch) ? launch.grid : [cells(launch.grid), 1, 1]
    const read = valuesRead(launch)
    const canJoin = (group: Group<V>): boolean => {
      const isRelated = read.some((value) => group.made.has(value) || group.read.has(value))
      const readTogether = new Set([...group.read, ...read].filter((value) => !group.made.has(value)))
      if (readTogether.size > MOST_READ) return false
      if (!isRelated || group.members.length >= MOST_MEMBERS || !commonGrid(group.grid, grid)) return false
      const [first] = group.members
      const members = new Set(group.members)
      // What the group makes can be handed on cell by cell only.
      const isHanded = Array.from({ length: launch.kernel.operands }, (_, operand) => operand).every(
        (operand) =>
          !group.made.has(launch.parameters[4 * operand] as V) ||
          operandLayout(launch.grid, launch.parameters, operand) === 'contiguous',
      )
      if (!isHanded) return false
      // The group is run where this launch is: nobody may need its results before, or change what it reads.
      const isNeeded = [...group.made].some((value) =>
        uses.readers.get(value)?.some((reader) => reader < at && !members.has(reader)),
      )
      return !isNeeded && !uses.changesBetween([...group.read], first, at)
    }
    const group = groups.findLast(canJoin)
    if (!group) {
      groups.push({ members: [at], grid, made: new Set(launch.outputs), read: new Set(read) })
      return
    }
    group.members.push(at)
    group.grid = commonGrid(group.grid, grid)!
    for (const value of read) group.read.add(value)
    for (const value of launch.outputs) group.made.add(value)
  })
  return groups.filter(({ members }) => members.length > 1)
}

/** The strides of an operand in the grid of its group. */
function strides<V>({ grid, parameters }: MapLaunch<V>, operand: number, [X, Y]: Grid): readonly number[] {
  const layout = operandLayout(grid, parameters, operand)
  if (layout === 'contiguous') return [X * Y, X, 1]
  return layout === 'single' ? [0, 0, 0] : (parameters.slice(4 * operand + 1, 4 * operand + 4) as number[])
}

/** A fused launch's kernel with what runs it. */
interface Fused {
  readonly grid: Grid
  readonly inputs: number
  readonly launch: MapLauncher
}

/** Elementwise launches made into fewer, and the kernels that this makes. */
export class MapFusion {
  readonly #maps: MapLaunchers
  readonly #fused = new WeakMap<FusedKernel, Fused>()

  constructor(maps: MapLaunchers) {
    this.#maps = maps
  }

  fuse<V extends UnplacedValue>(
    launches: readonly TracedLaunch<V>[],
    isTemporary: IsTemporary<V>,
  ): readonly TracedLaunch<V>[] {
    const uses = new Uses(launches)
    const result: (TracedLaunch<V> | null)[] = [...launches]
    for (const group of groupMaps(launches, this.#maps)) {
      const members = group.members.map((at) => launches[at] as MapLaunch<V>)
      for (const at of group.members) result[at] = null
      const places = new Set(group.members)
      const isNeeded = (value: V) =>
        !isTemporary(value) || (uses.readers.get(value)?.some((reader) => !places.has(reader)) ?? false)
      result[group.members.at(-1)!] = this.#join(group.grid, members, isNeeded)
    }
    return result.filter((launch) => launch !== null)
  }

  #join<V>(grid: Grid, members: readonly MapLaunch<V>[], isNeeded: (value: V) => boolean): TracedLaunch<V> {
    const makers = new Map(members.map(({ outputs }, i) => [outputs[0], i]))
    /** Inputs by value and strides: one that is read in two ways is two. */
    const inputs: { readonly value: V; readonly steps: readonly number[] }[] = []
    const inputOf = (value: V, steps: readonly number[]): number => {
      const known = inputs.findIndex((input) => input.value === value && input.steps.every((s, i) => s === steps[i]))
      return known >= 0 ? known : inputs.push({ value, steps }) - 1
    }
    const maps = members.map((launch): FusedMap => {
      const operands = Array.from({ length: launch.kernel.operands }, (_, operand) => {
        const value = launch.parameters[4 * operand] as V
        const map = makers.get(value)
        return map !== undefined ? { map } : { input: inputOf(value, strides(launch, operand, grid)) }
      })
      return { kernel: launch.kernel, operands }
    })
    const outputs = members.flatMap((launch) => launch.outputs).filter(isNeeded)
    const launch = this.#maps.fused(
      maps,
      outputs.map((value) => makers.get(value)!),
    )!
    const names = members.map(({ kernel }) => kernel.name).join(' > ')
    const kernel = defineFused(names, {}, Object.fromEntries(outputs.map((_, i) => [`result${i}`, 'new'])))
    this.#fused.set(kernel, { grid, inputs: inputs.length, launch })
    const constants = members.flatMap(({ kernel, parameters }) => parameters.slice(4 * kernel.operands))
    const operands = inputs.flatMap(({ value, steps }) => [value, ...steps])
    return { kernel, outputs, grid: null, parameters: [...operands, ...constants] }
  }

  /** The tasks of a launch that `fuse` made. */
  tasks(
    kernel: FusedKernel,
    outputs: readonly Place[],
    parameters: readonly (Place | TaskArgument)[],
  ): readonly Task[] | undefined {
    const fused = this.#fused.get(kernel)
    return fused?.launch(outputs, fused.grid, parameters)
  }

  /** Elementwise launches read a cell of an operand that lies as the output does just before they write it. */
  overwritable<V>({ kernel, grid, parameters }: TracedLaunch<V>): V[] {
    const fused = kernel.kind === 'fused' ? this.#fused.get(kernel) : undefined
    const walked = fused?.grid ?? grid
    const operands = kernel.kind === 'map' ? kernel.operands : (fused?.inputs ?? 0)
    return Array.from({ length: operands }, (_, operand) => operand)
      .filter((operand) => operandLayout(walked!, parameters, operand) === 'contiguous')
      .map((operand) => parameters[4 * operand] as V)
  }
}
