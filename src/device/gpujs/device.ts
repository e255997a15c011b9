/**
 * The gpujs device: float32 buffers in host memory, every launch a plain kernel run by gpu.js's own WebAssembly.
 *
 * It is there to be compared with: a kernel that runs here can be translated by gpu.js. It is slow, since gpu.js copies
 * every argument and compiles anew for every size.
 */
import type { Grid, Kernel } from '../../../kernels/kernel.ts'
import { SluiceError } from '../../errors.ts'
import type { DeviceBuffer, DType } from '../device.ts'
import { type HostBuffer, HostDevice, ownBuffer, ownPart, valuesOf } from '../host.ts'
import { buildKernel, type GpujsKernel, type GpujsMode } from './gpujs.ts'
import { loadLibrary } from './library.ts'

/** gpu.js reads every array as float32, which holds integers exactly up to here. */
const LARGEST_INTEGER = 2 ** 24

export class GpujsDevice extends HostDevice {
  readonly name = 'gpujs'
  readonly floatType = 'float32'
  readonly #mode: GpujsMode
  readonly #built = new Map<Kernel, GpujsKernel>()

  private constructor(mode: GpujsMode) {
    super()
    this.#mode = mode
  }

  /** @throws SluiceError when gpu.js is not installed */
  static async open(mode: GpujsMode = 'webasm'): Promise<GpujsDevice> {
    await loadLibrary('gpujs device')
    return new GpujsDevice(mode)
  }

  protected make(dtype: DType, length: number): HostBuffer {
    return ownBuffer(dtype, length)
  }

  protected part(buffer: HostBuffer, length: number): HostBuffer {
    return ownPart(buffer, length)
  }

  /** @throws SluiceError for an int32 beyond 2^24, which gpu.js would round */
  override write(buffer: DeviceBuffer, data: ArrayLike<number>): void {
    if (buffer.dtype === 'int32') {
      const at = Array.prototype.findIndex.call(data, (value: number) => Math.abs(value) > LARGEST_INTEGER)
      if (at >= 0) {
        throw new SluiceError(
          'gpujs device',
          `int32 element ${at} is ${data[at]}; gpu.js holds integers as float32, exact to 2^24 = ${LARGEST_INTEGER}; use another device`,
        )
      }
    }
    super.write(buffer, data)
  }

  protected run(kernel: Kernel, output: HostBuffer, grid: Grid, parameters: readonly (HostBuffer | number)[]): void {
    let built = this.#built.get(kernel)
    if (!built) this.#built.set(kernel, (built = buildKernel(kernel, this.#mode)))
    built(output.values, grid, valuesOf(parameters))
  }
}
