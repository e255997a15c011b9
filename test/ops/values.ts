/** Small helpers of the algebra tests: making, reading and comparing tensors, and properties over 200 samples. */
import fc from 'fast-check'
import { expect } from 'vitest'
import { noGrad, scope, type Tensor, tensor } from '../../src/index.ts'
import { RUNS, SEED } from '../check/runs.ts'

export { RUNS, SEED }

export const make = (values: Parameters<typeof tensor>[0], options: Parameters<typeof tensor>[1] = {}): Tensor =>
  tensor(values, { device: 'reference', ...options })

export const leaf = (t: Tensor): Tensor => {
  const copy = t.detach()
  copy.requiresGrad = true
  return copy
}

export const numbers = (t: Tensor): number[] => [...t.dataNow()]

/** Values within `bound` of each other, absolute and relative to values above 1; NaN only beside NaN. */
export function expectClose(got: Tensor, expected: Tensor, bound: number, what = ''): void {
  expect([...got.shape], `${what} shape`).toEqual([...expected.shape])
  const b = expected.dataNow()
  const off = numbers(got).flatMap((x, i) => {
    const fine = Object.is(x, b[i]) || Math.abs(x - b[i]) <= bound * Math.max(1, Math.abs(b[i]))
    return fine ? [] : [`[${i}] is ${x}, expected ${b[i]}`]
  })
  expect(off, what).toEqual([])
}

/** The gradients of <output, cotangent>, cotangent 1 unless given; zeros where there is none. */
export function gradientsOf(output: Tensor, leaves: readonly Tensor[], cotangent?: Tensor): Tensor[] {
  for (const t of leaves) {
    t.grad?.dispose()
    t.grad = null
  }
  const weights = cotangent ?? output.detach().mul(0).add(1)
  if (output.isTracked) output.backward(weights)
  return leaves.map((t) => noGrad(() => t.grad?.add(0) ?? t.mul(0)))
}

/** A property over RUNS samples, each in a scope of its own. */
export function holds<T>(samples: fc.Arbitrary<T>, property: (sample: T) => void): void {
  fc.assert(
    fc.property(samples, (sample) => scope(() => property(sample))),
    { numRuns: RUNS, seed: SEED },
  )
}

/** Arrays of a shape from a formula of the index. */
export function table(shape: readonly number[], value: (...index: number[]) => number): Tensor {
  const size = shape.reduce((a, b) => a * b, 1)
  const data = Float64Array.from({ length: size }, (_, flat) => {
    const index: number[] = []
    for (let axis = shape.length - 1, rest = flat; axis >= 0; axis--) {
      index.unshift(rest % shape[axis])
      rest = Math.floor(rest / shape[axis])
    }
    return value(...index)
  })
  return make(data, { shape })
}
