/**
 * Which elementwise launches of a captured program can be one: those that walk the same cells and hand values to each
 * other, or read the same ones. Values that only they use are then never written.
 */
import { type Grid, type MapKernel, operandLayout } from '../../../kernels/kernel.ts'
import type { TracedLaunch, UnplacedValue } from '../device.ts'
import { type IsTemporary, Uses, valuesRead } from './uses.ts'

/** Launches of a group at most: beyond, its numbers no longer fit the registers. */
const MOST_MEMBERS = 12

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

function isMap<V extends UnplacedValue>(launch: TracedLaunch<V>): launch is MapLaunch<V> {
  const values = [...launch.outputs, ...valuesRead(launch)]
  return launch.kernel.kind === 'map' && values.every(({ buffer }) => buffer.dtype === 'float32')
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
export function groupMaps<V extends UnplacedValue>(launches: readonly TracedLaunch<V>[]): Group<V>[] {
  const uses = new Uses(launches)
  const groups: Group<V>[] = []
  launches.forEach((launch, at) => {
    if (!isMap(launch)) return
    const grid: Grid = needsGrid(launch) ? launch.grid : [cells(launch.grid), 1, 1]
    const read = valuesRead(launch)
    const canJoin = (group: Group<V>): boolean => {
      const isRelated = read.some((value) => group.made.has(value) || group.read.has(value))
      if (!isRelated || group.members.length >= MOST_MEMBERS || !commonGrid(group.grid, grid)) return false
      const [first] = group.members
      const members = new Set(group.members)
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

/** The members' results that others need. */
export function resultsOf<V>(group: Group<V>, uses: Uses<V>, isTemporary: IsTemporary<V>): V[] {
  const members = new Set(group.members)
  return [...group.made].filter(
    (value) => !isTemporary(value) || uses.readers.get(value)?.some((reader) => !members.has(reader)),
  )
}
