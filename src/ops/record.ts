/**
 * An operation is one record: what it is called and means, the shape it gives, its forward pass, its gradient, how to
 * sample it, how exact it must be, and what bad input gets.
 *
 * Everything else comes from the record: the Tensor method, the gradient and parity properties, the bench case and the
 * row in the reference.
 */
import { type Cotangent, isRecording, recordOne, setRecording } from '../autograd/tape.ts'
import { noStack, SluiceError } from '../errors.ts'
import { enterScope, leaveScope, letOut, runOperation, runScope } from '../tensor/lifetime.ts'
import type { Shape } from '../tensor/shape.ts'
import { isTensor, type Tensor } from '../tensor/tensor.ts'

/** What an elementwise operation takes: a tensor, or a number that stands for a rank-0 one. */
export type Operand = Tensor | number

/**
 * Draws sample arguments. `sluice/check` implements it on fast-check, so that failing samples shrink; tensors are float64
 * on the reference device, with values on a dyadic grid that float32 holds exactly.
 */
export interface Draw {
  /** An integer from low to high, both included. */
  integer(low: number, high: number): number
  /** Either, equally likely. */
  boolean(): boolean
  /** One of the list. */
  pick<T>(options: readonly T[]): T
  /** Sizes from 1 to `maxSize` (4), rank from `minRank` (0) to `maxRank` (3). */
  shape(options?: { minRank?: number; maxRank?: number; maxSize?: number }): number[]
  /** A shape that broadcasts with `shape`, in either direction. */
  broadcastable(shape: Shape): number[]
  /** Floats of that shape, in [-2, 2] unless given otherwise. */
  tensor(shape: Shape, options?: TensorDraw): Tensor
  /** int32 in [0, n), of that shape. */
  indices(shape: Shape, n: number): Tensor
}

export interface TensorDraw {
  /** Values lie in [low, high]; default [-2, 2]. */
  low?: number
  high?: number
  /** Points that every value keeps away from, by 1/8 at least: kinks, poles. */
  away?: readonly number[]
  /** No two values closer than 1/16: for what has a kink where values tie. */
  distinct?: boolean
}

/** Largest error allowed against float64: `absolute + relative |expected|`, and why. */
export interface Tolerance {
  absolute: number
  relative: number
  why: string
}

/** Rounding to float32 once or a few times over values of size about 1: 2^-24 = 6e-8 each. */
export const roundings: Tolerance = {
  absolute: 2e-6,
  relative: 2e-6,
  why: 'a few dozen float32 roundings of values near 1',
}

export interface BadInput {
  /** What is wrong, in words. */
  readonly what: string
  readonly arguments: () => unknown[]
  /** What the message must say. */
  readonly message: RegExp
}

interface Common<P extends unknown[]> {
  name: string
  /** What it computes: formula, shapes, conventions at ties and kinks. */
  doc: string
  /** Paper and equation, where there is one. */
  source?: string
  samples: (draw: Draw) => NoInfer<P>
  tolerance?: Tolerance
  errors?: readonly BadInput[]
  /** A helper of other records, not part of the public surface. */
  internal?: boolean
  /** Float tensors that take no gradient, such as tables of angles: their places among the arguments' tensors. */
  fixed?: readonly number[]
}

/** An operation with a kernel and a rule. `A` is what `prepare` makes of the public arguments `P`. */
export interface Primitive<P extends unknown[], A extends unknown[]> extends Common<P> {
  prepare?: (...given: P) => A
  /** Checks the arguments and gives the result's shape. */
  shape: (...a: A) => Shape
  /** Launches kernels; nothing in it is recorded. */
  forward: (shape: Shape, ...a: A) => Tensor
  /**
   * Gradients of the tensors among the arguments, in the order in which they appear (lists and options searched too),
   * from that of the result. Written with differentiable operations. Null only for what has no gradient anywhere.
   */
  vjp: ((dy: Tensor, y: Tensor, ...a: A) => readonly Cotangent[]) | null
}

/** An operation that is a composition of others; its gradient is theirs. */
export interface Composite<P extends unknown[], R> extends Common<P> {
  compose: (...given: P) => R
  /** Whether a gradient flows through it. */
  differentiable?: boolean
}

/** A record as the registry holds it. */
export interface OpRecord {
  /** As the function and the method are called. */
  readonly name: string
  /** What it computes: formula, shapes, conventions at ties and kinks. */
  readonly doc: string
  /** Paper and equation, where there is one. */
  readonly source: string | undefined
  /** Whether a gradient flows through it. */
  readonly differentiable: boolean
  /** Whether it is a composition of others, with their gradients. */
  readonly composite: boolean
  /** A helper of other records, not part of the public surface. */
  readonly internal: boolean
  /** Places, among the arguments' tensors, of floats that take no gradient. */
  readonly fixed: readonly number[]
  /** Largest error allowed against float64, on any device. */
  readonly tolerance: Tolerance
  /** Draws arguments that it takes. */
  readonly samples: (draw: Draw) => unknown[]
  /** Arguments that it must refuse, and with which words. */
  readonly errors: readonly BadInput[]
  /** The operation itself, as users call it. */
  readonly call: (...given: never[]) => unknown
}

/** What `defineOp` gives: the function, with its `record`. */
export type Operation<P extends unknown[], R = Tensor> = ((...given: P) => R) & { readonly record: OpRecord }

const registry = new Map<string, OpRecord>()

/** All records, by name. */
export const operations: ReadonlyMap<string, OpRecord> = registry

/** The tensors among arguments, in order; lists and plain objects are searched. */
export function tensorsAmong(given: readonly unknown[], found: Tensor[] = []): Tensor[] {
  for (const value of given) {
    if (isTensor(value)) found.push(value)
    else if (Array.isArray(value)) tensorsAmong(value, found)
    else if (value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
      tensorsAmong(Object.values(value), found)
    }
  }
  return found
}

/**
 * Defines an operation: its own kernel and rule (`shape`, `forward`, `vjp`), or a composition of others (`compose`).
 *
 * @throws SluiceError when the name is taken
 *
 * @example
 * const cubeKernel = elementwise(function cube(x: number) { return x * x * x })
 * const cube = defineOp({
 *   name: 'cube',
 *   doc: 'x^3, elementwise.',
 *   shape: (x: Tensor) => x.shape,
 *   forward: (shape, x) => launchMap(cubeKernel, shape, [x]),
 *   vjp: (dy, _y, x) => [dy.mul(x.square()).mul(3)],
 *   samples: (draw) => [draw.tensor(draw.shape())],
 * })
 */
export function defineOp<P extends unknown[], R>(definition: Composite<P, R>): Operation<P, R>
export function defineOp<P extends unknown[], A extends unknown[] = P>(definition: Primitive<P, A>): Operation<P>
export function defineOp<P extends unknown[], A extends unknown[], R>(
  definition: Composite<P, R> | Primitive<P, A>,
): Operation<P, R | Tensor> {
  const { name } = definition
  if (registry.has(name)) throw new SluiceError('defineOp', `there already is an operation named '${name}'`)
  const body: (...given: P) => R | Tensor =
    'compose' in definition ? compositeCall(definition) : primitiveCall(definition)
  const call = (...given: P): R | Tensor => runOperation(body, given)
  const record: OpRecord = {
    name,
    doc: definition.doc,
    source: definition.source,
    composite: 'compose' in definition,
    differentiable: 'compose' in definition ? (definition.differentiable ?? true) : definition.vjp !== null,
    internal: definition.internal ?? false,
    fixed: definition.fixed ?? [],
    tolerance: definition.tolerance ?? roundings,
    samples: definition.samples,
    errors: definition.errors ?? [],
    call,
  }
  registry.set(name, record)
  return Object.assign(call, { record })
}

function primitiveCall<P extends unknown[], A extends unknown[]>(definition: Primitive<P, A>): (...given: P) => Tensor {
  const { name, prepare, shape, forward, vjp } = definition
  /** Runs `forward`, unrecorded; of the tensors that it makes only its result stays. */
  const run = (a: A): Tensor => {
    const outputShape = shape(...a)
    const scope = enterScope()
    const before = setRecording(false)
    try {
      const y = forward(outputShape, ...a)
      letOut(y, scope)
      return y
    } finally {
      setRecording(before)
      leaveScope(scope, noStack)
    }
  }
  return (...given) => {
    const a = prepare ? prepare(...given) : (given as unknown[] as A)
    const y = run(a)
    if (vjp !== null && isRecording()) recordOne(name, tensorsAmong(a), y, ([dy]) => vjp(dy!, y, ...a))
    if (prepare && !y.node) freeOwn(a, given)
    return y
  }
}

/** Frees what `prepare` made, such as the tensor of a number: without a graph nobody needs it any more. */
function freeOwn(prepared: readonly unknown[], given: readonly unknown[]): void {
  if (prepared.every((item, i) => item === given[i])) return
  const mine = tensorsAmong(given)
  for (const t of tensorsAmong(prepared)) if (!mine.includes(t)) t.dispose(noStack)
}

function compositeCall<P extends unknown[], R>({ compose }: Composite<P, R>): (...given: P) => R {
  return (...given) => {
    const isRecorded = isRecording() && tensorsAmong(given).some((t) => t.isTracked)
    return isRecorded ? compose(...given) : runScope(() => compose(...given), noStack)
  }
}

/** Takes a record out again; for tests that define operations of their own. */
export function removeOp(name: string): void {
  registry.delete(name)
}
