/**
 * Finite differences: the gradient of a function measured, and compared with the one that the tape computes.
 *
 *   numeric_i = (L(x + eps e_i) - L(x - eps e_i)) / (2 eps),   L(x) = <fn(x), c>
 *
 * c is a fixed random cotangent, so that one number stands for every output. In float64 the error of the quotient is
 * about eps^2 |L'''| / 6 + 1e-16 |L| / eps: with eps = 1e-6 near 1e-10, far below the tolerance.
 */
import { gradients, noGrad, withRecording } from '../autograd/tape.ts'
import { findDevice } from '../device/registry.ts'
import { showShape } from '../errors.ts'
import { add } from '../ops/elementwise.ts'
import { Generator } from '../tensor/random.ts'
import type { Shape } from '../tensor/shape.ts'
import { fromData, scope, type Tensor } from '../tensor/tensor.ts'
import { floatsAmong, pinned } from './arguments.ts'
import { broken, Comparison, type Finding, showIndex, showNumber } from './finding.ts'

/** A function under test: tensors in; a tensor, or a list or record of tensors, out. */
export type Checked = (...inputs: Tensor[]) => unknown

/** How finite differences are taken, and how near a gradient must come. */
export interface DifferenceOptions {
  /** The step of the difference, 1e-6. */
  eps?: number
  /** Allowed: atol + rtol |numeric|; 1e-5 unless given. */
  atol?: number
  /** 1e-3 unless given. */
  rtol?: number
  /**
   * 'elements' measures every element of every input, by two evaluations each. 'direction' measures one random
   * direction through all of them, by two evaluations in all: as sure to see that something is wrong, not to say where.
   */
  mode?: 'elements' | 'direction'
}

export const differenceDefaults = { eps: 1e-6, atol: 1e-5, rtol: 1e-3, mode: 'elements' } as const

const onReference = (values: ArrayLike<number>, shape: Shape): Tensor =>
  fromData(values, shape, 'float64', findDevice('reference'))

/** n fixed random numbers of size 1/2 to 3/2 and either sign: none is small enough to hide a term. */
export function randomWeights(n: number, seed: number): Float64Array {
  const draws = new Generator(seed).uniform(2 * n)
  return Float64Array.from({ length: n }, (_, i) => (draws[2 * i] < 0.5 ? -1 : 1) * (0.5 + draws[2 * i + 1]))
}

const COTANGENT_SEED = 1
const DIRECTION_SEED = 2

/** sum over outputs of <plus - minus, cotangent>; equal infinities differ by nothing. */
function change(plus: readonly ArrayLike<number>[], minus: readonly ArrayLike<number>[], c: Float64Array[]): number {
  let total = 0
  plus.forEach((values, k) => {
    for (let i = 0; i < values.length; i++) {
      if (values[i] !== minus[k][i]) total += (values[i] - minus[k][i]) * c[k][i]
    }
  })
  return total
}

interface Analytic {
  /** The cotangent of every float output. */
  cotangents: Float64Array[]
  /** The gradient of every input; null for those that take none. */
  gradients: (ArrayLike<number> | null)[]
}

/** The tape's gradients of <fn(x), c>. */
function analyticGradients(fn: Checked, inputs: readonly Tensor[], values: (ArrayLike<number> | null)[]): Analytic {
  const leaves = inputs.map((t, i) => {
    const value = values[i]
    if (!value) return t
    const leaf = onReference(value, t.shape)
    leaf.requiresGrad = true
    return leaf
  })
  const targets = leaves.filter((_, i) => values[i])
  const outputs = withRecording(true, () => floatsAmong(pinned(() => fn(...leaves))))
  const cotangents = outputs.map((y, k) => randomWeights(y.size, COTANGENT_SEED + 16 * k))
  const sums = targets.map((t) => new Float64Array(t.size))
  outputs.forEach((y, k) => {
    if (!y.isTracked) return
    const found = gradients(y, targets, { cotangent: onReference(cotangents[k], y.shape) })
    found.forEach((g, i) => {
      const data = g.dataNow()
      for (let j = 0; j < data.length; j++) sums[i][j] += data[j]
    })
  })
  let next = 0
  return { cotangents, gradients: values.map((value) => (value ? sums[next++] : null)) }
}

/**
 * Compares the tape's gradients of `fn` with finite differences at `inputs`, float64 or int32 tensors on the reference
 * device; int32 ones take no gradient. Leaves nothing behind.
 */
export function differences(fn: Checked, inputs: readonly Tensor[], options: DifferenceOptions = {}): Finding {
  const { eps, atol, rtol, mode } = { ...differenceDefaults, ...options }
  return scope(() => {
    const values = inputs.map((t) => (t.dtype === 'int32' ? null : t.dataNow()))
    const analytic = analyticGradients(fn, inputs, values)
    if (analytic.cotangents.length === 0)
      return broken('the function returned no float tensor, so there is no gradient')
    /** The outputs at inputs of which some have other values. */
    const evaluate = (changed: (i: number) => ArrayLike<number> | null): ArrayLike<number>[] =>
      scope(() => {
        const given = inputs.map((t, i) => {
          const other = changed(i)
          return other ? onReference(other, t.shape) : t
        })
        return floatsAmong(pinned(() => noGrad(() => fn(...given)))).map((y) => y.dataNow())
      })
    const comparison = new Comparison()
    const compare = (got: number, numeric: number, what: () => string) => {
      const allowed = atol + rtol * Math.abs(numeric)
      comparison.compare(
        got,
        numeric,
        allowed,
        () =>
          `${what()} is analytic ${showNumber(got)}, numeric ${showNumber(numeric)}: ` +
          `they differ by ${showNumber(Math.abs(got - numeric))}, allowed ${showNumber(allowed)}`,
      )
    }

    if (mode === 'direction') {
      const directions = values.map((value, i) => value && randomWeights(value.length, DIRECTION_SEED + 16 * i))
      const moved = (step: number) =>
        evaluate((i) => values[i] && Float64Array.from(values[i], (x, j) => x + step * directions[i]![j]))
      let along = 0
      analytic.gradients.forEach((g, i) => {
        if (g) for (let j = 0; j < g.length; j++) along += g[j] * directions[i]![j]
      })
      const numeric = change(moved(eps), moved(-eps), analytic.cotangents) / (2 * eps)
      compare(along, numeric, () => 'the slope along a random direction')
      return comparison.finish()
    }

    values.forEach((value, i) => {
      if (!value) return
      const other = Float64Array.from(value)
      const moved = (j: number, x: number) => {
        other[j] = x
        return evaluate((at) => (at === i ? other : null))
      }
      for (let j = 0; j < value.length; j++) {
        const [above, below] = [value[j] + eps, value[j] - eps]
        const numeric = change(moved(j, above), moved(j, below), analytic.cotangents) / (above - below)
        other[j] = value[j]
        compare(analytic.gradients[i]![j], numeric, () => {
          const { shape } = inputs[i]
          return `the gradient of input ${i}, ${showShape(shape)},${shape.length ? ` at ${showIndex(shape, j)}` : ''}`
        })
      }
    })
    return comparison.finish()
  })
}

/**
 * The gradient of `fn` as a function of its inputs and of the cotangents of its outputs: what a second-order check
 * differentiates. Inputs come first, then one cotangent an output.
 */
export function gradientFunction(fn: Checked, inputCount: number): Checked {
  return (...all) => {
    const [inputs, cotangents] = [all.slice(0, inputCount), all.slice(inputCount)]
    const tracked = inputs.some((t) => t.isTracked) || cotangents.some((t) => t.isTracked)
    const leaves = inputs.map((t) => {
      if (t.dtype === 'int32' || t.isTracked) return t
      const leaf = t.detach()
      leaf.requiresGrad = true
      return leaf
    })
    const targets = leaves.filter((t) => t.dtype !== 'int32')
    const outputs = withRecording(true, () => floatsAmong(fn(...leaves)))
    let totals: Tensor[] = []
    outputs.forEach((y, k) => {
      if (!y.isTracked) return
      const found = gradients(y, targets, { cotangent: cotangents[k], createGraph: tracked })
      totals = totals.length === 0 ? found : totals.map((t, i) => add(t, found[i]))
    })
    return totals
  }
}

/** Random cotangents for the float outputs of `fn` at `inputs`, on the reference device. */
export function cotangentsFor(fn: Checked, inputs: readonly Tensor[]): Tensor[] {
  const shapes = scope(() => floatsAmong(pinned(() => noGrad(() => fn(...inputs)))).map((y) => y.shape))
  return shapes.map((shape, k) =>
    onReference(
      randomWeights(
        shape.reduce((a, b) => a * b, 1),
        7 + 16 * k,
      ),
      shape,
    ),
  )
}

/** `differences` of the gradient: second order in the inputs, and the first in the cotangents. */
export function secondDifferences(fn: Checked, inputs: readonly Tensor[], options: DifferenceOptions = {}): Finding {
  return scope(() => {
    const cotangents = cotangentsFor(fn, inputs)
    return differences(gradientFunction(fn, inputs.length), [...inputs, ...cotangents], options)
  })
}
