/**
 * Who owns a tensor, and when it is freed.
 *
 * A tensor made inside `scope(() => …)` belongs to it and is freed when it ends, unless it is returned. A tensor made
 * outside any scope belongs to the program: `dispose()` or `using` free it, and if the program forgets it, the garbage
 * collector does in its own time. `checkLeaks()` names those that are still there.
 */
import { deepStackHere, SluiceError, stackHere, userPlace } from '../errors.ts'
import type { Storage } from './storage.ts'
import type { Tensor } from './tensor.ts'

/** A tensor that nobody has freed. */
export interface Leak {
  /** Of the tensor. */
  readonly shape: readonly number[]
  /** Of its elements. */
  readonly dtype: string
  /** Name of the device that holds it. */
  readonly device: string
  /** Its size on the device. */
  readonly bytes: number
  /** `file:line` of the user's own frame that made the tensor, or let it out of its scope. */
  readonly place: string
  /** The whole stack of `place`. */
  readonly stack: string
}

/** The tensors that are freed together. Each knows its place in the list, so that it is taken out in one step. */
export class Scope {
  readonly tensors: Tensor[] = []
  parent: Scope | null = null
}

/** Scopes that were left, to be entered again: there is one for every operation. */
const spare: Scope[] = []

let current: Scope | null = null

/** What the collector is to free, and where it is listed. */
interface Held {
  id: number
  storage: Storage | null
}

const collected = new FinalizationRegistry<Held>(({ id, storage }) => {
  if (storage && living.delete(id)) storage.release()
})

/**
 * Marks a tensor as the program's own. It is what the collector watches in the tensor's place, for a mark serves one tensor
 * after the other: all that weak references were made to lives on to the end of a job, which may be a long loop.
 *
 * The mark has the stack that made the tensor: one that was not read yet holds the `this` of its frames, which may hold the
 * tensor (a module in its constructor). Only where nothing but the tensor leads to the stack can such a ring be collected.
 */
class Mark {
  tensor: Tensor | null = null
  stack: (() => string) | null = null
  readonly held: Held = { id: 0, storage: null }
  readonly reference = new WeakRef(this)

  constructor() {
    collected.register(this, this.held)
  }
}

/** Of the program's living tensors, by their ids. */
const living = new Map<number, WeakRef<Mark>>()
/** Marks of tensors that were disposed. */
const spareMarks: Mark[] = []
/** How many operations are running, one inside the other. What they make on the way belongs to the graph, not to a line. */
let operationDepth = 0

/** Where a tensor belongs: what every tensor is, to this file. */
export abstract class Owned {
  /** Not for users: the scope that frees it, and its place in the scope's list. Null once it is disposed, or the program's. */
  owner: Scope | null = null
  place = 0
  /** Not for users: only the program's own have one. */
  mark: Mark | null = null
}

const isTensor = (value: unknown): value is Tensor => value instanceof Owned

/** Registers a tensor that was just made. */
export function track(tensor: Tensor): void {
  if (current) own(tensor, current)
  else ownByProgram(tensor)
}

function own(tensor: Tensor, scope: Scope): void {
  tensor.owner = scope
  tensor.place = scope.tensors.push(tensor) - 1
}

function ownByProgram(tensor: Tensor, stack?: () => string): void {
  const mark = spareMarks.pop() ?? new Mark()
  mark.tensor = tensor
  if (operationDepth === 0) mark.stack = stack ?? deepStackHere()
  mark.held.id = tensor.id
  mark.held.storage = tensor.storage
  tensor.mark = mark
  living.set(tensor.id, mark.reference)
}

/** Forgets a tensor that is being disposed. */
export function untrack(tensor: Tensor): void {
  const { owner, mark } = tensor
  if (mark) {
    living.delete(tensor.id)
    tensor.mark = mark.tensor = mark.stack = mark.held.storage = null
    spareMarks.push(mark)
  } else if (owner) {
    tensor.owner = null
    // The last of the list takes its place.
    const last = owner.tensors.pop()!
    if (last === tensor) return
    owner.tensors[tensor.place] = last
    last.place = tensor.place
  }
}

/**
 * Gives `tensor` to whoever owns `like`: a parameter's gradient lives as long as the parameter.
 *
 * @param stack names the place that made it in `checkLeaks`; the caller's unless given
 */
export function liveWith(tensor: Tensor, like: Tensor, stack?: () => string): void {
  give(tensor, like.owner, stack)
}

function give(tensor: Tensor, owner: Scope | null, stack?: () => string): void {
  untrack(tensor)
  if (owner) own(tensor, owner)
  else ownByProgram(tensor, stack)
}

/**
 * Runs one operation. Of the tensors it makes outside any scope only its results are the program's own, and named in
 * `checkLeaks`; what the graph keeps beside them goes when the collector takes the graph.
 */
export function runOperation<P extends unknown[], R>(body: (...given: P) => R, given: P): R {
  operationDepth++
  let result: R
  try {
    result = body(...given)
  } finally {
    operationDepth--
  }
  if (operationDepth === 0 && !current) {
    const stack = deepStackHere()
    eachTensor(result, ({ mark }) => {
      if (mark) mark.stack ??= stack
    })
  }
  return result
}

/** Tells the collector that the tensor now holds another storage. */
export function storageReplaced(tensor: Tensor): void {
  if (tensor.mark) tensor.mark.held.storage = tensor.storage
}

/** Visits every tensor inside a result, and its gradient: itself, or in lists, maps, sets and plain objects. */
function eachTensor(value: unknown, visit: (tensor: Tensor) => void, seen?: Set<unknown>): void {
  if (value === null || typeof value !== 'object') return
  if (isTensor(value)) {
    // A gradient lives with its parameter.
    for (let tensor: Tensor | null = value; tensor; tensor = tensor.grad) visit(tensor)
    return
  }
  if (seen?.has(value)) return
  const known = (seen ?? new Set()).add(value)
  const inner =
    value instanceof Map || value instanceof Set || Array.isArray(value) ? value.values() : plainValues(value)
  for (const item of inner) eachTensor(item, visit, known)
}

function plainValues(value: object): Iterable<unknown> {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null ? Object.values(value) : []
}

/**
 * Opens a scope: what is made from now on belongs to it. Close it, with `leaveScope`, whatever happens in between: that is
 * `runScope` in two halves, for the few places that run at every operation.
 */
export function enterScope(): Scope {
  const scope = spare.pop() ?? new Scope()
  scope.parent = current
  current = scope
  return scope
}

/** Frees all that the scope still owns; errors will name `stack` as the place. */
export function leaveScope(scope: Scope, stack: () => string): void {
  const { tensors, parent } = scope
  current = parent
  for (let tensor = tensors.pop(); tensor; tensor = tensors.pop()) {
    tensor.owner = null
    tensor.dispose(stack)
  }
  spare.push(scope)
}

/** Lets a tensor out of the scope that is open, to the one around it. */
export function letOut(tensor: Tensor, scope: Scope): void {
  if (tensor.owner === scope) give(tensor, scope.parent)
}

/** `scope`, given the stack to name for what it frees. */
export function runScope<R>(body: () => R, stack: () => string = stackHere()): R {
  const scope = enterScope()
  try {
    const result = body()
    if (result instanceof Promise) {
      throw new SluiceError(
        'scope',
        'the function returned a promise, so its tensors would be freed before it ends; read values after the scope: const t = scope(() => …); await t.data()',
      )
    }
    eachTensor(result, (tensor) => letOut(tensor, scope))
    return result
  } finally {
    leaveScope(scope, stack)
  }
}

/**
 * Names the living tensors that no scope owns.
 *
 * @param body when given, only those that `body` made and left are named
 * @returns one entry a tensor, with the place that made it; an empty list when nothing is left
 *
 * @example
 * const leaks = checkLeaks(() => { randn([2, 3]) })
 * leaks[0].shape // [2, 3]; `place` says where it was made, 'train.ts:1'
 */
export function checkLeaks(body?: () => void): Leak[] {
  const before = new Set(living.keys())
  if (body) body()
  else before.clear()
  const leaks: Leak[] = []
  for (const [id, reference] of living) {
    const mark = before.has(id) ? undefined : reference.deref()
    if (!mark?.tensor || !mark.stack) continue
    const { shape, dtype, device, bytes } = mark.tensor
    const stack = mark.stack()
    leaks.push({ shape, dtype, device, bytes, place: userPlace(stack), stack })
  }
  return leaks
}
