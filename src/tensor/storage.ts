/** A device buffer with a count of the tensors that share it; the last one to go frees it. */
import type { Device, DeviceBuffer } from '../device/device.ts'

export class Storage {
  readonly device: Device
  readonly buffer: DeviceBuffer
  #references = 1
  /** Whether a tensor that held it was given another one: it is no longer that tensor's value. */
  isSuperseded = false

  constructor(device: Device, buffer: DeviceBuffer) {
    this.device = device
    this.buffer = buffer
  }

  /** Whether its buffer was freed. */
  get isFree(): boolean {
    return this.#references === 0
  }

  /** Whether more than one tensor holds it: then it must not be written in place. */
  get isShared(): boolean {
    return this.#references > 1
  }

  retain(): this {
    this.#references++
    return this
  }

  release(): void {
    if (--this.#references === 0) this.device.release(this.buffer)
  }
}
