/** Initial values of parameters. */
import { full, tensor } from '../tensor/create.ts'
import { defaultGenerator } from '../tensor/random.ts'
import { type Shape, sizeOf } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** Where a module's parameters lie. */
export interface DeviceOption {
  /** Name of a device; the default device unless given. */
  readonly device?: string
}

/** A parameter from N(0, std^2). It is scaled on the host, so that the same seed gives the same bits on every device. */
export function normalParameter(shape: Shape, std: number, { device }: DeviceOption): Tensor {
  const values = defaultGenerator.normal(sizeOf(shape))
  for (let i = 0; i < values.length; i++) values[i] *= std
  return tensor(values, { shape, device, requiresGrad: true })
}

/** A parameter of one value everywhere. */
export function constantParameter(shape: Shape, value: number, { device }: DeviceOption): Tensor {
  return full(shape, value, { device, requiresGrad: true })
}
