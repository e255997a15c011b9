/**
 * The graph behind a tensor as a drawing: tensors as boxes, with the value on the left and the gradient on the right, and
 * operations as ellipses between them. As micrograd draws it, with tensors.
 */
import { SluiceError, showShape } from '../errors.ts'
import { formatArray } from '../tensor/print.ts'
import { isTensor, type Tensor } from '../tensor/tensor.ts'
import type { Drawing, OperationBox, TensorBox } from './draw-text.ts'
import { gradients, reachable } from './tape.ts'

/** How much `draw` draws. */
export interface DrawOptions {
  /** Most boxes and ellipses that are drawn; 200 unless given. */
  limit?: number
}

/** Tensors of more elements are shown by their least, mean and largest value. */
const FEW = 6

/**
 * Draws the graph behind `y`: every tensor on the way, with its label, shape, value and gradient.
 *
 * Gradients are those of `y` when it has one element, and nothing is added to any `grad`; otherwise, or when part of the
 * graph was freed, what leaves hold in `grad`. Tensors that need no gradient show none. Names come from `t.label`.
 *
 * @returns `dot`, for Graphviz, and `svg`, a complete image
 * @throws SluiceError when the graph has more than `limit` boxes and ellipses
 *
 * @example
 * const a = tensor(2, { requiresGrad: true })
 * a.label = 'a'
 * const { svg } = await draw(a.square())
 */
export async function draw(y: Tensor, { limit = 200 }: DrawOptions = {}): Promise<{ dot: string; svg: string }> {
  if (!isTensor(y)) throw new SluiceError('draw', `expected a tensor, got ${typeof y}`)
  const nodes = reachable([y]).reverse()
  const tensors = new Set(nodes.flatMap((node) => node.inputs).concat(y))
  const count = nodes.length + tensors.size
  if (count > limit) {
    throw new SluiceError(
      'draw',
      `the graph has ${count} boxes and ellipses, more than the limit of ${limit}; draw a result nearer to its inputs, or raise the limit: draw(y, { limit: ${count} })`,
    )
  }
  const found = gradientsOf(y, [...tensors])
  const boxes = new Map<Tensor, TensorBox>()
  await Promise.all(
    [...tensors].map(async (t) => {
      const gradient = found ? found.get(t) : t.grad
      boxes.set(t, {
        kind: t === y ? 'result' : t.node ? 'step' : t.requiresGrad ? 'parameter' : 'constant',
        label: t.label,
        shape: showShape(t.shape),
        // A disposed `y` is refused, by the read.
        value: t.isDisposed && t !== y ? ['disposed'] : await show(t),
        gradient: gradient && !gradient.isDisposed ? await show(gradient) : null,
      })
    }),
  )
  for (const gradient of found?.values() ?? []) gradient.dispose()
  const drawing = arrange(y, nodes, boxes)
  // Loaded when something is drawn: a program that trains does not carry the layout.
  const { toDot, toSvg } = await import('./draw-text.ts')
  return { dot: toDot(drawing), svg: toSvg(drawing) }
}

/** Gradients of `y` for all that need one; null where they cannot be had. */
function gradientsOf(y: Tensor, tensors: readonly Tensor[]): Map<Tensor, Tensor> | null {
  if (y.size !== 1 || !y.isTracked || tensors.some((t) => t.isDisposed)) return null
  const targets = tensors.filter((t) => t.isTracked)
  const found = gradients(y, targets)
  return new Map(targets.map((t, i) => [t, found[i]]))
}

/** Boxes and ellipses in an order in which every edge runs forward: a node's inputs, the node, its results. */
function arrange(y: Tensor, nodes: ReturnType<typeof reachable>, boxes: ReadonlyMap<Tensor, TensorBox>): Drawing {
  const items: (TensorBox | OperationBox)[] = []
  const edges: [number, number][] = []
  const places = new Map<Tensor, number>()
  const placeOf = (t: Tensor): number => {
    let place = places.get(t)
    if (place === undefined) {
      place = items.push(boxes.get(t)!) - 1
      places.set(t, place)
    }
    return place
  }
  const results = new Map<Tensor['node'], Tensor[]>()
  for (const t of boxes.keys()) results.set(t.node, [...(results.get(t.node) ?? []), t])
  for (const node of nodes) {
    const inputs = node.inputs.map(placeOf)
    const operation = items.push({ kind: 'operation', name: node.operation }) - 1
    for (const input of inputs) edges.push([input, operation])
    for (const result of results.get(node)!) edges.push([operation, placeOf(result)])
  }
  placeOf(y)
  return { items, edges }
}

/** A tensor's value in a few short lines. */
async function show(t: Tensor): Promise<string[]> {
  const { shape, dtype } = t
  const data = await t.data()
  const short = (value: number, type: Tensor['dtype'] = dtype) =>
    formatArray([value], [1], type, { precision: 4 }).slice(1, -1).trim()
  if (shape.length === 0) {
    const exact = formatArray(data, [], dtype)
    return [exact.length <= 10 ? exact : short(data[0])]
  }
  if (data.length <= FEW) return formatArray(data, shape, dtype, { precision: 4, lineWidth: 48 }).split('\n')
  let [least, most, sum] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0]
  for (const value of data) {
    least = Math.min(least, value)
    most = Math.max(most, value)
    sum += value
  }
  const mean = short(sum / data.length, dtype === 'int32' ? 'float64' : dtype)
  return [`min  ${short(least)}`, `mean ${mean}`, `max  ${short(most)}`]
}
