/** Runs kernels on tensors: checks that all live on one device, makes the output, and launches. Nothing is recorded. */
import type { CellKernel, FusedKernel, Grid, MapKernel } from '../../kernels/kernel.ts'
import type { Device, DType, LaunchArgument } from '../device/device.ts'
import { SluiceError, showShape } from '../errors.ts'
import { currentValue, type HostNumber, recorder } from './recording.ts'
import { broadcastStrides, collapse, type Shape, sameShape, sizeOf } from './shape.ts'
import { Storage } from './storage.ts'
import { isTensor, Tensor } from './tensor.ts'

/** The device that all of `tensors` live on. */
export function commonDevice(operation: string, tensors: readonly Tensor[]): Device {
  const device = tensors[0].storage.device
  for (const t of tensors) {
    if (t.storage.device !== device) {
      const where = tensors.map((x) => `${showShape(x.shape)} on ${x.device}`).join(', ')
      throw new SluiceError(
        operation,
        `operands live on different devices (${where}); move one with await t.to('${device.name}')`,
      )
    }
  }
  return device
}

export interface LaunchOptions {
  /** Type of the output; the device's float type unless given. */
  readonly dtype?: DType
}

/**
 * Launches a cell kernel and returns its output as a tensor.
 *
 * @param shape shape of the result, of the grid's size
 * @param grid extents [X, Y, Z]; [size, 1, 1] unless given
 * @param parameters one per kernel parameter: tensors for arrays, numbers for the rest; at least one tensor
 */
export function launch(
  kernel: CellKernel,
  shape: Shape,
  parameters: readonly (Tensor | HostNumber)[],
  grid: Grid = [sizeOf(shape), 1, 1],
  options: LaunchOptions = {},
): Tensor {
  const tensors = parameters.filter(isTensor)
  const device = commonDevice(kernel.name, tensors)
  return output(kernel, device, shape, grid, parameters.map(place), options)
}

/**
 * Launches a map kernel over operands that broadcast to `shape`.
 *
 * Numbers and operands of that shape itself are walked as one axis. For others, axes that all of them walk together are
 * joined first. Three remain at most in nearly every program; when more do, the operands are laid out in full, by `spread`,
 * before the launch.
 */
export function launchMap(
  kernel: MapKernel,
  shape: Shape,
  operands: readonly Tensor[],
  constants: readonly HostNumber[] = [],
  options: LaunchOptions & { spread?: (t: Tensor, shape: Shape) => Tensor } = {},
): Tensor {
  const device = commonDevice(kernel.name, operands)
  const parameters: (Storage | HostNumber)[] = []
  if (operands.every((t) => t.size === 1 || sameShape(t.shape, shape))) {
    for (const t of operands) parameters.push(t.storage, 0, 0, t.size === 1 ? 0 : 1)
    for (const constant of constants) parameters.push(constant)
    return output(kernel, device, shape, [sizeOf(shape), 1, 1], parameters, options)
  }
  const walk = collapse(
    shape,
    operands.map((t) => broadcastStrides(t.shape, shape)),
  )
  if (walk.shape.length > 3 && options.spread) {
    const { spread } = options
    return launchMap(
      kernel,
      shape,
      operands.map((t) => spread(t, shape)),
      constants,
      { dtype: options.dtype },
    )
  }
  const lead = 3 - walk.shape.length
  const [Z, Y, X] = [...new Array<number>(lead).fill(1), ...walk.shape]
  operands.forEach((t, i) => {
    parameters.push(t.storage, ...new Array<number>(lead).fill(0), ...walk.strides[i])
  })
  parameters.push(...constants)
  return output(kernel, device, shape, [X, Y, Z], parameters, options)
}

const place = (p: Tensor | HostNumber): Storage | HostNumber => (isTensor(p) ? p.storage : p)

const argument = (p: Storage | HostNumber): LaunchArgument => (p instanceof Storage ? p.buffer : currentValue(p))

function output(
  kernel: CellKernel | MapKernel,
  device: Device,
  shape: Shape,
  grid: Grid,
  parameters: readonly (Storage | HostNumber)[],
  options: LaunchOptions,
): Tensor {
  const length = sizeOf(shape)
  const storage = new Storage(device, device.allocate(options.dtype ?? device.floatType, length))
  if (length > 0) {
    const given = new Array<LaunchArgument>(parameters.length)
    for (let i = 0; i < given.length; i++) given[i] = argument(parameters[i])
    device.launch(kernel, storage.buffer, grid, given)
    recorder()?.launch(device, kernel, [storage], grid, parameters)
  }
  return new Tensor(storage, shape)
}

/** Whether the device of `t` computes this fused kernel; where it does not, the operation's composition runs. */
export function fuses(kernel: FusedKernel, t: Tensor): boolean {
  return t.storage.device.fuses?.(kernel) ?? false
}

/**
 * Launches a fused kernel and returns its results, in order. Ask `fuses` first.
 *
 * @param results shape of each new result, or the tensor that the kernel updates in place
 * @param parameters one per kernel parameter: tensors for arrays, numbers for the rest
 */
export function launchFused(
  kernel: FusedKernel,
  results: readonly (Shape | Tensor)[],
  parameters: readonly (Tensor | HostNumber)[],
): Tensor[] {
  const updated = results.filter(isTensor)
  const device = commonDevice(kernel.name, [...updated, ...parameters.filter(isTensor)])
  const tensors = results.map((result) => {
    if (isTensor(result)) return result
    return new Tensor(new Storage(device, device.allocate(device.floatType, sizeOf(result))), result)
  })
  const outputs = tensors.map((t) => t.storage)
  const places = parameters.map(place)
  device.launchFused!(
    kernel,
    outputs.map(({ buffer }) => buffer),
    places.map(argument),
  )
  recorder()?.launch(device, kernel, outputs, null, places)
  return tensors
}
