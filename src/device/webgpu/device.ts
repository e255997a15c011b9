/**
 * The webgpu device: float32 buffers on a GPU, and every launch a dispatch in a command encoder of our own.
 *
 * A launch runs the tuned programs of its kernel where there are some (`tuned.ts`), else the plain kernel's translation
 * (`plain.ts`). int32 tensors are held as float32 values, as gpu.js's kernels read them: exact up to 2^24, and refused
 * beyond.
 */
import type { FusedKernel, Grid, Kernel } from '../../../kernels/kernel.ts'
import type { Encoder, Program, Workgroups } from '../../../kernels/tuned/wgsl/program.ts'
import { DeviceFault, SluiceError } from '../../errors.ts'
import {
  bytesPerElement,
  type Device,
  type DeviceBuffer,
  type DType,
  type LaunchArgument,
  type RecordedLaunch,
  type Replay,
  type TypedArray,
} from '../device.ts'
import type { Profile } from '../profile.ts'
import { isProfiling, writeAtEnd } from '../profile-output.ts'
import { type AdapterDescription, openDevice } from './adapter.ts'
import { GpuBuffer } from './buffer.ts'
import { Commands, type Dispatch } from './commands.ts'
import { Faults } from './faults.ts'
import { PlainKernels } from './plain.ts'
import { type Block, Pool } from './pool.ts'
import { Profiler } from './profiler.ts'
import { GpuReplay } from './replay.ts'
import { Staging } from './staging.ts'
import { fusedKernels, tunedKernels } from './tuned.ts'

/** float32 holds integers exactly up to here. */
const LARGEST_INTEGER = 2 ** 24

export interface WebGpuOptions {
  /** Time every dispatch, for `profile()`; `SLUICE_PROFILE=1` does it in Node, and prints the profile at the end. */
  readonly profile?: boolean
}

export class WebGpuDevice implements Device, Encoder<GpuBuffer> {
  readonly name = 'webgpu'
  readonly floatType = 'float32'
  readonly adapter: AdapterDescription
  readonly gpu: GPUDevice
  readonly profiler: Profiler | undefined
  readonly features: ReadonlySet<string>
  readonly storageBuffers: number
  readonly commands: Commands
  readonly pool: Pool
  readonly #faults = new Faults()
  readonly #staging: Staging
  readonly #plain: PlainKernels
  readonly #scratch: GpuBuffer[] = []
  /** The launch that is being encoded. */
  #label = ''
  /** Takes the dispatches of a launch that is made ready for replays, instead of the encoder. */
  #collect: ((dispatch: Dispatch) => void) | undefined
  #collectScratch: ((length: number) => GpuBuffer) | undefined
  #precision: 'float32' | 'float16' = 'float32'
  #buffers = 0
  #bytes = 0

  /** Opens the adapter that answers. @throws SluiceError that says what was tried, when none does */
  static async open(options: WebGpuOptions = {}): Promise<WebGpuDevice> {
    const profile = options.profile ?? isProfiling()
    const { device, description } = await openDevice({ isTimed: profile })
    const opened = new WebGpuDevice(device, description, { ...options, profile })
    await opened.prepare()
    if (isProfiling()) writeAtEnd(() => opened.profile())
    return opened
  }

  constructor(gpu: GPUDevice, adapter: AdapterDescription, options: WebGpuOptions = {}) {
    this.gpu = gpu
    this.adapter = adapter
    this.features = gpu.features
    this.storageBuffers = gpu.limits.maxStorageBuffersPerShaderStage
    this.profiler = options.profile ? new Profiler(gpu) : undefined
    this.commands = new Commands(gpu, this.#faults, this.profiler)
    this.pool = new Pool(gpu, this.#faults, () => {
      this.commands.flush()
      this.commands.pipelines.forgetBindGroups()
    })
    this.#staging = new Staging(gpu)
    this.#plain = new PlainKernels()
    gpu.onuncapturederror = ({ error }) => {
      this.#faults.report(error.message)
    }
    void gpu.lost.then(({ reason, message }) => {
      const why = reason === 'destroyed' ? 'it was destroyed' : message || String(reason)
      this.#faults.lose(`the GPU is lost: ${why}; its tensors are gone, await device('webgpu') opens it again`)
    })
  }

  get precision(): 'float32' | 'float16' {
    return this.#precision
  }

  /** @throws SluiceError for float16 on an adapter without the feature shader-f16 */
  set precision(value: 'float32' | 'float16') {
    if (value === 'float16' && !this.features.has('shader-f16')) {
      throw new SluiceError('webgpu device', 'this adapter has no float16 (shader-f16); products stay in float32')
    }
    this.#precision = value
  }

  /** Why the device is of no more use: lost, or a fault that spoiled what it holds; undefined while it is sound. */
  get lost(): string | undefined {
    return this.#faults.reason
  }

  /** Loads the translator when kernels were defined that have no translation yet. */
  async prepare(): Promise<void> {
    await this.#plain.prepare()
  }

  allocate(dtype: DType, length: number): GpuBuffer {
    this.#needHere()
    if (dtype === 'float64') {
      throw new SluiceError('webgpu device', 'it holds float32 and int32, not float64; use the reference device')
    }
    const buffer = new GpuBuffer(dtype, length, this.pool.take(4 * length))
    this.#buffers++
    this.#bytes += length * bytesPerElement(dtype)
    return buffer
  }

  release(buffer: DeviceBuffer): void {
    this.pool.give((buffer as GpuBuffer).block)
    this.#buffers--
    this.#bytes -= buffer.length * bytesPerElement(buffer.dtype)
  }

  /** @throws SluiceError for an int32 beyond 2^24 */
  write(target: DeviceBuffer, data: ArrayLike<number>): void {
    this.#needHere()
    if (data.length === 0) return
    const buffer = target as GpuBuffer
    if (buffer.dtype === 'int32') needExactIntegers(data)
    if (buffer.block.lastBatch === this.commands.batch) {
      const idle = this.pool.takeIdle(buffer.block.bytes, this.commands.batch)
      this.pool.give(buffer.block)
      buffer.block = idle
    }
    const values = data instanceof Float32Array ? data : Float32Array.from(data)
    this.gpu.queue.writeBuffer(buffer.block.gpu, 0, values.buffer, values.byteOffset, values.byteLength)
  }

  async read(buffer: DeviceBuffer): Promise<TypedArray> {
    this.#needHere()
    const { block, length, dtype } = buffer as GpuBuffer
    let values = new Float32Array(length)
    if (length > 0) {
      try {
        values = await this.#staging.read(this.commands, block, length)
      } catch (error) {
        await this.#explain(error)
      }
    }
    await this.#faults.settled()
    return dtype === 'int32' ? Int32Array.from(values) : values
  }

  copy(from: DeviceBuffer, to: DeviceBuffer): void {
    this.#needHere()
    if (to.length > 0) this.commands.copy((from as GpuBuffer).block, (to as GpuBuffer).block, 4 * to.length)
  }

  view(buffer: DeviceBuffer, length: number): GpuBuffer {
    return new GpuBuffer(buffer.dtype, length, (buffer as GpuBuffer).block)
  }

  launch(kernel: Kernel, target: DeviceBuffer, grid: Grid, given: readonly LaunchArgument[]): void {
    this.#needHere()
    const output = target as GpuBuffer
    const parameters = given as readonly (GpuBuffer | number)[]
    if (output.dtype === 'int32') needExactPlaces(kernel, parameters)
    this.#encode(kernel.name, () => {
      const tuned = tunedKernels.get(kernel)
      if (tuned) tuned<GpuBuffer>(this, output, grid, parameters)
      else this.#plain.launch(this, kernel, output, grid, parameters)
    })
  }

  fuses(kernel: FusedKernel): boolean {
    return fusedKernels.has(kernel)
  }

  launchFused(kernel: FusedKernel, outputs: readonly DeviceBuffer[], given: readonly LaunchArgument[]): void {
    this.#needHere()
    const launcher = fusedKernels.get(kernel)
    if (!launcher) throw new SluiceError('webgpu device', `there is no fused kernel ${kernel.name}; ask fuses first`)
    this.#encode(kernel.name, () => {
      launcher<GpuBuffer>(this, outputs as readonly GpuBuffer[], given as readonly (GpuBuffer | number)[])
    })
  }

  // What launchers write to

  dispatch(
    program: Program,
    buffers: Readonly<Record<string, GpuBuffer>>,
    parameters: Readonly<Record<string, number>>,
    workgroups: Workgroups,
  ): void {
    const blocks: Block[] = []
    for (const name of this.commands.pipelines.get(program).buffers) {
      const buffer = buffers[name]
      if (!buffer) throw new SluiceError('webgpu device', `kernel ${program.name}: no buffer for ${name}`)
      blocks.push(buffer.block)
    }
    const dispatch: Dispatch = { program, blocks, parameters, workgroups, label: this.#label }
    if (this.#collect) this.#collect(dispatch)
    else this.commands.dispatch(dispatch)
  }

  scratch(length: number): GpuBuffer {
    if (this.#collectScratch) return this.#collectScratch(length)
    const buffer = new GpuBuffer('float32', length, this.pool.take(4 * length))
    this.#scratch.push(buffer)
    return buffer
  }

  // Replays

  prepareReplay(launches: readonly RecordedLaunch[]): Replay {
    return new GpuReplay(this, this.commands, launches)
  }

  together(body: () => void): void {
    this.#needHere()
    this.commands.together(body)
  }

  /**
   * The dispatches of a launch, without running them.
   *
   * @param scratch where scratch buffers come from: they must outlive the launch, since the dispatches are repeated
   */
  collect(body: () => void, scratch: (length: number) => GpuBuffer): Dispatch[] {
    const found: Dispatch[] = []
    this.#collect = (dispatch) => found.push(dispatch)
    this.#collectScratch = scratch
    try {
      body()
    } finally {
      this.#collect = undefined
      this.#collectScratch = undefined
    }
    return found
  }

  // The rest of the contract

  statistics() {
    return { buffers: this.#buffers, bytes: this.#bytes }
  }

  /** Waits until everything launched so far has run. @throws SluiceError for what went wrong in it */
  async finish(): Promise<void> {
    this.#needHere()
    this.commands.flush()
    await this.gpu.queue.onSubmittedWorkDone().catch((error: unknown) => this.#explain(error))
    await this.#faults.settled()
  }

  /**
   * Where the time went, by kernel, of everything run so far.
   *
   * @throws SluiceError unless the device was opened with `profile`, or under `SLUICE_PROFILE=1`
   */
  async profile(): Promise<Profile> {
    if (!this.profiler) {
      throw new SluiceError('webgpu device', 'it does not profile; open it with { profile: true } or SLUICE_PROFILE=1')
    }
    this.commands.flush()
    return this.profiler.profile()
  }

  /** Gives the GPU back. Tensors on it are gone. */
  destroy(): void {
    this.gpu.destroy()
  }

  #encode(label: string, body: () => void): void {
    this.#label = label
    try {
      body()
    } finally {
      for (const { block } of this.#scratch) this.pool.give(block)
      this.#scratch.length = 0
    }
  }

  #needHere(): void {
    this.#faults.throwIfAny()
  }

  /** A read that failed: throws the reason. */
  async #explain(error: unknown): Promise<never> {
    // The promise of the loss and the read's own rejection may come in either order.
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<void>((done) => (timer = setTimeout(done, 1000)))
    await Promise.race([this.gpu.lost, late])
    clearTimeout(timer)
    await this.#faults.settled()
    throw new DeviceFault(
      'webgpu device',
      `a read failed: ${error instanceof Error ? error.message || error.name : String(error)}`,
    )
  }
}

function needExactIntegers(data: ArrayLike<number>): void {
  for (let i = 0; i < data.length; i++) {
    if (Math.abs(data[i]) > LARGEST_INTEGER) {
      throw new SluiceError(
        'webgpu device',
        `int32 element ${i} is ${data[i]}; integers are held as float32, exact to 2^24 = ${LARGEST_INTEGER}; use the cpu device`,
      )
    }
  }
}

/** A kernel that gives places, such as argmax, counts in float32: its sizes must be ones that float32 can count. */
function needExactPlaces(kernel: Kernel, parameters: readonly (GpuBuffer | number)[]): void {
  const large = parameters.find((p) => typeof p === 'number' && p > LARGEST_INTEGER)
  if (large === undefined) return
  throw new SluiceError(
    'webgpu device',
    `${kernel.name} over ${String(large)} places: float32 counts to 2^24 = ${LARGEST_INTEGER}; use the cpu device`,
  )
}
