/**
 * Random programs: a directed graph of elementwise, reducing and moving operations over a few inputs.
 *
 * Every operation in it is smooth where it is used, so a program has a gradient of every order, and each node carries a
 * bound on its values, so that products and exponentials cannot run away.
 */
import fc from 'fast-check'
import type { Draw } from '../ops/record.ts'
import { operations } from '../ops/record.ts'
import { broadcastShapes, type Shape, sameShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { showValue } from './arguments.ts'
import { drawFrom } from './draw.ts'

/** A random composition of operations, for properties that hold for every program. */
export interface Program {
  /** The program as text, one assignment a line. */
  readonly description: string
  /** Shapes of the inputs that `run` takes; their values should lie in [-2, 2]. */
  readonly shapes: readonly Shape[]
  /** Input values of these shapes, float64 on the reference device. */
  readonly inputs: readonly Tensor[]
  /** Runs it. The result has shape [] and depends on every value that nothing else used. */
  run(inputs: readonly Tensor[]): Tensor
}

/** A value of the program: its shape, and a bound on the size of its elements. */
interface Value {
  readonly shape: Shape
  readonly bound: number
}

interface Step {
  readonly op: string
  /** Places of the operands among the values so far. */
  readonly operands: readonly number[]
  readonly rest: readonly unknown[]
  /** Operands are given as one list. */
  readonly list: boolean
  readonly value: Value
}

/** Smooth functions of one number, and the bound of the result from that of x. */
const functions: Readonly<Record<string, (bound: number) => number>> = {
  neg: (b) => b,
  sin: () => 1,
  cos: () => 1,
  tanh: () => 1,
  sigmoid: () => 1,
  silu: (b) => b,
  gelu: (b) => b,
  softplus: (b) => b + 1,
  erf: () => 1,
  square: (b) => b * b,
  exp: (b) => Math.exp(b),
}

const pairs: Readonly<Record<string, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a + b,
  mul: (a, b) => a * b,
}

/** Larger values are brought back by tanh instead. */
const LARGEST = 32

const broadcasts = (a: Shape, b: Shape): boolean => {
  const rank = Math.min(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => [a.at(-1 - i)!, b.at(-1 - i)!]).every(
    ([m, n]) => m === n || m === 1 || n === 1,
  )
}

function drawStep(draw: Draw, values: readonly Value[]): Step {
  const last = values.length - 1
  // Counted from the end, so that shrinking makes chains of the latest values.
  const place = last - draw.integer(0, last)
  const { shape, bound } = values[place]
  const step = (op: string, rest: readonly unknown[], value: Value): Step => ({
    op,
    operands: [place],
    rest,
    list: false,
    value,
  })
  const kind = draw.pick(['function', 'pair', 'reduce', 'move', 'normalise'] as const)
  const size = shape.reduce((a, b) => a * b, 1)
  if (kind === 'pair') {
    const mates = values.flatMap((other, i) => (broadcasts(shape, other.shape) ? [i] : []))
    const mate = draw.pick(mates)
    const op = draw.pick(Object.keys(pairs))
    const joined = pairs[op](bound, values[mate].bound)
    if (joined <= LARGEST) {
      const whole = broadcastShapes('program', shape, values[mate].shape)
      return { op, operands: [place, mate], rest: [], list: false, value: { shape: whole, bound: joined } }
    }
  }
  if (kind === 'reduce' && shape.length > 0) {
    const axis = draw.integer(0, shape.length - 1)
    const op = draw.pick(['sum', 'mean', 'logsumexp'])
    const grown = op === 'sum' ? bound * shape[axis] : bound + 2
    const keepdim = draw.boolean()
    const reduced = keepdim ? shape.with(axis, 1) : shape.toSpliced(axis, 1)
    if (grown <= LARGEST) return step(op, [{ axis, keepdim }], { shape: reduced, bound: grown })
  }
  if (kind === 'normalise' && shape.length > 0) {
    const axis = draw.integer(0, shape.length - 1)
    const op = draw.pick(['softmax', 'logSoftmax', 'cumsum'])
    const grown = { softmax: 1, logSoftmax: 2 * bound + 2, cumsum: bound * shape[axis] }[op]!
    if (grown <= LARGEST) return step(op, [axis], { shape, bound: grown })
  }
  if (kind === 'move' && shape.length > 0) return drawMove(draw, values, place, step)
  const op = draw.pick(Object.keys(functions))
  const grown = functions[op](bound)
  return grown <= LARGEST || size === 0 ? step(op, [], { shape, bound: grown }) : step('tanh', [], { shape, bound: 1 })
}

function drawMove(
  draw: Draw,
  values: readonly Value[],
  place: number,
  step: (op: string, rest: readonly unknown[], value: Value) => Step,
): Step {
  const { shape, bound } = values[place]
  const axis = draw.integer(0, shape.length - 1)
  const op = draw.pick(['reshape', 'permute', 'flip', 'slice', 'pad', 'concat', 'expand'])
  switch (op) {
    case 'permute': {
      const axes = shape.map((_, i) => i).reverse()
      return step(op, [axes], { shape: axes.map((i) => shape[i]), bound })
    }
    case 'flip':
      return step(op, [axis], { shape, bound })
    case 'slice': {
      const start = draw.integer(0, shape[axis] - 1)
      const ranges = shape.map((_, i) => (i === axis ? [start, shape[axis]] : null))
      return step(op, [ranges], { shape: shape.with(axis, shape[axis] - start), bound })
    }
    case 'pad': {
      const widths = shape.map((_, i) => (i === axis ? [1, 0] : [0, 0]))
      return step(op, [widths], { shape: shape.with(axis, shape[axis] + 1), bound })
    }
    case 'concat': {
      const mates = values.flatMap((other, i) => (sameShape(shape, other.shape) ? [i] : []))
      const mate = draw.pick(mates)
      const value = { shape: shape.with(axis, 2 * shape[axis]), bound: Math.max(bound, values[mate].bound) }
      return { op, operands: [place, mate], rest: [axis], list: true, value }
    }
    case 'expand':
      return step(op, [[2, ...shape]], { shape: [2, ...shape], bound })
    default:
      return step('reshape', [[-1]], { shape: [shape.reduce((a, b) => a * b, 1)], bound })
  }
}

/** Larger tensors would only make the programs slow. */
const MOST_ELEMENTS = 32

function drawProgram(draw: Draw, most: number): Program {
  const base = draw.shape({ maxRank: 2, maxSize: 3 })
  const shapes = [base, ...Array.from({ length: draw.integer(0, 2) }, () => draw.broadcastable(base))]
  const values: Value[] = shapes.map((shape) => ({ shape, bound: 2 }))
  const steps: Step[] = []
  const count = draw.integer(1, most)
  for (let i = 0; i < count; i++) {
    const step = drawStep(draw, values)
    if (step.value.shape.reduce((a, b) => a * b, 1) > MOST_ELEMENTS || step.value.shape.length > 4) continue
    steps.push(step)
    values.push(step.value)
  }
  const used = new Set(steps.flatMap(({ operands }) => operands))
  const ends = values.flatMap((_, i) => (used.has(i) ? [] : [i]))
  const name = (i: number) => (i < shapes.length ? `x${i}` : `t${i - shapes.length}`)
  const lines = steps.map(({ op, operands, rest, list }, i) => {
    const names = operands.map(name).join(', ')
    return `${name(shapes.length + i)} = ${op}(${[list ? `[${names}]` : names, ...rest.map(showValue)].join(', ')})`
  })
  const call = (op: string, given: readonly unknown[]) =>
    (operations.get(op)!.call as (...given: unknown[]) => Tensor)(...given)
  return {
    description: [
      ...shapes.map((shape, i) => `x${i} [${shape.join(', ')}]`),
      ...lines,
      `return ${ends.map((i) => `sum(${name(i)})`).join(' + ')}`,
    ].join('\n'),
    shapes,
    inputs: shapes.map((shape) => draw.tensor(shape)),
    run(inputs) {
      const made = [...inputs]
      for (const { op, operands, rest, list } of steps) {
        const given = operands.map((i) => made[i])
        made.push(call(op, list ? [given, ...rest] : [...given, ...rest]))
      }
      return ends.map((i) => call('sum', [made[i]])).reduce((a, b) => call('add', [a, b]))
    },
  }
}

/** Random programs of up to `steps` (8) operations. */
export function programArbitrary({ steps = 8 }: { steps?: number } = {}): fc.Arbitrary<Program> {
  return fc.gen().map((g) => drawProgram(drawFrom(g), steps))
}
