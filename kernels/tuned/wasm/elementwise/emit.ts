/** Vector code of a program: four elements at a time, every way of every choice computed. */
import type { FunctionBuilder } from '../assembler.ts'
import { f32x4, type Local, v128 } from '../instructions.ts'
import { Constants, exponential, exponentialOfNegative, hyperbolicTangent, logarithm, type Vector } from '../math.ts'
import { cosine, power, sine } from '../math-double.ts'
import type { Expression } from './expression.ts'
import type { Program } from './program.ts'

/** Operations that are instructions. */
const instructions: Partial<Record<Expression['operation'], (...operands: Vector[]) => Vector>> = {
  ...{ neg: f32x4.neg, abs: f32x4.abs, floor: f32x4.floor, ceil: f32x4.ceil, trunc: f32x4.trunc, sqrt: f32x4.sqrt },
  ...{ add: f32x4.add, sub: f32x4.sub, mul: f32x4.mul, div: f32x4.div, min: f32x4.min, max: f32x4.max },
  ...{ eq: f32x4.eq, ne: f32x4.ne, lt: f32x4.lt, le: f32x4.le, gt: f32x4.gt, ge: f32x4.ge },
  ...{ not: v128.not, and: v128.and, or: v128.or },
}

type VectorFunction = (...operands: Vector[]) => Vector

/** Operations that are functions of math.ts, each made when it is first used. */
const functions = {
  ...{ exp: exponential, log: logarithm, tanh: hyperbolicTangent, sin: sine, cos: cosine, pow: power },
  expOfNegative: exponentialOfNegative,
}

/** -|x|. */
const isNegative = ({ operation, operands }: Expression): boolean =>
  operation === 'neg' && operands[0].operation === 'abs'

const operandsOf = (each: Expression): readonly Expression[] =>
  isNegative(each) ? each.operands[0].operands : each.operands

function functionOf({ operation, operands }: Expression): keyof typeof functions | undefined {
  if (operation === 'exp' && isNegative(operands[0])) return 'expOfNegative'
  return operation in functions ? (operation as keyof typeof functions) : undefined
}

/** Roughly the floating-point operations of an element. */
const costs: Partial<Record<Expression['operation'], number>> = {
  ...{ exp: 20, tanh: 25, log: 30, sin: 60, cos: 60, pow: 120, div: 4, sqrt: 4, madd: 2, nmadd: 2 },
  ...{ input: 0, constant: 0, literal: 0, truth: 0 },
}

export function costOf({ expressions, outputs }: Program): number {
  return [...expressions.within(outputs)].reduce((sum, { operation }) => sum + (costs[operation] ?? 1), 0)
}

/**
 * Computes what is the same for all elements, where this is stated; the result then computes four elements' outputs from
 * their inputs, and may be stated several times.
 *
 * @param constants the launch's, in all lanes
 */
export function defineProgramBody(
  f: FunctionBuilder,
  { expressions, outputs }: Program,
  constants: readonly Vector[],
): (inputs: readonly Vector[]) => Vector[] {
  const all = expressions.within(outputs)
  const uses = new Map<Expression, number>()
  for (const each of all) for (const x of operandsOf(each)) uses.set(x, (uses.get(x) ?? 0) + 1)
  for (const output of outputs) uses.set(output, (uses.get(output) ?? 0) + 1)

  const literals = new Constants(f)
  const made = new Map<keyof typeof functions, VectorFunction>()
  const sign = [...all].some(isNegative) ? literals.float(-0) : undefined
  for (const each of all) {
    const name = functionOf(each)
    if (name && !made.has(name)) made.set(name, functions[name](f, literals))
  }

  const evaluate = (each: Expression, of: (x: Expression) => Vector): Vector => {
    const { operation, operands, value } = each
    if (operation === 'literal') return literals.float(value)
    if (operation === 'truth') return literals.bits(-value)
    if (operation === 'constant') return constants[value]
    const given = operandsOf(each).map(of)
    const [x, y, z] = given as [Vector, Vector, Vector]
    if (isNegative(each)) return v128.or(x, sign!)
    if (operation === 'madd') return f.madd(x, y, z)
    if (operation === 'nmadd') return f.nmadd(x, y, z)
    if (operation === 'choose') {
      if (isZero(operands[2])) return v128.and(x, y)
      return isZero(operands[1]) ? v128.andnot(z, x) : f.choose(x, y, z)
    }
    return (instructions[operation] ?? made.get(functionOf(each)!)!)(...given)
  }

  /** What is uniform, each in a local. */
  const uniform = new Map<Expression, Local<'v128'>>()
  for (const each of [...all].filter((x) => x.isUniform)) {
    const value = evaluate(each, (x) => uniform.get(x)!)
    uniform.set(each, f.local('v128', value))
  }

  return (inputs) => {
    const done = new Map<Expression, Vector>(uniform)
    for (const each of all) {
      if (each.isUniform || !uses.has(each)) continue
      const value = each.operation === 'input' ? inputs[each.value] : evaluate(each, (x) => done.get(x)!)
      // What is used once is evaluated where it is used.
      done.set(each, uses.get(each) === 1 ? value : f.local('v128', value))
    }
    return outputs.map((output) => done.get(output)!)
  }
}

/** Whether choosing it means to clear all bits. */
const isZero = ({ operation, value }: Expression): boolean => operation === 'literal' && Object.is(value, 0)
