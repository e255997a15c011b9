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

let isDrawing = true

/**
 * Runs `body`, in which parameters that would be drawn are 0 and no random number is used up: for whoever makes a module to
 * load other values into it.
 */
export function withoutDrawing<R>(body: () => R): R {
  const before = isDrawing
  isDrawing = false
  try {
    return body()
  } finally {
    isDrawing = before
  }
}

/** A parameter from N(0, std^2). It is scaled on the host, so that the same seed gives the same bits on every device. */
export function normalParameter(shape: Shape, std: number, { device }: DeviceOption): Tensor {
  if (!isDrawing) return constantParameter(shape, 0, { device })
  const values = defaultGenerator.normal(sizeOf(shape))
  for (let i = 0; i < values.length; i++) values[i] *= std
  return tensor(values, { shape, device, requiresGrad: true })
}

/**
 * A parameter whose values are those of `map` at uniform numbers in (0, 1], computed on the host and rounded to float32 there,
 * so that the same seed gives the same bits on every device.
 */
export function uniformParameter(shape: Shape, map: (u: number) => number, { device }: DeviceOption): Tensor {
  if (!isDrawing) return constantParameter(shape, 0, { device })
  const values = defaultGenerator.uniform(sizeOf(shape))
  // The generator's grid is 0 to 1 - 2^-24. Turned round, it has no 0, whose logarithm some maps take.
  for (let i = 0; i < values.length; i++) values[i] = map(1 - values[i])
  return tensor(values, { shape, device, requiresGrad: true })
}

/** A parameter of one value everywhere. */
export function constantParameter(shape: Shape, value: number, { device }: DeviceOption): Tensor {
  return full(shape, value, { device, requiresGrad: true })
}
