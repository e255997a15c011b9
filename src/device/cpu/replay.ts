/** A captured run on the cpu device: its launches as tasks, and these as one WebAssembly function that all threads walk. */
import type { Grid, Kernel } from '../../../kernels/kernel.ts'
import { defineProgram, type Extent, type Step } from '../../../kernels/tuned/wasm/program.ts'
import { type HostCell, noGrid } from '../../../kernels/tuned/wasm/task.ts'
import type { RecordedLaunch, Replay } from '../device.ts'
import type { CpuBuffer, CpuDevice } from './cpu.ts'
import { Pieces } from './room.ts'

type Argument = CpuBuffer | number

const extent = ({ offset, length }: CpuBuffer): Extent => [offset, offset + 4 * length]

/** A launch whose numbers that change are cells in memory, filled before every run. */
interface Prepared {
  readonly launch: RecordedLaunch
  readonly parameters: readonly (Argument | HostCell)[]
}

export function replay(device: CpuDevice, launches: readonly RecordedLaunch[]): Replay {
  const changing = launches.flatMap(({ parameters }) => parameters.filter((p) => typeof p === 'function'))
  const cells = device.allocate('float32', Math.max(1, changing.length))
  let used = 0
  const prepared = launches.map((launch): Prepared => {
    const cell = (): HostCell => ({ cell: cells.offset + 4 * used++ })
    return { launch, parameters: launch.parameters.map((p) => (typeof p === 'function' ? cell() : (p as Argument))) }
  })

  /** Names of kernels that have no tasks, by the places of their launches. */
  const inJavaScript = new Map<number, string>()
  const stepsOf = ({ launch, parameters }: Prepared, workspace: Pieces, place: number): Step[] => {
    const { kernel, outputs, grid } = launch
    const reads = parameters.filter((p): p is CpuBuffer => typeof p === 'object' && 'offset' in p).map(extent)
    const writes = (outputs as CpuBuffer[]).map(extent)
    const tasks = device.tasks(kernel, outputs as CpuBuffer[], grid ?? noGrid, parameters, workspace)
    if (tasks) {
      const inside = workspace.bytes > 0 ? [...writes, workspace.extent] : writes
      return tasks.map((task) => ({ does: { task }, reads, writes: inside, launch: place }))
    }
    inJavaScript.set(place, kernel.name)
    const output = outputs[0] as CpuBuffer
    const now = () => launch.parameters.map((p) => (typeof p === 'function' ? p() : (p as Argument)))
    const host = () => device.runPlain(kernel as Kernel, output, grid as Grid, now())
    return [{ does: { host }, reads, writes, launch: place }]
  }
  // Launches follow one another, so the room of one serves the next.
  const pieces = new Pieces()
  let bytes = 0
  prepared.forEach((launch, place) => {
    stepsOf(launch, pieces.start(0), place)
    bytes = Math.max(bytes, pieces.bytes)
  })
  const room = device.allocate('float32', Math.max(1, bytes / 4))
  const program = defineProgram(prepared.flatMap((launch, place) => stepsOf(launch, pieces.start(room.offset), place)))
  device.library.load(program.module, program.host)
  const run = device.library.get(program.run)

  const { steps, meetings } = program
  const plain = [...new Set(inJavaScript.values())].join(', ') || 'none'
  return {
    description: [
      `one WebAssembly function of ${steps} tasks; threads meet ${meetings} times`,
      `launches that run as JavaScript: ${inJavaScript.size} (${plain})`,
    ].join('\n'),
    run() {
      changing.forEach((value, i) => {
        cells.values[i] = value()
      })
      device.pool.runProgram(run, program.scratch)
    },
    release() {
      device.release(cells)
      device.release(room)
      device.library.unload(program.module)
    },
  }
}
