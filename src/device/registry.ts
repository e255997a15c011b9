/** Which devices there are, and which one is the default. */
import { SluiceError } from '../errors.ts'
import { CpuDevice } from './cpu/cpu.ts'
import type { CpuOptions } from './cpu/options.ts'
import type { Device } from './device.ts'
import { profiledHost } from './profile-output.ts'
import { ReferenceDevice } from './reference/reference.ts'

/** What a device is opened with; of no effect on one that is open already. */
export interface DeviceOptions extends CpuOptions {
  /** Have webgpu time every dispatch, for `await device.profile()`. */
  readonly profile?: boolean
}

/** Devices that are ready, by name. Host devices cost nothing until used, so they are made at once. */
const ready = new Map<string, Device>()
/** Devices that must be readied, by name. Their code is loaded when they are asked for, and not before. */
const makers = new Map<string, (options: DeviceOptions) => Promise<Device>>([
  ['gpujs', async () => (await import('./gpujs/device.ts')).GpujsDevice.open()],
  ['webgpu', async (options) => (await import('./webgpu/device.ts')).WebGpuDevice.open(options)],
])

/** Devices that are being readied, so that two who ask at once get the same one. */
const pending = new Map<string, Promise<Device>>()

let cpu: CpuDevice | undefined
let reference: ReferenceDevice | undefined
let defaultName = 'cpu'

/** The device of that name, which must be ready. */
export function findDevice(name: string, options: DeviceOptions = {}): Device {
  if (name === 'cpu') return (cpu ??= profiledHost(new CpuDevice(options)))
  if (name === 'reference') return (reference ??= profiledHost(new ReferenceDevice()))
  const device = ready.get(name)
  if (device) return device
  if (makers.has(name)) {
    throw new SluiceError(
      'device',
      `'${name}' is not ready; call await device('${name}') or await setDevice('${name}') first`,
    )
  }
  throw unknownDevice(name)
}

function unknownDevice(name: string): SluiceError {
  return new SluiceError('device', `there is no device '${name}'; there are ${deviceNames().join(', ')} and auto`)
}

/** Names of all devices, ready or not. */
export function deviceNames(): string[] {
  return ['reference', 'cpu', ...makers.keys()]
}

/** Adds a device that `device(name)` readies when it is first asked for. */
export function registerDevice(name: string, make: (options: DeviceOptions) => Promise<Device>): void {
  makers.set(name, make)
}

/**
 * Picks a device and readies it.
 *
 * @param name 'reference' (float64, plain kernels), 'cpu' (float32), 'webgpu' (float32, on whatever adapter answers),
 *   'gpujs' (plain kernels through gpu.js, for tests), or 'auto': webgpu if a hardware adapter answers, else cpu
 * @returns the device; its `name` says which one 'auto' took
 * @throws SluiceError for a name that does not exist, and for webgpu where no adapter answers
 *
 * @example
 * (await device('auto')).name // 'webgpu', or 'cpu' where no GPU answers
 *
 * @example
 * await device('cpu', { threads: 2 }) // before anything else used it
 */
export async function device(name: string = 'auto', options: DeviceOptions = {}): Promise<Device> {
  if (name === 'auto') {
    const { hardwareAnswers } = await import('./webgpu/adapter.ts')
    return device((await hardwareAnswers()) ? 'webgpu' : 'cpu', options)
  }
  const make = makers.get(name)
  const before = ready.get(name)
  if (before?.lost !== undefined) {
    ready.delete(name)
    before.destroy?.()
  }
  if (!ready.has(name) && make) {
    let making = pending.get(name)
    if (!making) pending.set(name, (making = make(options).finally(() => pending.delete(name))))
    ready.set(name, await making)
  }
  const found = findDevice(name, options)
  await found.prepare?.()
  return found
}

/** Makes a device the default for new tensors, and readies it. */
export async function setDevice(name: string): Promise<Device> {
  const chosen = await device(name)
  defaultName = chosen.name
  return chosen
}

/** The device that tensors are made on unless told otherwise: cpu, or what `setDevice` took. */
export function defaultDevice(): Device {
  return findDevice(defaultName)
}
