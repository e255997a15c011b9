/**
 * The cpu device: float32 buffers in one WebAssembly memory, which its threads share. A launch runs a tuned kernel where
 * there is one (`tuned.ts`), and the plain kernel's own loop where there is none.
 */
import type { FusedKernel, Grid, Kernel } from '../../../kernels/kernel.ts'
import type { Launcher, Place } from '../../../kernels/tuned/wasm/task.ts'
import {
  bytesPerElement,
  type DType,
  type LaunchArgument,
  type RecordedLaunch,
  type Replay,
  type TypedArray,
  typedArray,
} from '../device.ts'
import { type HostBuffer, HostDevice, valuesOf } from '../host.ts'
import { runPlain } from '../plain.ts'
import { Arena } from './arena.ts'
import { type DirectKernel, directKernels } from './direct.ts'
import { Library } from './library.ts'
import { Pool } from './pool.ts'
import { replay } from './replay.ts'
import { Room } from './room.ts'
import { type CpuOptions, type CpuSettings, cpuSettings } from './settings.ts'
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

export class CpuDevice extends HostDevice<CpuBuffer> {
  readonly name = 'cpu'
  readonly floatType = 'float32'
  readonly settings: CpuSettings
  readonly arena: Arena
  readonly library: Library
  readonly pool: Pool
  readonly #room: Room
  readonly #direct: ReadonlyMap<Kernel, DirectKernel>
  readonly #tuned: ReadonlyMap<Kernel | FusedKernel, Launcher>

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
    this.#direct = directKernels()
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
    const launcher = this.#tuned.get(kernel)
    if (launcher) {
      const tasks = this.#room.tasks((workspace) => launcher([output], grid, parameters, workspace))
      for (const task of tasks) this.pool.run(task)
    } else {
      this.runDirect(kernel, output, grid, parameters)
    }
  }

  /** Runs a kernel that has no tasks, on this thread. */
  runDirect(kernel: Kernel, output: CpuBuffer, grid: Grid, parameters: readonly (CpuBuffer | number)[]): void {
    const direct = this.#direct.get(kernel)
    if (direct) direct(output, grid, parameters)
    else runPlain(kernel, output.values, grid, valuesOf(parameters))
  }

  fuses(kernel: FusedKernel): boolean {
    return this.#tuned.get(kernel) !== undefined
  }

  launchFused(kernel: FusedKernel, outputs: readonly CpuBuffer[], parameters: readonly LaunchArgument[]): void {
    const launcher = this.#tuned.get(kernel)!
    const given = parameters as readonly (CpuBuffer | number)[]
    const tasks = this.#room.tasks((workspace) => launcher(outputs, [1, 1, 1], given, workspace))
    for (const task of tasks) this.pool.run(task)
  }

  /** The tasks of a launch, for a program; undefined where a kernel has none, and JavaScript runs it. */
  tuned(kernel: Kernel | FusedKernel): Launcher | undefined {
    return this.#tuned.get(kernel)
  }

  prepareReplay(launches: readonly RecordedLaunch[]): Replay {
    return replay(this, launches)
  }
}
