/**
 * The device contract.
 *
 * A device is a place where numbers lie and kernels run. It knows buffers, shapes of launches and kernels; it knows
 * nothing of tensors or gradients. Whoever writes a device promises this:
 *
 *  1. `allocate` gives a buffer with unspecified contents; `release` gives it back; nobody else frees memory.
 *  2. `launch` computes every cell of a grid and writes it to `output`, which is never one of the arguments.
 *     Launches take effect in the order in which they were made. A launch may return before it has run.
 *  3. `read` resolves after every earlier launch has taken effect, with a copy that the caller owns.
 *  4. A device in host memory also offers `readNow`; printing and index checks use it. No other device has it.
 *  5. Floats are of one type on a device, `floatType`; int32 is on all.
 *  6. Nothing falls back silently: what a device cannot do, it refuses with the reason.
 *
 * The plain kernels define what a launch means. A tuned kernel may take a launch over on one device, with the same
 * arguments and, up to the stated bound, the same cells.
 */
import type { FusedKernel, Grid, Kernel } from '../../kernels/kernel.ts'
import type { Profile } from './profile.ts'

/** Types of elements. Floats are of one type on a device; int32 is on all. */
export type DType = 'float32' | 'float64' | 'int32'
export type FloatType = 'float32' | 'float64'
/** Elements in host memory, by dtype. */
export type TypedArray = Float32Array | Float64Array | Int32Array

export interface DeviceBuffer {
  readonly dtype: DType
  /** Number of elements. */
  readonly length: number
}

/**
 * The value of one kernel parameter.
 *
 * A cell kernel takes one per parameter. A map kernel takes, per operand, the buffer and its three strides
 * (z, y, x; see `mapCellSource`), then its constants.
 */
export type LaunchArgument = DeviceBuffer | number

/** A launch of a captured program over values `V`: numbers may be computed anew at every replay. */
export interface TracedLaunch<V> {
  readonly kernel: Kernel | FusedKernel
  readonly outputs: readonly V[]
  /** Null for a fused kernel. */
  readonly grid: Grid | null
  readonly parameters: readonly (V | number | (() => number))[]
}

/** A value of a program that has no place yet: one object is one value. Its buffer says how long it is, and of which type. */
export interface UnplacedValue {
  readonly buffer: DeviceBuffer
}

/** A launch over fixed buffers. */
export type RecordedLaunch = TracedLaunch<DeviceBuffer>

/** Launches that were made ready to be repeated. */
export interface Replay {
  /** What was made of them, in a few lines. */
  readonly description?: string
  run(): void
  release(): void
}

export interface DeviceStatistics {
  /** Buffers allocated and not released. */
  readonly buffers: number
  /** Their bytes, as asked for. */
  readonly bytes: number
}

/** A place where numbers lie and kernels run. The head of this file says what a device promises. */
export interface Device {
  /** As `device(name)` and the option `device` give it. */
  readonly name: string
  /** The type of all floats on it. */
  readonly floatType: FloatType
  /** A buffer of `length` elements, contents unspecified. */
  allocate(dtype: DType, length: number): DeviceBuffer
  /** Gives a buffer back; it must not be used any more. */
  release(buffer: DeviceBuffer): void
  /** Copies `data` (exactly `buffer.length` elements) into the buffer, rounding to its type. */
  write(buffer: DeviceBuffer, data: ArrayLike<number>): void
  /** A copy of all elements, after every earlier launch has taken effect. */
  read(buffer: DeviceBuffer): Promise<TypedArray>
  /** The same at once; devices in host memory only. */
  readNow?(buffer: DeviceBuffer): TypedArray
  /** Computes every cell of the grid and writes it to `output`, which is none of the arguments. May return before it ran. */
  launch(kernel: Kernel, output: DeviceBuffer, grid: Grid, parameters: readonly LaunchArgument[]): void
  /** Whether `launchFused` takes this kernel; a device without it runs the composition that the kernel stands for. */
  fuses?(kernel: FusedKernel): boolean
  /** Computes all results of a fused kernel; those marked 'update' are read and written in place. */
  launchFused?(kernel: FusedKernel, outputs: readonly DeviceBuffer[], parameters: readonly LaunchArgument[]): void
  /** Fills `to` with the first elements of `from`, which is of the same type and at least as long. */
  copy(from: DeviceBuffer, to: DeviceBuffer): void
  /** The first `length` elements of a buffer, in its memory: a value of a program in its slot. It is not released. */
  view(buffer: DeviceBuffer, length: number): DeviceBuffer
  /**
   * Makes fewer launches of many, with the same results bit for bit. Values for which `isTemporary` holds are used by
   * these launches only, and may vanish.
   */
  rewrite?<V extends UnplacedValue>(
    launches: readonly TracedLaunch<V>[],
    isTemporary: (value: V) => boolean,
  ): readonly TracedLaunch<V>[]
  /** Which of its operands a launch may write its (only) output over, because it reads each cell before it writes it. */
  overwritable?<V>(launch: TracedLaunch<V>): readonly V[]
  /** Makes launches ready to be repeated, where that is faster than launching them one after another. */
  prepareReplay?: ((launches: readonly RecordedLaunch[]) => Replay) | undefined
  /** Roughly the floating-point operations of a launch, where they are known: for profiles. */
  operations?(
    kernel: Kernel | FusedKernel,
    outputs: readonly DeviceBuffer[],
    grid: Grid,
    parameters: readonly LaunchArgument[],
  ): number
  /** Runs `body` so that all it launches and copies is handed over at once. */
  together?(body: () => void): void
  /** What is allocated at present. */
  statistics(): DeviceStatistics
  /** Makes kernels ready that were declared since the last call; `await device(name)` calls it every time. */
  prepare?(): Promise<void>
  /**
   * How matrix products hold their operands while they multiply, where a device can do both: 'float16' is faster on most
   * GPUs and rounds each operand to 11 bits. 'float32' unless set.
   */
  precision?: 'float32' | 'float16'
  /** Why the device is of no more use, where that can be; undefined while it is sound. `device(name)` opens it afresh. */
  readonly lost?: string | undefined
  /** Where the time went so far, by kernel, of a device that was opened with `{ profile: true }`. */
  profile?(): Promise<Profile>
  /** Gives up everything it holds, for a device that is opened afresh. */
  destroy?(): void
}

export function bytesPerElement(dtype: DType): number {
  return dtype === 'float64' ? 8 : 4
}

/** A typed array of `dtype` over `memory` (elements from byte `offset`), or over memory of its own. */
export function typedArray(dtype: DType, length: number): TypedArray
export function typedArray(dtype: DType, length: number, memory: ArrayBuffer, offset: number): TypedArray
export function typedArray(dtype: DType, length: number, memory?: ArrayBuffer, offset = 0): TypedArray {
  const Type = dtype === 'float32' ? Float32Array : dtype === 'float64' ? Float64Array : Int32Array
  return memory === undefined ? new Type(length) : new Type(memory, offset, length)
}
