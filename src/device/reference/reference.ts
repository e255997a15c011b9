/**
 * The reference device: plain kernels run directly in float64. It is the oracle of every gradient check, and is meant to
 * be read, not to be fast.
 */
import type { Grid, Kernel } from '../../../kernels/kernel.ts'
import type { DType } from '../device.ts'
import { type HostBuffer, HostDevice, ownBuffer, ownPart, valuesOf } from '../host.ts'
import { runPlain } from '../plain.ts'

export class ReferenceDevice extends HostDevice {
  readonly name = 'reference'
  readonly floatType = 'float64'

  protected make(dtype: DType, length: number): HostBuffer {
    return ownBuffer(dtype, length)
  }

  protected part(buffer: HostBuffer, length: number): HostBuffer {
    return ownPart(buffer, length)
  }

  protected run(kernel: Kernel, output: HostBuffer, grid: Grid, parameters: readonly (HostBuffer | number)[]): void {
    runPlain(kernel, output.values, grid, valuesOf(parameters))
  }
}
