/** What one pass over the elements computes: of one map kernel, or of several that are fused. */
import type { MapKernel } from '../../../kernel.ts'
import { type Expression, Expressions } from './expression.ts'
import { resultOf } from './parse.ts'
import { Unsupported } from './syntax.ts'

export interface Program {
  readonly expressions: Expressions
  /** How many operands it reads, and how many constants it takes. */
  readonly inputs: number
  readonly constants: number
  readonly outputs: readonly Expression[]
}

/** The program of one kernel; undefined where its text does what only JavaScript can. */
export function programOf(kernel: MapKernel): Program | undefined {
  const expressions = new Expressions()
  const { operands: inputs, constants } = kernel
  const operands = Array.from({ length: inputs }, (_, i) => expressions.input(i))
  const given = Array.from({ length: constants }, (_, i) => expressions.constant(i))
  try {
    const helpers = kernel.helpers.map(String)
    const result = resultOf(kernel.scalar.toString(), [...operands, ...given], helpers, expressions)
    return { expressions, inputs, constants, outputs: [contracted(result, expressions)] }
  } catch (error) {
    // A RangeError: the text is nested deeper than the stack of calls.
    if (error instanceof Unsupported || error instanceof RangeError) return undefined
    throw error
  }
}

/** x y + z and z - x y as one operation each, where the product has no other use. */
function contracted(result: Expression, expressions: Expressions): Expression {
  const before = expressions.within([result])
  const uses = new Map<Expression, number>()
  for (const { operands } of before) {
    for (const operand of operands) uses.set(operand, (uses.get(operand) ?? 0) + 1)
  }
  const isProduct = (x: Expression) => x.operation === 'mul' && uses.get(x) === 1 && !x.isUniform
  const done = new Map<Expression, Expression>()
  for (const each of before) {
    const operands = each.operands.map((operand) => done.get(operand)!)
    const [left, right] = each.operands
    let made: Expression | undefined
    if (each.operation === 'add') {
      const product = [left!, right!].find(isProduct)
      const other = product === left ? operands[1] : operands[0]
      if (product) made = expressions.apply('madd', ...done.get(product)!.operands, other)
    } else if (each.operation === 'sub' && isProduct(right!)) {
      made = expressions.apply('nmadd', ...done.get(right!)!.operands, operands[0])
    }
    done.set(each, made ?? expressions.again(each, operands))
  }
  return done.get(result)!
}
