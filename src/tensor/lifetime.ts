/**
 * Who owns a tensor, and when it is freed.
 *
 * A tensor made inside `scope(() => …)` belongs to it and is freed when it ends, unless it is returned. A tensor made
 * outside any scope belongs to the program: `dispose()` or `using` free it, and if the program forgets it, the garbage
 * collector does in its own time. `checkLeaks()` names those that are still there.
 */
import { SluiceError, stackHere, userPlace } from '../errors.ts'
import type { Storage } from './storage.ts'
import type { Tensor } from './tensor.ts'

export interface Leak {
  readonly shape: readonly number[]
  readonly dtype: string
  readonly device: string
  readonly bytes: number
  /** `file:line` of the user's own frame that made the tensor, or let it out of its scope. */
  readonly place: string
  readonly stack: string
}

class Scope {
  readonly tensors = new Set<Tensor>()
  readonly parent: Scope | null
  constructor(parent: Scope | null) {
    this.parent = parent
  }
}

let current: Scope | null = null
const owners = new WeakMap<Tensor, Scope>()
/** The living tensors outside any scope, by id, without keeping them alive. */
const living = new Map<number, WeakRef<Tensor>>()
/**
 * The stacks that made them. A stack that was not read yet holds the `this` of its frames, which may hold the tensor (a
 * module in its constructor): only a map with weak keys lets such a ring be collected.
 */
const stacks = new WeakMap<Tensor, () => string>()
/** How many operations are running, one inside the other. What they make on the way belongs to the graph, not to a line. */
let operationDepth = 0
const collected = new FinalizationRegistry<{ id: number; storage: Storage }>(({ id, storage }) => {
  if (living.delete(id)) storage.release()
})

/** Registers a tensor that was just made. */
export function track(tensor: Tensor): void {
  if (current) own(tensor, current)
  else ownByProgram(tensor)
}

function own(tensor: Tensor, scope: Scope): void {
  scope.tensors.add(tensor)
  owners.set(tensor, scope)
}

function ownByProgram(tensor: Tensor): void {
  owners.delete(tensor)
  living.set(tensor.id, new WeakRef(tensor))
  if (operationDepth === 0) stacks.set(tensor, stackHere())
  collected.register(tensor, { id: tensor.id, storage: tensor.storage }, tensor)
}

/** Forgets a tensor that is being disposed. */
export function untrack(tensor: Tensor): void {
  const scope = owners.get(tensor)
  if (scope) {
    scope.tensors.delete(tensor)
    owners.delete(tensor)
  } else if (living.delete(tensor.id)) {
    collected.unregister(tensor)
  }
}

/** Gives `tensor` to whoever owns `like`: a parameter's gradient lives as long as the parameter. */
export function liveWith(tensor: Tensor, like: Tensor): void {
  const scope = owners.get(like)
  untrack(tensor)
  if (scope) own(tensor, scope)
  else ownByProgram(tensor)
}

/**
 * Runs one operation. Of the tensors it makes outside any scope only its results are the program's own, and named in
 * `checkLeaks`; what the graph keeps beside them goes when the collector takes the graph.
 */
export function runOperation<R>(body: () => R, isTensor: (value: unknown) => value is Tensor): R {
  operationDepth++
  let result: R
  try {
    result = body()
  } finally {
    operationDepth--
  }
  if (operationDepth === 0 && !current) {
    const results = new Set<Tensor>()
    tensorsIn(result, isTensor, results, new Set())
    const stack = stackHere()
    for (const tensor of results) if (living.has(tensor.id) && !stacks.has(tensor)) stacks.set(tensor, stack)
  }
  return result
}

/** Tells the collector that the tensor now holds another storage. */
export function storageReplaced(tensor: Tensor): void {
  if (!living.has(tensor.id)) return
  collected.unregister(tensor)
  collected.register(tensor, { id: tensor.id, storage: tensor.storage }, tensor)
}

/** Every tensor inside a result, and its gradient: itself, or in lists, maps, sets and plain objects. */
function tensorsIn(
  value: unknown,
  isTensor: (value: unknown) => value is Tensor,
  found: Set<Tensor>,
  seen: Set<unknown>,
): void {
  if (value === null || typeof value !== 'object' || seen.has(value)) return
  seen.add(value)
  if (isTensor(value)) {
    found.add(value)
    // A gradient lives with its parameter.
    tensorsIn(value.grad, isTensor, found, seen)
    return
  }
  const inner =
    value instanceof Map || value instanceof Set || Array.isArray(value) ? value.values() : plainValues(value)
  for (const item of inner) tensorsIn(item, isTensor, found, seen)
}

function plainValues(value: object): Iterable<unknown> {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null ? Object.values(value) : []
}

/** `scope`, given the test for tensors and the stack to name for what it frees; `tensor.ts` binds it, so that this file needs no value of that one. */
export function runScope<R>(
  body: () => R,
  isTensor: (value: unknown) => value is Tensor,
  stack: () => string = stackHere(),
): R {
  const scope = new Scope(current)
  current = scope
  const kept = new Set<Tensor>()
  try {
    const result = body()
    if (result instanceof Promise) {
      throw new SluiceError(
        'scope',
        'the function returned a promise, so its tensors would be freed before it ends; read values after the scope: const t = scope(() => …); await t.data()',
      )
    }
    tensorsIn(result, isTensor, kept, new Set())
    return result
  } finally {
    current = scope.parent
    for (const tensor of scope.tensors) {
      if (!kept.has(tensor)) tensor.dispose(stack)
    }
    for (const tensor of kept) {
      if (owners.get(tensor) !== scope) continue
      if (scope.parent) own(tensor, scope.parent)
      else ownByProgram(tensor)
    }
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
 * leaks[0].place // 'train.ts:1'
 */
export function checkLeaks(body?: () => void): Leak[] {
  const before = new Set(living.keys())
  if (body) body()
  else before.clear()
  const leaks: Leak[] = []
  for (const [id, reference] of living) {
    const tensor = before.has(id) ? undefined : reference.deref()
    const made = tensor && stacks.get(tensor)
    if (!made) continue
    const { shape, dtype, device, bytes } = tensor
    const stack = made()
    leaks.push({ shape, dtype, device, bytes, place: userPlace(stack), stack })
  }
  return leaks
}
