/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The tensor: an immutable value of shape, dtype and a contiguous buffer on a device.
 *
 * This file holds what a tensor is. Operations add their methods from `ops/`, and `backward` comes from `autograd/`.
 */
import type { Device, DType, TypedArray } from '../device/device.ts'
import { bytesPerElement } from '../device/device.ts'
import { findDevice } from '../device/registry.ts'
import { SluiceError, showShape, stackHere, userPlace } from '../errors.ts'
import { Owned, runScope, storageReplaced, track, untrack } from './lifetime.ts'
import { formatArray } from './print.ts'
import { recorder } from './recording.ts'
import { type Shape, sameShape, sizeOf } from './shape.ts'
import { Storage } from './storage.ts'

/** What made a tensor, as the tape records it; `autograd/` gives it its meaning. */
export interface GraphNode {
  readonly id: number
  readonly operation: string
  readonly inputs: readonly Tensor[]
}

/** Nested lists of numbers, as `array()` gives them. */
export type Nested = number | Nested[]

let nextId = 1

export class Tensor extends Owned {
  /** No two tensors of a process have the same. */
  readonly id: number = nextId++
  /** Sizes of the axes; [] for a single number. Elements lie row-major. */
  readonly shape: Shape
  /** The node that made it, or null for a leaf. */
  node: GraphNode | null = null
  /** Which of the node's results it is; 0 for an operation with one. */
  slot = 0
  /** The gradient that `backward` accumulated, of the tensor's own shape; only leaves with `requiresGrad` have one. */
  grad: Tensor | null = null
  /** A name for drawings and messages. */
  label = ''
  #storage: Storage
  #requiresGrad = false
  #disposed: (() => string) | null = null

  /** Not for users: takes over one reference to `storage`. Make tensors with `tensor`, `zeros`, `randn` and operations. */
  constructor(storage: Storage, shape: Shape) {
    super()
    this.#storage = storage
    this.shape = shape
    track(this)
  }

  /** 'float32', 'float64' or 'int32'. */
  get dtype(): DType {
    return this.#storage.buffer.dtype
  }

  /** Name of the device that holds it. */
  get device(): string {
    return this.#storage.device.name
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape)
  }

  /** Size of its elements, in bytes. */
  get bytes(): number {
    return this.size * bytesPerElement(this.dtype)
  }

  /** The shared buffer. @throws SluiceError after `dispose`, with the place of the disposal */
  get storage(): Storage {
    if (this.#disposed) {
      const place = this.disposedAt
      throw new SluiceError(
        this.label || 'tensor',
        `${showShape(this.shape)} was used after it was disposed${place ? ` at ${place}` : ''}; return it from its scope, or dispose it later`,
      )
    }
    return this.#storage
  }

  /** Whether `dispose` was called, or the end of its scope freed it. */
  get isDisposed(): boolean {
    return this.#disposed !== null
  }

  /** `file:line` where it was disposed; '' while it lives, or when the stack does not say. */
  get disposedAt(): string {
    return this.#disposed ? userPlace(this.#disposed()) : ''
  }

  get requiresGrad(): boolean {
    return this.#requiresGrad
  }

  /**
   * Makes a leaf a parameter, or no longer one. Set it before the tensor is used: an operation looks at it when it is
   * called, and a later `backward` through an earlier result looks at it again.
   *
   * @throws SluiceError for int32 tensors and for results of operations
   */
  set requiresGrad(value: boolean) {
    if (value && this.dtype === 'int32') {
      throw new SluiceError('requiresGrad', 'an int32 tensor has no gradient; use a float tensor')
    }
    if (value && this.node) {
      throw new SluiceError('requiresGrad', `${this.node.operation}'s result already has a history; detach() it first`)
    }
    this.#requiresGrad = value
  }

  /** Whether gradients flow to or through it. Nothing flows to a disposed leaf; through a disposed result, an error. */
  get isTracked(): boolean {
    return this.node !== null || (this.#requiresGrad && !this.isDisposed)
  }

  // Reading

  /** All elements, row-major; float32, float64 or int32 array by dtype. A copy. */
  data(): Promise<TypedArray> {
    const { device, buffer } = this.storage
    return device.read(buffer)
  }

  /** All elements at once, on devices in host memory. @throws SluiceError on all others, which `data` reads */
  dataNow(): TypedArray {
    const { device, buffer } = this.storage
    if (!device.readNow) {
      throw new SluiceError('dataNow', `the ${device.name} device cannot be read at once; use await t.data()`)
    }
    return device.readNow(buffer)
  }

  /** The one element of a tensor of size 1. @throws SluiceError for any other size */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new SluiceError(
        'item',
        `${showShape(this.shape)} has ${this.size} elements, expected 1; use data() or array()`,
      )
    }
    return (await this.data())[0]
  }

  /** The elements as nested lists; a number for rank 0. */
  async array(): Promise<Nested> {
    return nest(await this.data(), this.shape)
  }

  /** As NumPy prints it, with float32's or float64's shortest digits. */
  override toString(): string {
    if (!this.storage.device.readNow) return `tensor(${showShape(this.shape)}, ${this.dtype}, ${this.device})`
    return formatArray(this.dataNow(), this.shape, this.dtype)
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const state = this.isDisposed ? ', disposed' : this.#requiresGrad ? ', requiresGrad' : ''
    const head = `Tensor ${showShape(this.shape)} ${this.dtype} on ${this.device}${state}`
    return this.isDisposed ? head : `${head}\n${this.toString()}`
  }

  // Sharing and moving

  /** The same value, in its shape, without a history: gradients stop here. */
  detach(): Tensor {
    return this.alias(this.shape)
  }

  /** Another tensor on the same buffer, in a shape of the same size. Not recorded on the tape. */
  alias(shape: Shape): Tensor {
    return new Tensor(this.storage.retain(), shape)
  }

  /** A copy of the same shape on another device, rounded to its float type, without a history. */
  async to(deviceName: string): Promise<Tensor> {
    const data = await this.data()
    const target = findDevice(deviceName)
    return fromData(data, this.shape, this.dtype === 'int32' ? 'int32' : target.floatType, target)
  }

  /**
   * Replaces a parameter's value by `value`'s buffer; for optimizers and loading. `value` is consumed.
   *
   * @throws SluiceError when shape, dtype or device differ, or the tensor is not a leaf
   */
  assign(value: Tensor): void {
    if (value === this) return
    if (this.node)
      throw new SluiceError('assign', `${this.node.operation}'s result is a value, only leaves are assigned`)
    if (!sameShape(this.shape, value.shape) || this.dtype !== value.dtype || this.device !== value.device) {
      const show = (t: Tensor) => `${showShape(t.shape)} ${t.dtype} on ${t.device}`
      throw new SluiceError('assign', `expected ${show(this)}, got ${show(value)}`)
    }
    const taken = value.storage.retain()
    value.dispose()
    const before = this.storage
    this.#storage = taken
    before.isSuperseded = true
    recorder()?.assigned(this, before)
    before.release()
    storageReplaced(this)
  }

  // Lifetime

  /** Frees the tensor's share of its buffer. A second call does nothing. */
  dispose(stack: () => string = stackHere()): void {
    if (this.#disposed) return
    this.#disposed = stack
    untrack(this)
    this.#storage.release()
    // The history goes; that there was one stays, or a gradient that should flow through would silently stop here.
    if (this.node) this.node = { id: this.node.id, operation: this.node.operation, inputs: [] }
    this.grad?.dispose(stack)
    this.grad = null
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

function nest(data: TypedArray, shape: Shape): Nested {
  if (shape.length === 0) return data[0]
  const [n, ...rest] = shape
  const step = sizeOf(rest)
  return Array.from({ length: n }, (_, i) => nest(data.subarray(i * step, (i + 1) * step), rest))
}

/** A tensor of `data`, which has exactly the shape's size. */
export function fromData(data: ArrayLike<number>, shape: Shape, dtype: DType, device: Device): Tensor {
  const t = upload(data, shape, dtype, device)
  recorder()?.constant(t.storage, data)
  return t
}

/** A tensor of what `make` gives: now, and at every replay of the program that is being captured, if one is. */
export function fromHost(make: () => ArrayLike<number>, shape: Shape, dtype: DType, device: Device): Tensor {
  const t = upload(make(), shape, dtype, device)
  recorder()?.source(t.storage, make)
  return t
}

function upload(data: ArrayLike<number>, shape: Shape, dtype: DType, device: Device): Tensor {
  const buffer = device.allocate(dtype, data.length)
  device.write(buffer, data)
  return new Tensor(new Storage(device, buffer), shape)
}

/** Whether a value is a tensor. */
export function isTensor(value: unknown): value is Tensor {
  return value instanceof Tensor
}

/**
 * Runs `body` and frees every tensor that it made and did not return.
 *
 * @returns what `body` returns; tensors in it (in lists, maps and plain objects too) pass to the surrounding scope
 * @throws SluiceError when `body` is asynchronous: read values after the scope
 *
 * @example
 * const loss = scope(() => model.loss(tokens, targets)) // everything else is gone
 */
export function scope<R>(body: () => R): R {
  return runScope(body)
}
