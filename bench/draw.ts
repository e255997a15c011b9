/**
 * The `Draw` of operation records for measuring: always the same arguments, of a size at which the work outweighs the call.
 *
 * A shape that a record leaves open has 65536 elements; a record's own bound on sizes, and every range of integers, is kept
 * (the upper end is taken), since an integer may be an axis or a count as well as a size. Records whose sizes are such
 * integers have arguments of their own in `arguments.ts`.
 */
import { findDevice } from '../src/device/registry.ts'
import { SluiceError } from '../src/errors.ts'
import type { Draw, TensorDraw } from '../src/ops/record.ts'
import { Generator } from '../src/tensor/random.ts'
import { sizeOf } from '../src/tensor/shape.ts'
import { fromData } from '../src/tensor/tensor.ts'

/** Elements of a shape whose sizes the record leaves open. */
const ELEMENTS = 65536

/** Closest that a value comes to a point it keeps away from. */
const DISTANCE = 1 / 8

/** The range without `away` and its surroundings, as intervals. */
function allowed({ low = -2, high = 2, away = [] }: TensorDraw): [from: number, to: number][] {
  let from = low
  const intervals: [number, number][] = []
  for (const point of [...away].sort((a, b) => a - b)) {
    if (point - DISTANCE > from) intervals.push([from, Math.min(point - DISTANCE, high)])
    from = Math.max(from, point + DISTANCE)
  }
  if (from <= high) intervals.push([from, high])
  return intervals.filter(([a, b]) => a <= b)
}

/** Where the share u in [0, 1) of the intervals' total length lies. */
function pointAt(intervals: readonly (readonly [number, number])[], u: number): number {
  let left = u * intervals.reduce((sum, [from, to]) => sum + to - from, 0)
  for (const [from, to] of intervals) {
    if (left <= to - from) return from + left
    left -= to - from
  }
  return intervals.at(-1)![1]
}

/**
 * A `Draw` that gives the same arguments for the same seed: float64 and int32 tensors on the reference device.
 *
 * @example
 * benchDraw(1).shape({ minRank: 2 }) // [256, 256]
 */
export function benchDraw(seed = 1): Draw {
  const generator = new Generator(seed)
  const reference = findDevice('reference')
  return {
    integer: (_low, high) => high,
    boolean: () => false,
    pick: (options) => options[0],
    shape: ({ minRank = 0, maxRank = 3, maxSize } = {}) => {
      const rank = Math.max(minRank, Math.min(2, maxRank))
      return Array.from({ length: rank }, () => maxSize ?? Math.floor(ELEMENTS ** (1 / rank) + 1e-9))
    },
    broadcastable: (shape) => [...shape],
    tensor: (shape, options = {}) => {
      const n = sizeOf(shape)
      const intervals = allowed(options)
      if (intervals.length === 0) throw new SluiceError('draw', `no value fits ${JSON.stringify(options)}`)
      const shares = options.distinct
        ? Float64Array.from(generator.permutation(n), (place) => place / n)
        : Float64Array.from(generator.uniform(n))
      return fromData(
        shares.map((u) => pointAt(intervals, u)),
        shape,
        'float64',
        reference,
      )
    },
    indices: (shape, n) => fromData(generator.integers(sizeOf(shape), 0, n), shape, 'int32', reference),
  }
}
