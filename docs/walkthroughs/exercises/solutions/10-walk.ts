/**
 * The backward pass over the engine's tape: where paths meet, gradients add.
 *
 * `nodesOf` gives the nodes behind a result, the youngest first; every node's inputs are older than itself. Each
 * node's rule, `vjp`, takes the gradient of what the node made and gives those of its inputs: a tensor, a function
 * that makes one, or null for none. No input is broadcast here, and every node makes one tensor.
 */
import { ones, type Tensor } from 'sluice'

interface Node {
  readonly id: number
  readonly inputs: readonly Tensor[]
  vjp(cotangents: readonly Tensor[]): readonly (Tensor | (() => Tensor) | null)[]
}

export function nodesOf(result: Tensor): { node: Node; made: Tensor }[] {
  const found = new Map<Node, Tensor>()
  const enter = (t: Tensor) => {
    const node = t.node as Node | null
    if (!node || found.has(node)) return
    found.set(node, t)
    node.inputs.forEach(enter)
  }
  enter(result)
  return [...found].map(([node, made]) => ({ node, made })).sort((a, b) => b.node.id - a.node.id)
}

/** @returns the gradient of the sum of `result` by every tensor on the way that needs one */
export function gradientsOf(result: Tensor): Map<Tensor, Tensor> {
  const gradients = new Map([[result, ones(result.shape, { device: result.device })]])
  for (const { node, made } of nodesOf(result)) {
    const parts = node.vjp([gradients.get(made)!])
    node.inputs.forEach((input, i) => {
      const part = parts[i]
      if (!part || !input.isTracked) return
      const gradient = typeof part === 'function' ? part() : part
      const before = gradients.get(input)
      gradients.set(input, before ? before.add(gradient) : gradient)
    })
  }
  return gradients
}
