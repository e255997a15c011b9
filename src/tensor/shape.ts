/** Shapes: sizes, strides, axes and NumPy's broadcasting, on plain lists of numbers. */
import { SluiceError, showShape } from '../errors.ts'

/** Sizes of the axes, from the outermost in; [] for a single number. */
export type Shape = readonly number[]

/** Number of elements; 1 for rank 0. */
export function sizeOf(shape: Shape): number {
  let size = 1
  for (const n of shape) size *= n
  return size
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length)
  let stride = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride
    stride *= shape[axis]
  }
  return strides
}

export function sameShape(a: Shape, b: Shape): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

export function checkShape(operation: string, shape: Shape): void {
  if (!Array.isArray(shape)) throw new SluiceError(operation, `a shape is a list of sizes, got ${String(shape)}`)
  for (const n of shape) {
    if (!Number.isInteger(n) || n < 0) {
      throw new SluiceError(operation, `shape ${showShape(shape)}: each size must be a non-negative integer, got ${n}`)
    }
  }
}

/** A non-negative axis from one that may count from the end. */
export function normalAxis(operation: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    const range = rank === 0 ? 'a rank-0 tensor has no axes' : `expected ${-rank} to ${rank - 1} for rank ${rank}`
    throw new SluiceError(operation, `axis ${axis} is out of range; ${range}`)
  }
  return axis < 0 ? axis + rank : axis
}

/** Sorted, distinct, non-negative axes; all of them when `axis` is undefined. */
export function normalAxes(operation: string, axis: number | readonly number[] | undefined, rank: number): number[] {
  if (axis === undefined) return Array.from({ length: rank }, (_, i) => i)
  const list = (typeof axis === 'number' ? [axis] : [...axis]).map((a) => normalAxis(operation, a, rank))
  list.sort((a, b) => a - b)
  const twice = list.find((a, i) => i > 0 && list[i - 1] === a)
  if (twice !== undefined) throw new SluiceError(operation, `axis ${twice} is named twice`)
  return list
}

/**
 * NumPy's broadcast of two shapes.
 *
 * @throws SluiceError naming the axis where the sizes differ and neither is 1
 */
export function broadcastShapes(operation: string, a: Shape, b: Shape): Shape {
  if (sameShape(a, b)) return a
  const rank = Math.max(a.length, b.length)
  const out = new Array<number>(rank)
  for (let i = 1; i <= rank; i++) {
    const m = a[a.length - i] ?? 1
    const n = b[b.length - i] ?? 1
    if (m !== n && m !== 1 && n !== 1) {
      throw new SluiceError(
        operation,
        `${showShape(a)} and ${showShape(b)} do not broadcast: sizes ${m} and ${n} at axis ${-i} differ and neither is 1`,
      )
    }
    out[rank - i] = m === 1 ? n : m
  }
  return out
}

/** Strides of a tensor of `shape` read as if it had the broadcast shape `out`: 0 where it repeats. */
export function broadcastStrides(shape: Shape, out: Shape): number[] {
  const own = stridesOf(shape)
  const lead = out.length - shape.length
  return out.map((_, axis) => (axis < lead || shape[axis - lead] === 1 ? 0 : own[axis - lead]))
}

/**
 * Adjacent axes joined wherever every operand walks them as one. Axes of size 1 vanish.
 *
 * @param strides one list of strides per operand, over `shape`
 */
export function collapse(
  shape: Shape,
  strides: readonly (readonly number[])[],
): { shape: number[]; strides: number[][] } {
  const outShape: number[] = []
  const outStrides: number[][] = strides.map(() => [])
  for (let axis = 0; axis < shape.length; axis++) {
    if (shape[axis] === 1) continue
    const last = outShape.length - 1
    const joins = last >= 0 && strides.every((s, i) => outStrides[i][last] === s[axis] * shape[axis])
    if (joins) {
      outShape[last] *= shape[axis]
      strides.forEach((s, i) => {
        outStrides[i][last] = s[axis]
      })
    } else {
      outShape.push(shape[axis])
      strides.forEach((s, i) => {
        outStrides[i].push(s[axis])
      })
    }
  }
  return { shape: outShape, strides: outStrides }
}

/** [outer, n, inner] around the axes first..last of `shape`, which are joined into n. */
export function around(shape: Shape, first: number, last: number = first): [outer: number, n: number, inner: number] {
  return [sizeOf(shape.slice(0, first)), sizeOf(shape.slice(first, last + 1)), sizeOf(shape.slice(last + 1))]
}
