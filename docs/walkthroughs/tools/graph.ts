/** The graph behind a scalar, drawn as `draw` draws tensors' graphs: for engines that a page writes itself. */
import { type Drawing, type OperationBox, type TensorBox, toSvg } from '../../../src/autograd/draw-text.ts'

/** What is drawn of a value. */
export interface ScalarNode {
  readonly label: string
  readonly data: number
  readonly gradient: number
  /** '' for a value that no operation made. */
  readonly operation: string
  readonly inputs: readonly ScalarNode[]
}

const show = (value: number) => [String(Number(value.toPrecision(4)))]

/**
 * Boxes for values, ellipses for the operations between them.
 *
 * @example
 * show('graph', drawScalars(loss))
 */
export function drawScalars(result: ScalarNode): string {
  const items: (TensorBox | OperationBox)[] = []
  const edges: [number, number][] = []
  const places = new Map<ScalarNode, number>()
  // Inputs before what is made of them, so that every edge runs forward.
  const place = (node: ScalarNode): number => {
    const known = places.get(node)
    if (known !== undefined) return known
    const inputs = node.inputs.map(place)
    if (node.operation !== '') {
      const operation = items.push({ kind: 'operation', name: node.operation }) - 1
      for (const input of inputs) edges.push([input, operation])
      edges.push([operation, operation + 1])
    }
    const kind = node === result ? 'result' : node.operation === '' ? 'parameter' : 'step'
    const { label, data, gradient } = node
    places.set(node, items.push({ kind, label, shape: '', value: show(data), gradient: show(gradient) }) - 1)
    return items.length - 1
  }
  place(result)
  const drawing: Drawing = { items, edges }
  return toSvg(drawing)
}
