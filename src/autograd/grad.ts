/** Gradients of functions: `grad`, and `checkpoint`, which trades time for memory. */
import { SluiceError, showShape } from '../errors.ts'
import { defaultGenerator } from '../tensor/random.ts'
import { isTensor, scope, type Tensor } from '../tensor/tensor.ts'
import {
  brokenHistory,
  gradients,
  identity,
  isRecording,
  nextNodeId,
  reachable,
  record,
  withRecording,
} from './tape.ts'

/** The gradients of a function's inputs: one tensor for one input, else a list. */
export type Gradients<Inputs extends Tensor[]> = Inputs extends [Tensor] ? Tensor : { [I in keyof Inputs]: Tensor }

/** A fresh tensor on the same value, joined to it on the tape, so that `grad` can nest. */
function freshInput(x: Tensor): Tensor {
  const y = identity(x)
  if (!y.node) y.requiresGrad = true
  return y
}

/**
 * The gradient of a scalar function.
 *
 * Nests: `grad(grad(f))` is the second derivative. Whether the gradient itself is recorded is found out, not asked: it
 * is, when it could still be differentiated (an input, or something the function uses, is itself tracked).
 *
 * @param fn tensors in, a tensor of one element out
 * @returns a function of the same inputs that gives the gradient (a list of them for several inputs), in their shapes
 * @throws SluiceError when `fn` does not return a tensor of one element
 *
 * @example
 * const slope = grad((x) => x.sin().sum())
 * slope(tensor([0])) // [1], the cosine of 0
 */
export function grad<Inputs extends Tensor[]>(
  fn: (...inputs: Inputs) => Tensor,
): (...inputs: Inputs) => Gradients<Inputs> {
  return (...inputs) => {
    for (const x of inputs) {
      if (!isTensor(x)) throw new SluiceError('grad', `expected tensors as inputs, got ${typeof x}`)
      if (x.dtype === 'int32') throw new SluiceError('grad', 'an int32 input has no gradient; close over it instead')
    }
    const outer = isRecording()
    const fresh = withRecording(outer, () => inputs.map(freshInput)) as Inputs
    const since = nextNodeId()
    const output = withRecording(true, () => fn(...fresh))
    if (!isTensor(output) || output.size !== 1) {
      const got = isTensor(output) ? showShape(output.shape) : typeof output
      throw new SluiceError('grad', `the function must return a tensor of one element, got ${got}; sum it`)
    }
    const createGraph = outer && dependsOnMore(output, fresh, since)
    const found = gradients(output, fresh, { createGraph, since })
    // Nobody can ask for the gradient of a fresh input any more: later walks need not go there.
    for (const t of fresh) t.requiresGrad = false
    return (found.length === 1 ? found[0] : found) as Gradients<Inputs>
  }
}

/**
 * Whether anything tracked lies behind `output` besides the leaves `fresh`, or one of these is tracked further back. Only
 * nodes from `since` on, those of the function itself, are looked at: the history of what it closes over may be long.
 */
function dependsOnMore(output: Tensor, fresh: readonly Tensor[], since: number): boolean {
  if (fresh.some((t) => t.node !== null)) return true
  const own = new Set(fresh)
  const isOther = (t: Tensor) => !own.has(t) && isOlder(t, since)
  return isOther(output) || reachable([output], since).some((node) => node.inputs.some(isOther))
}

/** Whether `t` is a leaf or was made before node `since`, and gradients flow to it. */
function isOlder(t: Tensor, since: number): boolean {
  return t.isTracked && (t.node === null || t.node.id < since)
}

/**
 * Runs `fn(...inputs)` keeping only its result, and runs it again when the gradient is asked for. Any shapes.
 *
 * What lies inside is freed after the forward pass. Gradients flow to the inputs and to every parameter that `fn` uses.
 * Random numbers drawn inside are drawn the same in both runs.
 *
 * @throws SluiceError when `fn` gives anything but a tensor
 *
 * @example
 * const y = checkpoint((x) => layer.forward(x), x)
 */
export function checkpoint<Inputs extends Tensor[]>(fn: (...inputs: Inputs) => Tensor, ...inputs: Inputs): Tensor {
  if (!isRecording()) return fn(...inputs)
  const first = nextNodeId()
  const generator = defaultGenerator.state
  let frontier: Tensor[] = []
  const output = scope(() => {
    const result = fn(...inputs)
    if (!isTensor(result))
      throw new SluiceError('checkpoint', `the function must return a tensor, got ${typeof result}`)
    frontier = trackedBefore(result, first)
    return result.detach()
  })
  // A parameter that the function itself made is gone: nobody can ask for its gradient.
  frontier = frontier.filter((t) => !t.isDisposed)
  return record('checkpoint', frontier, output, (cotangent) => {
    const createGraph = isRecording()
    const after = defaultGenerator.state
    defaultGenerator.state = generator
    try {
      const since = nextNodeId()
      const again = withRecording(true, () => fn(...inputs))
      return gradients(again, frontier, { cotangent, createGraph, since })
    } finally {
      defaultGenerator.state = after
    }
  })
}

/** Tracked tensors that `output` depends on and that node `first` and its successors did not make. */
function trackedBefore(output: Tensor, first: number): Tensor[] {
  const before = new Set<Tensor>()
  if (isOlder(output, first)) before.add(output)
  for (const node of reachable([output], first)) {
    for (const input of node.inputs) {
      if (isOlder(input, first)) before.add(input)
      else if (input.isDisposed && input.node) throw brokenHistory('checkpoint', input)
    }
  }
  return [...before]
}
