/**
 * A device buffer with a count of the tensors that share it; the last one to go frees it.
 *
 * The result of a captured program begins as a loan of the program's own memory. The program writes there when it runs
 * again, so before that what still lives takes a buffer of its own (`own`), and what is gone by then was never copied.
 */
import type { Device, DeviceBuffer } from '../device/device.ts'

export class Storage {
  readonly device: Device
  #buffer: DeviceBuffer
  #isLent: boolean
  #references = 1
  /** Whether a tensor that held it was given another one: it is no longer that tensor's value. */
  isSuperseded = false

  constructor(device: Device, buffer: DeviceBuffer, isLent = false) {
    this.device = device
    this.#buffer = buffer
    this.#isLent = isLent
  }

  get buffer(): DeviceBuffer {
    return this.#buffer
  }

  /** Copies what was lent into a buffer of its own, unless nobody needs it any more. */
  own(): void {
    if (!this.#isLent || this.isFree) return
    const { dtype, length } = this.#buffer
    const own = this.device.allocate(dtype, length)
    this.device.copy(this.#buffer, own)
    this.#buffer = own
    this.#isLent = false
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
    if (--this.#references === 0 && !this.#isLent) this.device.release(this.#buffer)
  }
}
