/**
 * A layered drawing of a directed graph without cycles, left to right.
 *
 * Four steps: every vertex gets a column, one behind the last of its predecessors; an edge over several columns gets a
 * free slot in each of those between; the order within columns is improved by barycentres until crossings stop
 * falling; heights are the nearest to the neighbours' mean that keeps the order and the gaps (a weighted isotonic
 * regression, solved by pooling adjacent violators). So boxes never overlap, and edges bend only between columns.
 *
 * Source of the scheme: Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures",
 * IEEE Transactions on Systems, Man and Cybernetics 11 (1981).
 */

export interface Size {
  readonly width: number
  readonly height: number
}

export interface Point {
  readonly x: number
  readonly y: number
}

export interface Layout extends Size {
  /** Centres of the vertices, in order. */
  readonly centres: readonly Point[]
  /** For each edge, points two by two: the edge runs straight within a pair, and bends from pair to pair. */
  readonly routes: readonly (readonly Point[])[]
}

export interface Gaps {
  /** Between columns. */
  readonly x: number
  /** Between the boxes of a column. */
  readonly y: number
  /** Around the drawing. */
  readonly margin: number
}

/** A vertex of the drawing, or the slot of a long edge in a column that it passes. */
interface Slot extends Size {
  readonly column: number
  readonly before: Slot[]
  readonly after: Slot[]
  readonly isVertex: boolean
  /** Rank in its column. */
  rank: number
  y: number
}

const SLOT_HEIGHT = 8
const SWEEPS = 16

/**
 * Places boxes and routes edges.
 *
 * @param sizes of the vertices, listed so that every edge runs from an earlier one to a later one
 * @param edges pairs of indices into `sizes`; a pair may come twice
 */
export function layered(
  sizes: readonly Size[],
  edges: readonly (readonly [from: number, to: number])[],
  gaps: Gaps,
): Layout {
  const columns = columnsOf(sizes.length, edges)
  const vertices = sizes.map(({ width, height }, i) => slot(columns[i], width, height, true))
  const chains = edges.map(([from, to]) => chain(vertices[from], vertices[to]))
  const layers: Slot[][] = Array.from({ length: Math.max(0, ...columns) + 1 }, () => [])
  for (const s of new Set([...vertices, ...chains.flat()])) layers[s.column].push(s)
  for (const layer of layers) setRanks(layer)
  orderLayers(layers)
  placeHeights(layers, gaps.y)

  const widths = layers.map((layer) => Math.max(...layer.map((s) => s.width)))
  const lefts: number[] = []
  let right = gaps.margin - gaps.x
  for (const width of widths) {
    lefts.push(right + gaps.x)
    right += gaps.x + width
  }
  const all = layers.flat()
  const top = Math.min(...all.map((s) => s.y - s.height / 2)) - gaps.margin
  const bottom = Math.max(...all.map((s) => s.y + s.height / 2)) + gaps.margin
  const centre = (s: Slot): Point => ({ x: lefts[s.column] + widths[s.column] / 2, y: s.y - top })
  const twins = twinOffsets(edges)
  const routes = chains.map((slots, edge) =>
    slots.flatMap((s, i): Point[] => {
      const { x, y } = centre(s)
      const half = widths[s.column] / 2
      // Many twins of a low box share its height: beyond it they would run into the box's neighbours.
      const at = y + (s.isVertex ? Math.max(-s.height / 2, Math.min(s.height / 2, twins[edge])) : 0)
      if (i === 0)
        return [
          { x: x + s.width / 2, y: at },
          { x: x + half, y: at },
        ]
      if (i === slots.length - 1)
        return [
          { x: x - half, y: at },
          { x: x - s.width / 2, y: at },
        ]
      return [
        { x: x - half, y: at },
        { x: x + half, y: at },
      ]
    }),
  )
  return { width: right + gaps.margin, height: bottom - top, centres: vertices.map(centre), routes }
}

function slot(column: number, width: number, height: number, isVertex: boolean): Slot {
  return { column, width, height, isVertex, before: [], after: [], rank: 0, y: 0 }
}

/** Columns: behind all predecessors; a vertex without any stands just before its first successor. */
function columnsOf(count: number, edges: readonly (readonly [number, number])[]): number[] {
  const columns = new Array<number>(count).fill(0)
  const isSource = new Array<boolean>(count).fill(true)
  const nearest = new Array<number>(count).fill(Number.POSITIVE_INFINITY)
  // By target: when an edge is looked at, all edges into its source were.
  for (const [from, to] of [...edges].sort((a, b) => a[1] - b[1])) {
    columns[to] = Math.max(columns[to], columns[from] + 1)
    isSource[to] = false
  }
  for (const [from, to] of edges) nearest[from] = Math.min(nearest[from], columns[to])
  return columns.map((column, i) => (isSource[i] && nearest[i] < Number.POSITIVE_INFINITY ? nearest[i] - 1 : column))
}

/** The slots that an edge passes, its ends included, joined to each other. */
function chain(from: Slot, to: Slot): Slot[] {
  const slots = [from]
  for (let column = from.column + 1; column < to.column; column++) slots.push(slot(column, 0, SLOT_HEIGHT, false))
  slots.push(to)
  for (let i = 1; i < slots.length; i++) {
    slots[i - 1].after.push(slots[i])
    slots[i].before.push(slots[i - 1])
  }
  return slots
}

/** Edges between the same two vertices lie beside each other. */
function twinOffsets(edges: readonly (readonly [number, number])[]): number[] {
  const SPREAD = 8
  const total = new Map<string, number>()
  const places = edges.map((edge) => {
    const place = total.get(String(edge)) ?? 0
    total.set(String(edge), place + 1)
    return place
  })
  return edges.map((edge, i) => SPREAD * (places[i] - (total.get(String(edge))! - 1) / 2))
}

/** Orders each column by the mean rank of its neighbours, to and fro; keeps the best order seen. */
function orderLayers(layers: Slot[][]): void {
  let fewest = crossings(layers)
  let best = layers.map((layer) => [...layer])
  for (let sweep = 0; sweep < SWEEPS && fewest > 0; sweep++) {
    const forward = sweep % 2 === 0
    for (const layer of forward ? layers : [...layers].reverse()) {
      const key = new Map(layer.map((s) => [s, mean((forward ? s.before : s.after).map((n) => n.rank)) ?? s.rank]))
      layer.sort((a, b) => key.get(a)! - key.get(b)! || a.rank - b.rank)
      setRanks(layer)
    }
    const now = crossings(layers)
    if (now < fewest) {
      fewest = now
      best = layers.map((layer) => [...layer])
    }
  }
  best.forEach((layer, column) => {
    layers[column] = layer
    setRanks(layer)
  })
}

function setRanks(layer: readonly Slot[]): void {
  layer.forEach((s, i) => {
    s.rank = i
  })
}

/** Pairs of edges between neighbouring columns that cross. */
function crossings(layers: readonly (readonly Slot[])[]): number {
  let count = 0
  for (const layer of layers) {
    const edges = layer.flatMap((s) => s.after.map((t) => [s.rank, t.rank]))
    for (let i = 0; i < edges.length; i++) {
      for (let j = 0; j < i; j++) {
        if ((edges[i][0] - edges[j][0]) * (edges[i][1] - edges[j][1]) < 0) count++
      }
    }
  }
  return count
}

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((a, b) => a + b, 0) / values.length
}

/** Heights: towards the mean of the neighbours before, then behind, then both, in the given order of each column. */
function placeHeights(layers: readonly (readonly Slot[])[], gap: number): void {
  for (const layer of layers) settle(layer, () => 0, gap)
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const forward = sweep % 2 === 0
    const last = sweep >= SWEEPS - 6
    for (const layer of forward ? layers : [...layers].reverse()) {
      const neighbours = (s: Slot) => (last ? [...s.before, ...s.after] : forward ? s.before : s.after)
      settle(layer, (s) => mean(neighbours(s).map((n) => n.y)) ?? s.y, gap)
    }
  }
}

/** A run of boxes that touch: moves as one. */
interface Pool {
  weight: number
  /** Mean of the wished heights, each less the box's own offset. */
  base: number
  count: number
}

/** The heights nearest to those wished for, in squares, that keep the order and `gap`. Slots weigh more: edges stay straight. */
function settle(layer: readonly Slot[], wish: (s: Slot) => number, gap: number): void {
  const offsets: number[] = []
  layer.forEach((s, i) => {
    offsets.push(i === 0 ? 0 : offsets[i - 1] + (layer[i - 1].height + s.height) / 2 + gap)
  })
  const pools: Pool[] = []
  layer.forEach((s, i) => {
    let pool: Pool = { weight: s.isVertex ? 1 : 3, base: wish(s) - offsets[i], count: 1 }
    for (let above = pools.at(-1); above && above.base > pool.base; above = pools.at(-1)) {
      const weight = above.weight + pool.weight
      const base = (above.base * above.weight + pool.base * pool.weight) / weight
      pool = { weight, base, count: above.count + pool.count }
      pools.pop()
    }
    pools.push(pool)
  })
  let i = 0
  for (const { base, count } of pools) {
    for (const end = i + count; i < end; i++) layer[i].y = base + offsets[i]
  }
}
