/** A captured run on the cpu device: its launches as tasks, and these as one WebAssembly function that all threads walk. */
import type { Grid, Kernel } from '../../../kernels/kernel.ts'
import { defineProgram, type Step } from '../../../kernels/tuned/wasm/program.ts'
import type { HostCell, Workspace } from '../../../kernels/tuned/wasm/task.ts'
import type { RecordedLaunch, Replay } from '../device.ts'
import type { CpuBuffer, CpuDevice } from './cpu.ts'
import { Pieces } from './room.ts'

type Argument = CpuBuffer | number

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

  const stepsOf = ({ launch, parameters }: Prepared, workspace: Workspace): Step[] => {
    const { kernel, outputs, grid } = launch
    const tasks = device.tasks(kernel, outputs as CpuBuffer[], grid ?? [1, 1, 1], parameters, workspace)
    if (tasks) return tasks.map((task) => ({ task }))
    const output = outputs[0] as CpuBuffer
    const now = () => launch.parameters.map((p) => (typeof p === 'function' ? p() : (p as Argument)))
    return [{ host: () => device.runDirect(kernel as Kernel, output, grid as Grid, now()) }]
  }
  // Launches follow one another, so the room of one serves the next.
  const pieces = new Pieces()
  let bytes = 0
  for (const launch of prepared) {
    stepsOf(launch, pieces.start(0))
    bytes = Math.max(bytes, pieces.bytes)
  }
  const room = device.allocate('float32', Math.max(1, bytes / 4))
  const program = defineProgram(prepared.flatMap((launch) => stepsOf(launch, pieces.start(room.offset))))
  device.library.load(program.module, program.host)
  const run = device.library.get(program.run)

  return {
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
