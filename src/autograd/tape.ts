/**
 * The tape: what each operation records, and the walk back over it.
 *
 * A node holds an operation's inputs and its rule, the vector-Jacobian product: given the gradient of the result (the
 * cotangent), the gradients of the inputs. Nodes are numbered as they are made, so a node's inputs always have smaller
 * numbers: walking by falling number is reverse order, with no recursion and no sorting by dependency.
 *
 * The sum back over a broadcast is done here, once, for every rule. Rules are written with differentiable operations, so
 * recording while walking gives gradients of gradients.
 */
import { SluiceError, showShape, stackHere } from '../errors.ts'
import { enterScope, leaveScope, letOut, liveWith } from '../tensor/lifetime.ts'
import { sameShape } from '../tensor/shape.ts'
import { type GraphNode, isTensor, type Tensor } from '../tensor/tensor.ts'

/** The gradient of one input: a tensor, a function that makes it (called only if wanted), or null for none. */
export type Cotangent = Tensor | (() => Tensor) | null

export interface Node extends GraphNode {
  /** Gradients of `inputs`, in order, from those of the results, by slot; undefined where nothing depends on a result. */
  vjp(cotangents: readonly (Tensor | undefined)[]): readonly Cotangent[]
}

/** What the walk needs of the operations above this layer. */
export interface WalkOperations {
  add(a: Tensor, b: Tensor): Tensor
  /** Sums `t` over the axes along which `shape` was broadcast to it. */
  sumTo(t: Tensor, shape: readonly number[]): Tensor
  onesLike(t: Tensor): Tensor
  zerosLike(t: Tensor): Tensor
}

let operations: WalkOperations | undefined
let recording = true
let nextNode = 1

/** Given once, by `ops/`, when it is loaded. */
export function setWalkOperations(given: WalkOperations): void {
  operations = given
}

export function isRecording(): boolean {
  return recording
}

/** Switches recording; gives what it was before, which is to be set again. */
export function setRecording(on: boolean): boolean {
  const before = recording
  recording = on
  return before
}

/** Runs `body` with recording on or off. */
export function withRecording<R>(on: boolean, body: () => R): R {
  const before = setRecording(on)
  try {
    return body()
  } finally {
    recording = before
  }
}

/**
 * Runs `body` without recording: its results have no history.
 *
 * @throws SluiceError when `body` is asynchronous: it would go on after recording is on again
 *
 * @example
 * const y = noGrad(() => layer.forward(x))
 */
export function noGrad<R>(body: () => R): R {
  const result = withRecording(false, body)
  if (result instanceof Promise) {
    throw new SluiceError(
      'noGrad',
      'the function returned a promise, and what it does after its first await would be recorded; read values outside: const t = noGrad(() => …); await t.data()',
    )
  }
  return result
}

/** Number of the next node; nodes made later have this number or a larger one. */
export function nextNodeId(): number {
  return nextNode
}

const isTracked = (t: Tensor): boolean => t.isTracked

/** Attaches a node to `output` if recording is on and a gradient flows to any input. The rule takes a list of one. */
export function recordOne(
  operation: string,
  inputs: readonly Tensor[],
  output: Tensor,
  vjp: (cotangents: readonly (Tensor | undefined)[]) => readonly Cotangent[],
): void {
  if (!recording || output.dtype === 'int32' || !inputs.some(isTracked)) return
  const node: Node = { id: nextNode++, operation, inputs, vjp }
  output.node = node
}

/** `recordOne`, for a rule that takes the result's gradient. Gives the result. */
export function record(
  operation: string,
  inputs: readonly Tensor[],
  output: Tensor,
  vjp: (cotangent: Tensor) => readonly Cotangent[],
): Tensor {
  recordOne(operation, inputs, output, ([dy]) => vjp(dy!))
  return output
}

/** `record` for an operation with several results: one node, whose rule sees the gradients of all of them at once. */
export function recordAll(
  operation: string,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  vjp: (cotangents: readonly (Tensor | undefined)[]) => readonly Cotangent[],
): void {
  if (!recording || !inputs.some(isTracked)) return
  const node: Node = { id: nextNode++, operation, inputs, vjp }
  outputs.forEach((output, slot) => {
    output.node = node
    output.slot = slot
  })
}

/** A tensor of its own on the same value, joined to `t` on the tape. */
export function identity(t: Tensor): Tensor {
  return record('identity', [t], t.alias(t.shape), (dy) => [dy])
}

/** Nodes that `roots` depend on, those with the largest number first; nodes numbered below `since` are not entered. */
export function reachable(roots: readonly Tensor[], since = 0): Node[] {
  const found = new Set<Node>()
  const pending: Node[] = []
  const enter = (t: Tensor) => {
    const node = t.node as Node | null
    if (!node || node.id < since || t.isDisposed || found.has(node)) return
    found.add(node)
    pending.push(node)
  }
  for (const root of roots) enter(root)
  for (let node = pending.pop(); node; node = pending.pop()) {
    for (const input of node.inputs) enter(input)
  }
  return [...found].sort((a, b) => b.id - a.id)
}

/** The error for a gradient that should flow through a result that is gone. */
export function brokenHistory(operation: string, t: Tensor): SluiceError {
  const place = t.disposedAt
  return new SluiceError(
    operation,
    `the gradient flows through ${t.node?.operation}'s result ${showShape(t.shape)}, which was disposed${place ? ` at ${place}` : ''}; ask for gradients inside the scope that made it, or return it from there`,
  )
}

export interface WalkOptions {
  /** The gradient of `output`; ones of its shape when it has one element. */
  cotangent?: Tensor
  /** Record the walk, so that its results can be differentiated again. */
  createGraph?: boolean
  /**
   * Number of the first node to walk; what older nodes made is taken as given. 0 unless given: a target that another
   * target depends on gets what flows through that one too.
   */
  since?: number
}

/**
 * Gradients of `output` with respect to `targets`; the caller owns them.
 *
 * A target that `output` does not depend on gets zeros.
 */
export function gradients(output: Tensor, targets: readonly Tensor[], options: WalkOptions = {}): Tensor[] {
  const wanted = new Set(targets)
  const found = new Map<Tensor, Tensor>()
  return withRecording(options.createGraph ?? false, () => {
    walk('grad', output, options, wanted, (t, gradient) => found.set(t, gradient))
    return targets.map((t) => found.get(t) ?? operations!.zerosLike(t))
  })
}

/**
 * Adds the gradient of `output` to `grad` of every leaf with `requiresGrad` that it depends on.
 *
 * @throws SluiceError when `output` has no history, or has more than one element and no cotangent is given
 */
export function backward(output: Tensor, cotangent?: Tensor, options: { createGraph?: boolean } = {}): void {
  if (!output.isTracked) {
    throw new SluiceError(
      'backward',
      `the result ${showShape(output.shape)} does not depend on any tensor with requiresGrad; set it before the forward pass, outside noGrad`,
    )
  }
  withRecording(options.createGraph ?? false, () => {
    walk('backward', output, { ...options, cotangent }, null, (leaf, gradient, stack) => {
      const old = leaf.grad
      const sum = old ? operations!.add(old, gradient) : gradient
      liveWith(sum, leaf, stack)
      leaf.grad = sum
      if (old && !options.createGraph) {
        old.dispose(stack)
        gradient.dispose(stack)
      }
    })
  })
}

/** Gradients that wait: with the node that will use them, by slot, or with the leaf that they belong to. */
class Waiting {
  readonly #byNode = new Map<Node, (Tensor | undefined)[]>()
  readonly #byLeaf = new Map<Tensor, Tensor>()

  /** @param nodes those of the walk: results of older ones count as leaves */
  constructor(nodes: readonly Node[]) {
    for (const node of nodes) this.#byNode.set(node, [])
  }

  /** What waits for a node of the walk, by slot. */
  at(node: Node): readonly (Tensor | undefined)[] {
    return this.#byNode.get(node)!
  }

  nodeOf(t: Tensor): Node | null {
    return this.#byNode.has(t.node as Node) ? (t.node as Node) : null
  }

  get(t: Tensor): Tensor | undefined {
    const slots = this.#byNode.get(t.node as Node)
    return slots ? slots[t.slot] : this.#byLeaf.get(t)
  }

  set(t: Tensor, gradient: Tensor): void {
    const slots = this.#byNode.get(t.node as Node)
    if (slots) slots[t.slot] = gradient
    else this.#byLeaf.set(t, gradient)
  }

  /** Takes out what waited for a node that has been walked: no more can come. */
  delete(node: Node): void {
    this.#byNode.delete(node)
  }

  /** Takes out the leaves with their gradients, one after the other. */
  *leaves(): Iterable<[leaf: Tensor, gradient: Tensor]> {
    for (const entry of this.#byLeaf) {
      this.#byLeaf.delete(entry[0])
      yield entry
    }
  }

  dispose(stack: () => string): void {
    for (const slots of this.#byNode.values()) for (const gradient of slots) gradient?.dispose(stack)
    for (const gradient of this.#byLeaf.values()) gradient.dispose(stack)
  }
}

/**
 * The walk. `wanted` are the tensors whose gradients are asked for (null: every leaf with `requiresGrad`); each is given
 * to `deliver` once, when no more can come, as a tensor of its own.
 *
 * Cotangents are freed as soon as they have been used, unless the walk is itself recorded.
 */
function walk(
  operation: string,
  output: Tensor,
  { cotangent, createGraph = false, since = 0 }: WalkOptions,
  wanted: ReadonlySet<Tensor> | null,
  deliver: (t: Tensor, gradient: Tensor, stack: () => string) => void,
): void {
  const { add, sumTo } = operations!
  const first = startCotangent(operation, output, cotangent, createGraph)
  const nodes = reachable([output], since)
  const flows = flowing(nodes, wanted, since)
  const waiting = new Waiting(nodes)
  const stack = stackHere()
  waiting.set(output, first)
  /** Targets that are results of nodes on the way. */
  const results = new Map<Node, Tensor[]>()
  for (const t of wanted ?? []) {
    const node = waiting.nodeOf(t)
    if (node) results.set(node, [...(results.get(node) ?? []), t])
  }

  /** Runs a node's rule. Gives what waits now, besides what did before; `isOwn` says what may wait as it is. */
  const step = (
    node: Node,
    cotangents: readonly (Tensor | undefined)[],
    isOwn: (t: Tensor) => boolean,
  ): readonly Tensor[] => {
    const made: Tensor[] = []
    const parts = node.vjp(cotangents)
    const { inputs } = node
    for (let i = 0; i < inputs.length; i++) {
      const input = inputs[i]
      const part = parts[i]
      if (part === null || part === undefined || !flows(input)) continue
      if (isBroken(input)) throw brokenHistory(operation, input)
      const raw = typeof part === 'function' ? part() : part
      const fitted = sameShape(raw.shape, input.shape) ? raw : sumTo(raw, input.shape)
      const before = waiting.get(input)
      if (!before) {
        // A rule may hand on a saved tensor, or one tensor twice; what waits is always a handle of the walk's own.
        const handle = createGraph || (isOwn(fitted) && !made.includes(fitted)) ? fitted : fitted.alias(fitted.shape)
        waiting.set(input, handle)
        made.push(handle)
        continue
      }
      const sum = add(before, fitted)
      waiting.set(input, sum)
      const place = made.indexOf(before)
      if (place >= 0) {
        // The rule may still give it to another input.
        made[place] = sum
      } else {
        made.push(sum)
        if (!createGraph && !cotangents.includes(before)) before.dispose(stack)
      }
    }
    return made
  }
  /** A step that is not recorded: frees what it made on the way, and the cotangents that do not wait any further. */
  const stepAndFree = (node: Node, cotangents: readonly (Tensor | undefined)[]) => {
    const scope = enterScope()
    let made: readonly Tensor[] = []
    try {
      made = step(node, cotangents, (t) => t.owner === scope || cotangents.includes(t))
      for (const t of made) letOut(t, scope)
    } finally {
      leaveScope(scope, stack)
    }
    waiting.delete(node)
    for (const t of cotangents) if (t && !made.includes(t)) t.dispose(stack)
  }
  /** Recorded, two places may share one tensor, which a rule handed on. */
  const own = (gradient: Tensor) => (createGraph ? identity(gradient) : gradient.alias(gradient.shape))
  try {
    for (const node of nodes) {
      const cotangents = waiting.at(node)
      if (cotangents.length === 0) continue
      for (const t of results.get(node) ?? []) {
        const gradient = cotangents[t.slot]
        if (gradient) deliver(t, own(gradient), stack)
      }
      if (createGraph) {
        step(node, cotangents, () => true)
        waiting.delete(node)
      } else {
        stepAndFree(node, cotangents)
      }
    }
    for (const [t, gradient] of waiting.leaves()) {
      if (wanted ? wanted.has(t) : t.requiresGrad) deliver(t, createGraph ? identity(gradient) : gradient, stack)
      else if (!createGraph) gradient.dispose(stack)
    }
  } finally {
    if (!createGraph) waiting.dispose(stack)
  }
}

/** Whether a tensor had a history that went when it was disposed. */
function isBroken(t: Tensor): boolean {
  return t.isDisposed && t.node !== null
}

/** Whether a gradient that reaches this tensor can go on to one that is asked for. */
function flowing(nodes: readonly Node[], wanted: ReadonlySet<Tensor> | null, since: number): (t: Tensor) => boolean {
  if (!wanted) return (t) => t.isTracked
  const useful = new Set<Node>()
  // What lies behind a disposed result is unknown: it may be a target, and zeros would be a lie.
  const unknown = (t: Tensor) => isBroken(t) && t.node!.id >= since
  const flows = (t: Tensor) => wanted.has(t) || (t.node !== null && useful.has(t.node as Node)) || unknown(t)
  for (let i = nodes.length - 1; i >= 0; i--) {
    if (nodes[i].inputs.some(flows)) useful.add(nodes[i])
  }
  return flows
}

/** The walk's own handle of the first cotangent. */
function startCotangent(
  operation: string,
  output: Tensor,
  cotangent: Tensor | undefined,
  createGraph: boolean,
): Tensor {
  if (isBroken(output)) throw brokenHistory(operation, output)
  if (cotangent === undefined) {
    if (output.size !== 1) {
      throw new SluiceError(
        operation,
        `the result has shape ${showShape(output.shape)}, expected one element; sum it, or give a cotangent of that shape`,
      )
    }
    return operations!.onesLike(output)
  }
  if (!isTensor(cotangent) || !sameShape(cotangent.shape, output.shape)) {
    const got = isTensor(cotangent) ? showShape(cotangent.shape) : typeof cotangent
    throw new SluiceError(
      operation,
      `the cotangent must have the result's shape ${showShape(output.shape)}, got ${got}`,
    )
  }
  if (cotangent.dtype === 'int32' || cotangent.device !== output.device) {
    throw new SluiceError(
      operation,
      `the cotangent must be float on ${output.device} as the result is, got ${cotangent.dtype} on ${cotangent.device}`,
    )
  }
  // An alias has no history, so a walk that is recorded keeps the tensor itself.
  return createGraph ? cotangent : cotangent.alias(cotangent.shape)
}
