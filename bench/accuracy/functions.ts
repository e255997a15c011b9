/** Every elementwise function on a device, over float32. */

import { type Accuracy, accuracy, float32Inputs, oneArgument, twoArguments } from '../../src/check/index.ts'
import type { Device } from '../../src/device/device.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'

/** @param stride every stride-th pattern of bits is looked at; odd, so that every mantissa comes */
export async function measureFunctions(device: string, stride: number): Promise<Accuracy[]> {
  const found: Accuracy[] = []
  for (const name of [...oneArgument, ...twoArguments]) {
    found.push(await accuracy(name, device, float32Inputs(name, stride)))
  }
  return found
}

/** What computes: the adapter with its driver, or vectors. Another text may mean other errors. */
export function describeDevice(device: Device): string {
  if (device.name !== 'webgpu') return `SIMD WebAssembly, ${process.env.SLUICE_SIMD}`
  const { name, driver } = (device as WebGpuDevice).adapter
  return [name, driver].filter((text, i, all) => text && all.indexOf(text) === i).join(', ')
}
