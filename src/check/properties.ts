/**
 * What must hold of every operation's gradient, each as a check of one sample.
 *
 *  - first order and second order: against finite differences;
 *  - linearity: vjp(a u + b w) = a vjp(u) + b vjp(w), since a vector-Jacobian product is linear in the cotangent;
 *  - broadcasting: where an operand repeats, its gradient is the sum of that of the operand laid out in full;
 *  - no gradient: an operation that declares none records nothing.
 */
import { gradients, withRecording } from '../autograd/tape.ts'
import { SluiceError, showShape } from '../errors.ts'
import { type OpRecord, tensorsAmong } from '../ops/record.ts'
import { Generator } from '../tensor/random.ts'
import { broadcastShapes, broadcastStrides, type Shape, sameShape, sizeOf } from '../tensor/shape.ts'
import { isTensor, scope, type Tensor } from '../tensor/tensor.ts'
import { floatsAmong, pinned, replaceTensors, showCall } from './arguments.ts'
import { type Checked, differences, randomWeights, secondDifferences } from './differences.ts'
import { referenceTensor } from './draw.ts'
import { broken, Comparison, type Finding, gap, showIndex, showNumber } from './finding.ts'

/**
 * Tolerance of finite differences over samples with values near 1: tighter than `gradcheck`'s default, as the quotient's
 * own error is near 1e-10 there, and near 1e-8 where third derivatives reach 10^4.
 */
const samplesTolerance = { eps: 1e-6, atol: 1e-6, rtol: 1e-5 }

/** Samples with more elements than this are measured along one random direction instead of element by element. */
const MOST_ELEMENTS = 150

/** Sums of products in float64 in another order: 100 roundings of 1e-16, with room for values of 1000. */
const REORDERED = 1e-11

/** The tensors of a call whose gradients are checked, each once. */
export function targetsOf(record: OpRecord, given: readonly unknown[]): Tensor[] {
  const all = tensorsAmong(given)
  return [...new Set(all.filter((t, i) => t.dtype !== 'int32' && !record.fixed.includes(i)))]
}

function run(record: OpRecord, given: readonly unknown[]): unknown {
  return pinned(() => (record.call as (...given: unknown[]) => unknown)(...given))
}

/** The call as a function of its targets, given in their order. */
function asFunction(record: OpRecord, given: readonly unknown[], targets: readonly Tensor[]): Checked {
  return (...values) => {
    const other = new Map(targets.map((t, i) => [t, values[i]]))
    return run(record, replaceTensors(given, (t) => other.get(t) ?? t) as unknown[])
  }
}

/**
 * A finding at a sample with too many elements to measure one by one is looked at again element by element, so that the
 * message says where; it stays as it is if no single element is off.
 */
function located(finding: Finding, again: () => Finding): Finding {
  if (finding.message === null) return finding
  const elements = again()
  return elements.message === null ? finding : elements
}

export function firstOrder(record: OpRecord, given: readonly unknown[]): Finding | null {
  const targets = targetsOf(record, given)
  if (targets.length === 0) return null
  const fn = asFunction(record, given, targets)
  if (targets.reduce((n, t) => n + t.size, 0) <= MOST_ELEMENTS) return differences(fn, targets, samplesTolerance)
  const finding = differences(fn, targets, { ...samplesTolerance, mode: 'direction' })
  return located(finding, () => differences(fn, targets, samplesTolerance))
}

export function secondOrder(record: OpRecord, given: readonly unknown[]): Finding | null {
  const targets = targetsOf(record, given)
  if (targets.length === 0) return null
  const fn = asFunction(record, given, targets)
  const finding = secondDifferences(fn, targets, { ...samplesTolerance, mode: 'direction' })
  const result = located(finding, () => secondDifferences(fn, targets, samplesTolerance))
  return result.message === null ? result : { ...result, message: `of the gradient as a function: ${result.message}` }
}

/** A call with its targets as leaves, ready for gradients: its float outputs and the leaves. */
function recorded(record: OpRecord, given: readonly unknown[]): { outputs: Tensor[]; leaves: Tensor[] } {
  const targets = targetsOf(record, given)
  const leaves = targets.map((t) => {
    const leaf = t.detach()
    leaf.requiresGrad = true
    return leaf
  })
  const outputs = withRecording(true, () => floatsAmong(asFunction(record, given, targets)(...leaves)))
  return { outputs, leaves }
}

/** The gradients of all leaves, summed over the outputs, for given cotangents. */
function pull(outputs: readonly Tensor[], leaves: readonly Tensor[], cotangents: Float64Array[]): Float64Array[] {
  const sums = leaves.map((t) => new Float64Array(t.size))
  outputs.forEach((y, k) => {
    if (!y.isTracked) return
    gradients(y, leaves, { cotangent: referenceTensor(cotangents[k], y.shape) }).forEach((g, i) => {
      g.dataNow().forEach((value, j) => {
        sums[i][j] += value
      })
    })
  })
  return sums
}

export function linearity(record: OpRecord, given: readonly unknown[]): Finding | null {
  if (targetsOf(record, given).length === 0) return null
  return scope(() => {
    const { outputs, leaves } = recorded(record, given)
    const [a, b] = [0.75, -1.5]
    const u = outputs.map((y, k) => randomWeights(y.size, 3 + 16 * k))
    const w = outputs.map((y, k) => randomWeights(y.size, 4 + 16 * k))
    const mixed = u.map((values, k) => values.map((x, i) => a * x + b * w[k][i]))
    const [ofU, ofW, ofMixed] = [u, w, mixed].map((cotangents) => pull(outputs, leaves, cotangents))
    const comparison = new Comparison()
    ofMixed.forEach((values, i) => {
      for (let j = 0; j < values.length; j++) {
        const expected = a * ofU[i][j] + b * ofW[i][j]
        const bound = REORDERED * (1 + Math.abs(ofU[i][j]) + Math.abs(ofW[i][j]))
        comparison.compare(
          values[j],
          expected,
          bound,
          () =>
            `the gradient is not linear in the cotangent: of input ${i} at ${showIndex(leaves[i].shape, j)}, ` +
            `vjp(a u + b w) is ${showNumber(values[j])}, a vjp(u) + b vjp(w) is ${showNumber(expected)}`,
        )
      }
    })
    return comparison.finish()
  })
}

const repeats = (shape: Shape, whole: Shape): boolean => {
  if (shape.length > whole.length) return false
  try {
    return sameShape(broadcastShapes('', shape, whole), whole)
  } catch {
    return false
  }
}

/** Where each element of a tensor of shape `whole` comes from in one of `shape` that broadcasts to it. */
function sources(shape: Shape, whole: Shape): Int32Array {
  const strides = broadcastStrides(shape, whole)
  return Int32Array.from({ length: sizeOf(whole) }, (_, flat) => {
    let [rest, from] = [flat, 0]
    for (let axis = whole.length - 1; axis >= 0; axis--) {
      from += (rest % whole[axis]) * strides[axis]
      rest = Math.floor(rest / whole[axis])
    }
    return from
  })
}

/**
 * Whether the operation broadcasts is found out, not declared: it does where laying its operands out in the result's shape
 * changes nothing. Values are moved off the grid first, since on the grid a few of them may agree by chance.
 */
export function broadcastAdjoint(record: OpRecord, given: readonly unknown[]): Finding | null {
  return scope(() => {
    const drawn = [...new Set(tensorsAmong(given))]
    const generator = new Generator(5)
    const moved = new Map(
      drawn.map((t) => {
        if (t.dtype === 'int32') return [t, t] as const
        const noise = generator.uniform(t.size)
        return [
          t,
          referenceTensor(
            t.dataNow().map((x, i) => x + 2 ** -10 * noise[i]),
            t.shape,
          ),
        ] as const
      }),
    )
    const own = replaceTensors(given, (t) => moved.get(t)!) as unknown[]
    const short = recorded(record, own)
    const [y] = short.outputs
    if (short.outputs.length !== 1 || short.leaves.length === 0) return null
    const mine = tensorsAmong(own)
    if (!mine.every((t) => repeats(t.shape, y.shape)) || mine.every((t) => sameShape(t.shape, y.shape))) return null

    const full = replaceTensors(own, (t) => {
      const from = sources(t.shape, y.shape)
      const data = t.dataNow()
      return t.dtype === 'int32'
        ? t.expand(y.shape)
        : referenceTensor(
            Float64Array.from(from, (i) => data[i]),
            y.shape,
          )
    }) as unknown[]
    const cotangents = [randomWeights(y.size, 6)]
    const expected = y.dataNow()
    let gradientsWhole: Float64Array[]
    try {
      const whole = recorded(record, full)
      if (!sameShape(whole.outputs[0].shape, y.shape)) return null
      if (whole.outputs[0].dataNow().some((x, i) => gap(x, expected[i]) > 1e-9)) return null
      gradientsWhole = pull(whole.outputs, whole.leaves, cotangents)
    } catch (error) {
      // Refused: the operation does not take its operands in this shape. Internal ones may notice late.
      if (error instanceof SluiceError) return null
      throw error
    }
    const gradientsShort = pull([y], short.leaves, cotangents)
    const comparison = new Comparison()
    short.leaves.forEach((leaf, i) => {
      const from = sources(leaf.shape, y.shape)
      const sums = new Float64Array(leaf.size)
      const sizes = new Float64Array(leaf.size)
      gradientsWhole[i].forEach((value, j) => {
        sums[from[j]] += value
        sizes[from[j]] += Math.abs(value)
      })
      sums.forEach((sum, j) => {
        comparison.compare(
          gradientsShort[i][j],
          sum,
          REORDERED * (1 + sizes[j]),
          () =>
            `input ${i}, ${showShape(leaf.shape)}, repeats in the result ${showShape(y.shape)}: its gradient at ` +
            `${showIndex(leaf.shape, j)} is ${showNumber(gradientsShort[i][j])}, ` +
            `the sum of the gradient laid out in full is ${showNumber(sum)}`,
        )
      })
    })
    return comparison.finish()
  })
}

export function noGradient(record: OpRecord, given: readonly unknown[]): Finding | null {
  return scope(() => {
    const { outputs, leaves } = recorded(record, given)
    const comparison = new Comparison()
    for (const y of outputs.length ? outputs : leaves) {
      comparison.compare(
        y.node ? 1 : 0,
        0,
        0.5,
        () => `declared without a gradient, but ${y.node?.operation} recorded one`,
      )
    }
    return comparison.finish()
  })
}

/** Every bad input of the record: it must be refused by a SluiceError with the stated message, and stay usable. */
export function badInputs(record: OpRecord): Finding {
  const comparison = new Comparison()
  for (const { what, arguments: make, message } of record.errors) {
    const wrong = scope(() => {
      const given = make()
      try {
        run(record, given)
      } catch (error) {
        if (!(error instanceof SluiceError)) return `it threw ${String(error)}, expected a SluiceError`
        if (!message.test(error.message)) return `the message was «${error.message}», expected ${message}`
        return given.some((t) => isTensor(t) && t.isDisposed) ? 'it disposed its input' : null
      }
      return `it was accepted, expected an error ${message}`
    })
    const told = () => `given ${what}, ${showCall(record.name, make())}: ${wrong}`
    comparison.compare(wrong === null ? 0 : 1, 0, 0.5, told)
  }
  const finding = comparison.finish()
  return finding.message === null ? finding : broken(finding.message)
}
