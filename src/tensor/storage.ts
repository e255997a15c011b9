/** A device buffer with a count of the tensors that share it; the last one to go frees it. */
import type { Device, DeviceBuffer } from '../device/device.ts'

export class Storage {
  readonly device: Device
  readonly buffer: DeviceBuffer
  #references = 1

  constructor(device: Device, buffer: DeviceBuffer) {
    this.device = device
    this.buffer = buffer
  }

  retain(): this {
    this.#references++
    return this
  }

  release(): void {
    if (--this.#references === 0) this.device.release(this.buffer)
  }
}
