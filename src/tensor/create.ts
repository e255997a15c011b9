/** Making tensors: from data, from constants, from random numbers. */
import type { Device, DType, TypedArray } from '../device/device.ts'
import { defaultDevice, findDevice } from '../device/registry.ts'
import { SluiceError, showShape } from '../errors.ts'
import { defaultGenerator } from './random.ts'
import { checkShape, type Shape, sizeOf } from './shape.ts'
import { fromData, fromHost, type Nested, type Tensor } from './tensor.ts'

/** Where a tensor lies, of which type it is, and whether it is a parameter. */
export interface CreateOptions {
  /** 'float32', 'float64' or 'int32'; the device's float type unless given (int32 for an Int32Array). */
  dtype?: DType
  /** Name of a device; the default device unless given. */
  device?: string
  /** Whether `backward` accumulates a gradient into it; false unless given. */
  requiresGrad?: boolean
}

function resolve(operation: string, options: CreateOptions, natural?: DType): { device: Device; dtype: DType } {
  const device = options.device === undefined ? defaultDevice() : findDevice(options.device)
  const dtype = options.dtype ?? natural ?? device.floatType
  if (dtype !== 'int32' && dtype !== device.floatType) {
    const other = dtype === 'float64' ? 'reference' : 'cpu'
    throw new SluiceError(
      operation,
      `the ${device.name} device holds ${device.floatType} and int32, not ${dtype}; use { device: '${other}' }`,
    )
  }
  return { device, dtype }
}

function finish(t: Tensor, options: CreateOptions): Tensor {
  if (options.requiresGrad) t.requiresGrad = true
  return t
}

/**
 * A tensor of the given numbers.
 *
 * @param data nested lists, whose nesting is the shape, or a flat list or typed array with `shape` (default: rank 1)
 * @throws SluiceError when rows differ in length, the count does not fit `shape`, or a value is not a number
 *
 * @example
 * tensor([[1, 2], [3, 4]]).shape // [2, 2]
 * tensor(new Float32Array(6), { shape: [2, 3] }).shape // [2, 3]
 */
export function tensor(data: Nested | TypedArray, options: CreateOptions & { shape?: Shape } = {}): Tensor {
  const flat: number[] | TypedArray = ArrayBuffer.isView(data) ? data : []
  let shape: number[]
  if (ArrayBuffer.isView(data)) {
    shape = [data.length]
  } else {
    shape = nestedShape(data)
    flatten(data, shape, 0, flat as number[])
  }
  if (options.shape) {
    checkShape('tensor', options.shape)
    if (sizeOf(options.shape) !== flat.length) {
      throw new SluiceError(
        'tensor',
        `shape ${showShape(options.shape)} holds ${sizeOf(options.shape)} elements, the data has ${flat.length}`,
      )
    }
    shape = [...options.shape]
  }
  const { device, dtype } = resolve('tensor', options, data instanceof Int32Array ? 'int32' : undefined)
  if (dtype === 'int32') checkIntegers(flat)
  return finish(fromData(flat, shape, dtype, device), options)
}

function nestedShape(data: Nested): number[] {
  const shape: number[] = []
  let level: Nested = data
  while (Array.isArray(level)) {
    shape.push(level.length)
    if (level.length === 0) break
    level = level[0]
  }
  return shape
}

function flatten(data: Nested, shape: readonly number[], depth: number, into: number[]): void {
  if (depth === shape.length) {
    if (typeof data !== 'number') {
      throw new SluiceError('tensor', `expected a number at depth ${depth} of the nested lists, got ${describe(data)}`)
    }
    into.push(data)
    return
  }
  if (!Array.isArray(data) || data.length !== shape[depth]) {
    throw new SluiceError(
      'tensor',
      `expected lists of ${shape[depth]} at depth ${depth}, as the first one is, got ${describe(data)}; all rows need the same length`,
    )
  }
  for (const item of data) flatten(item, shape, depth + 1, into)
}

function describe(value: unknown): string {
  return Array.isArray(value) ? `a list of ${value.length}` : `${typeof value} ${String(value)}`
}

function checkIntegers(data: ArrayLike<number>): void {
  if (data instanceof Int32Array) return
  for (let i = 0; i < data.length; i++) {
    if ((data[i] | 0) !== data[i]) {
      throw new SluiceError('tensor', `element ${i} is ${data[i]}, which is not an int32; use a float dtype`)
    }
  }
}

/** All elements `value`, in a tensor of that shape. @throws SluiceError for what is no shape, and for fractions in int32 */
export function full(shape: Shape, value: number, options: CreateOptions = {}): Tensor {
  checkShape('full', shape)
  const { device, dtype } = resolve('full', options)
  if (dtype === 'int32') checkIntegers([value])
  return finish(fromData(new Float64Array(sizeOf(shape)).fill(value), [...shape], dtype, device), options)
}

/** All elements 0, in a tensor of that shape. @throws SluiceError for what is no shape */
export function zeros(shape: Shape, options: CreateOptions = {}): Tensor {
  return full(shape, 0, options)
}

/** All elements 1, in a tensor of that shape. @throws SluiceError for what is no shape */
export function ones(shape: Shape, options: CreateOptions = {}): Tensor {
  return full(shape, 1, options)
}

/**
 * Evenly spaced numbers start, start + step, … below end, [n].
 *
 * @throws SluiceError for a step of 0, and for bounds or steps that are not finite
 *
 * @example
 * arange(3) // [0, 1, 2]
 * arange(1, 2, 0.5) // [1, 1.5]
 */
export function arange(start: number, end?: number, step = 1, options: CreateOptions = {}): Tensor {
  const [from, to] = end === undefined ? [0, start] : [start, end]
  if (!(Number.isFinite(from) && Number.isFinite(to) && Number.isFinite(step)) || step === 0) {
    throw new SluiceError(
      'arange',
      `start ${from}, end ${to}, step ${step}: expected finite numbers and a step other than 0`,
    )
  }
  const n = Math.max(0, Math.ceil((to - from) / step))
  const { device, dtype } = resolve('arange', options)
  const data = Float64Array.from({ length: n }, (_, i) => from + i * step)
  if (dtype === 'int32') checkIntegers(data)
  return finish(fromData(data, [n], dtype, device), options)
}

/** The identity matrix [n, m] (m = n unless given). */
export function eye(n: number, m: number = n, options: CreateOptions = {}): Tensor {
  checkShape('eye', [n, m])
  const { device, dtype } = resolve('eye', options)
  const data = new Float64Array(n * m)
  for (let i = 0; i < Math.min(n, m); i++) data[i * m + i] = 1
  return finish(fromData(data, [n, m], dtype, device), options)
}

/** Uniform in [0, 1), on the grid of 2^-24, in a tensor of that shape: the same bits on every device. */
export function rand(shape: Shape, options: CreateOptions = {}): Tensor {
  checkShape('rand', shape)
  const { device, dtype } = resolve('rand', options)
  return finish(
    fromHost(() => defaultGenerator.uniform(sizeOf(shape)), [...shape], dtype, device),
    options,
  )
}

/** Standard normal, rounded to float32, in a tensor of that shape: the same bits on every device. */
export function randn(shape: Shape, options: CreateOptions = {}): Tensor {
  checkShape('randn', shape)
  const { device, dtype } = resolve('randn', options)
  return finish(
    fromHost(() => defaultGenerator.normal(sizeOf(shape)), [...shape], dtype, device),
    options,
  )
}

/** A random permutation of 0 … n - 1, int32 [n]. */
export function permutation(n: number, options: CreateOptions = {}): Tensor {
  checkShape('permutation', [n])
  const { device } = resolve('permutation', options)
  return fromHost(() => defaultGenerator.permutation(n), [n], 'int32', device)
}

/** A rank-0 constant on the device of `like`. */
export function scalarLike(value: number, like: Tensor): Tensor {
  const { device } = like.storage
  return fromData([value], [], device.floatType, device)
}
