/**
 * The tiles of the WebGPU matrix product, and the choice among them: op(a) op(b), [m, k] by [k, n], a batch of them.
 *
 * A workgroup computes a tile of `rows` x `columns` of the result. An invocation holds `cellRows` x `cellColumns` of them
 * in registers; `depth` steps of k at a time lie in workgroup memory. A larger tile reads each operand less often; a
 * smaller one gives more workgroups. Where even small tiles are few, k is split among workgroups and their sums are
 * added by a second pass, in order, so that the result is the same bits each time.
 */

export interface Tile {
  readonly name: string
  /** Of the result, multiples of 4 `cellRows` and 8 `cellColumns`. */
  readonly rows: number
  readonly columns: number
  /** Steps of k in workgroup memory at once, a multiple of 4. */
  readonly depth: number
  /** Results an invocation holds, multiples of 4. */
  readonly cellRows: number
  readonly cellColumns: number
  /**
   * 1: a step is fetched into registers while the last is multiplied, then stored over it, between two barriers.
   * 2: it is stored beside it, and one barrier is enough.
   */
  readonly buffers: 1 | 2
  /** Estimated share of a GPU's multiply-adds that the tile reaches when the GPU is full. */
  readonly efficiency: number
}

const tile = (
  name: string,
  [rows, columns, depth]: readonly number[],
  [cellRows, cellColumns]: readonly number[],
  buffers: 1 | 2,
  efficiency: number,
): Tile => ({ name, rows, columns, depth, cellRows, cellColumns, buffers, efficiency })

/**
 * Every tile, for benches; those with efficiency 0 are never chosen. None needs more than 256 invocations and 16 KiB.
 *
 * 8 x 8 cells take 4 vectors from workgroup memory for 64 multiply-adds, 8 x 4 take 3 for 32, 4 x 4 take 2 for 16.
 */
export const tiles: readonly Tile[] = [
  tile('128x128', [128, 128, 16], [8, 8], 1, 1),
  tile('128x64', [128, 64, 8], [8, 8], 1, 0.95),
  tile('64x64', [64, 64, 16], [8, 4], 1, 0.85),
  tile('32x32', [32, 32, 16], [4, 4], 1, 0.5),
  tile('128x128 twice', [128, 128, 8], [8, 8], 2, 0),
  tile('64x64 twice', [64, 64, 16], [8, 4], 2, 0),
  tile('32x64', [32, 64, 16], [4, 4], 1, 0),
]

/** Invocations of a workgroup. */
export function invocations(t: Tile): number {
  return (t.rows / t.cellRows) * (t.columns / t.cellColumns)
}

export interface Choice {
  readonly tile: Tile
  /** Parts that k is split into. */
  readonly splits: number
}

export interface Sizes {
  readonly m: number
  readonly n: number
  readonly k: number
  readonly batch: number
}

/**
 * The GPU that the estimate has in mind, since WebGPU does not tell: a large one, where filling it is what is hard. Costs
 * are counted in multiply-adds of one unit.
 */
const assumed = {
  /** Processors that take workgroups. */
  units: 128,
  /** Invocations that keep one unit busy. */
  busy: 384,
  /** A second dispatch: about 3 us of 128 multiply-adds a cycle. */
  dispatch: 600_000,
  /** A partial sum, written and read: 8 bytes, when 128 units share 3 TB/s. */
  partial: 0.55,
}

/** Steps of k below which a part is not split further. */
const LEAST_PART = 128
const MOST_SPLITS = 64

/** Estimated cost of a product in tiles of one kind. */
export function cost(t: Tile, { m, n, k, batch }: Sizes, splits: number): number {
  const groups = Math.ceil(m / t.rows) * Math.ceil(n / t.columns) * batch * splits
  const rounds = Math.ceil(groups / assumed.units)
  const busy = Math.min(1, (rounds * invocations(t)) / assumed.busy)
  const steps = Math.ceil(Math.ceil(k / splits) / t.depth) * t.depth
  const product = (rounds * t.rows * t.columns * steps) / (t.efficiency * busy)
  return splits === 1 ? product : product + assumed.dispatch + splits * m * n * batch * assumed.partial
}

/** The tile and the split of least estimated cost; it depends on nothing but the sizes. */
export function chooseTile(sizes: Sizes): Choice {
  let best: Choice | undefined
  let least = Infinity
  for (const t of tiles) {
    if (t.efficiency === 0) continue
    for (let splits = 1; splits <= MOST_SPLITS; splits *= 2) {
      if (splits > 1 && sizes.k / splits < LEAST_PART) break
      const estimate = cost(t, sizes, splits)
      if (estimate < least) {
        best = { tile: t, splits }
        least = estimate
      }
    }
  }
  return best!
}

/** Parts of a matrix-vector product's k, so that its workgroups fill the GPU. */
export function vectorSplits(groups: number, k: number): number {
  let splits = 1
  while (splits < MOST_SPLITS && groups * splits < assumed.units && k / (2 * splits) >= 16 * LEAST_PART) splits *= 2
  return splits
}
