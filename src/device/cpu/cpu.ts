/**
 * The cpu device: float32 buffers in one WebAssembly memory, which its threads share. A launch runs a tuned kernel where
 * there is one (`tuned.ts`), and the plain kernel's own loop where there is none.
 */
import type { FusedKernel, Grid, Kernel } from '../../../kernels/kernel.ts'
import { MapLaunchers } from '../../../kernels/tuned/wasm/elementwise/launch.ts'
import {
  type HostCell,
  type Launcher,
  noGrid,
  type Place,
  type Task,
  type Workspace,
} from '../../../kernels/tuned/wasm/task.ts'
import {
  bytesPerElement,
  type DeviceBuffer,
  type DType,
  type LaunchArgument,
  type RecordedLaunch,
  type Replay,
  type TracedLaunch,
  type TypedArray,
  typedArray,
  type UnplacedValue,
} from '../device.ts'
import { type HostBuffer, HostDevice, valuesOf } from '../host.ts'
import { runPlain } from '../plain.ts'
import { Arena } from './arena.ts'
import { MapFusion } from './fusion.ts'
import { Library } from './library.ts'
import type { CpuOptions } from './options.ts'
import { Pool } from './pool.ts'
import { replay } from './replay.ts'
import { Pieces, Room } from './room.ts'
import { type CpuSettings, cpuSettings } from './settings.ts'
import { foldSums } from './sums.ts'
import { tunedKernels } from './tuned.ts'
import { controlBytes } from './worker.ts'

export class CpuBuffer implements HostBuffer, Place {
  readonly dtype: DType
  readonly length: number
  /** Byte offset in the arena's memory. */
  readonly offset: number
  readonly #memory: WebAssembly.Memory
  #view: TypedArray | undefined

  constructor(dtype: DType, length: number, offset: number, memory: WebAssembly.Memory) {
    this.dtype = dtype
    this.length = length
    this.offset = offset
    this.#memory = memory
  }

  /** The elements. Do not keep it: growing the memory detaches it. */
  get values(): TypedArray {
    if (this.#view?.buffer !== this.#memory.buffer) {
      this.#view = typedArray(this.dtype, this.length, this.#memory.buffer, this.offset)
    }
    return this.#view
  }
}

export type CpuArgument = CpuBuffer | number | HostCell

/** Integers beyond 2^24 are no float32: their maps run in float64. */
const isInteger = (x: CpuArgument): boolean => x instanceof CpuBuffer && x.dtype === 'int32'

export class CpuDevice extends HostDevice<CpuBuffer> {
  readonly name = 'cpu'
  readonly floatType = 'float32'
  readonly settings: CpuSettings
  readonly arena: Arena
  readonly library: Library
  readonly pool: Pool
  readonly #room: Room
  readonly #tuned: ReadonlyMap<Kernel | FusedKernel, Launcher>
  readonly #maps: MapLaunchers
  readonly #fusion: MapFusion

  /** @throws SluiceError for options that this machine cannot meet */
  constructor(options: CpuOptions = {}) {
    super()
    this.settings = cpuSettings(options)
    const { threads, features } = this.settings
    this.arena = new Arena(threads > 1)
    const { memory, maximumPages } = this.arena
    this.library = new Library(memory, maximumPages)
    this.#room = new Room(this.arena)
    this.pool = new Pool(memory, this.arena.take(controlBytes), threads, this.library, this.#room.scratch)
    this.#tuned = tunedKernels(features)
    this.#maps = new MapLaunchers(features)
    this.#fusion = new MapFusion(this.#maps)
  }

  /** Gives up the worker threads; the device is of no more use. */
  destroy(): void {
    this.pool.stop()
  }

  protected make(dtype: DType, length: number): CpuBuffer {
    return new CpuBuffer(dtype, length, this.arena.take(length * bytesPerElement(dtype)), this.arena.memory)
  }

  protected part({ dtype, offset }: CpuBuffer, length: number): CpuBuffer {
    return new CpuBuffer(dtype, length, offset, this.arena.memory)
  }

  protected override free(buffer: CpuBuffer): void {
    this.arena.give(buffer.offset, buffer.length * bytesPerElement(buffer.dtype))
  }

  protected run(kernel: Kernel, output: CpuBuffer, grid: Grid, parameters: readonly (CpuBuffer | number)[]): void {
    if (!this.#runTasks(kernel, [output], grid, parameters)) this.runPlain(kernel, output, grid, parameters)
  }

  /** Runs a kernel that has no tasks, on this thread. */
  runPlain(kernel: Kernel, output: CpuBuffer, grid: Grid, parameters: readonly (CpuBuffer | number)[]): void {
    runPlain(kernel, output.values, grid, valuesOf(parameters))
  }

  fuses(kernel: FusedKernel): boolean {
    return this.#tuned.has(kernel)
  }

  launchFused(kernel: FusedKernel, outputs: readonly CpuBuffer[], parameters: readonly LaunchArgument[]): void {
    this.#runTasks(kernel, outputs, noGrid, parameters as readonly (CpuBuffer | number)[])
  }

  /** The tasks of a launch; undefined where it has none, and JavaScript runs it. */
  tasks(
    kernel: Kernel | FusedKernel,
    outputs: readonly CpuBuffer[],
    grid: Grid,
    parameters: readonly CpuArgument[],
    workspace: Workspace,
  ): readonly Task[] | undefined {
    const launcher = this.#tuned.get(kernel)
    if (launcher) return launcher(outputs, grid, parameters, workspace)
    if (kernel.kind === 'fused') return this.#fusion.tasks(kernel, outputs, parameters)
    if (kernel.kind !== 'map' || outputs.some(isInteger) || parameters.some(isInteger)) return undefined
    return this.#maps.of(kernel)?.(outputs, grid, parameters)
  }

  /** @returns false where the launch has no tasks */
  #runTasks(
    kernel: Kernel | FusedKernel,
    outputs: readonly CpuBuffer[],
    grid: Grid,
    parameters: readonly (CpuBuffer | number)[],
  ): boolean {
    const tasks = this.#room.tasks((workspace) => this.tasks(kernel, outputs, grid, parameters, workspace))
    if (!tasks) return false
    for (const task of tasks) this.pool.run(task)
    return true
  }

  operations(
    kernel: Kernel | FusedKernel,
    outputs: readonly DeviceBuffer[],
    grid: Grid,
    parameters: readonly LaunchArgument[],
  ): number {
    const given = parameters as readonly (CpuBuffer | number)[]
    const tasks = this.tasks(kernel, outputs as CpuBuffer[], grid, given, new Pieces().start(0))
    return tasks?.reduce((sum, { cost }) => sum + cost, 0) ?? 0
  }

  rewrite<V extends UnplacedValue>(launches: readonly TracedLaunch<V>[], isTemporary: (value: V) => boolean) {
    return this.#fusion.fuse(foldSums(launches, isTemporary), isTemporary)
  }

  overwritable<V>(launch: TracedLaunch<V>): readonly V[] {
    return this.#fusion.overwritable(launch)
  }

  prepareReplay: ((launches: readonly RecordedLaunch[]) => Replay) | undefined = (launches) => replay(this, launches)
}
