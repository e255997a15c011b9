/**
 * What map kernels compute, as expressions: numbers and conditions of one element, each written down once.
 *
 * An expression is made by `Expressions`, which gives the same object for the same operation on the same operands. So an
 * expression that occurs twice is computed once, within a kernel and across those that are fused. Only what changes no bit
 * of any result is simplified here.
 */

/** Operations on numbers, with their meaning on float64: literals are computed ahead. */
const numeric = {
  neg: (x: number) => -x,
  abs: Math.abs,
  floor: Math.floor,
  ceil: Math.ceil,
  trunc: Math.trunc,
  sqrt: Math.sqrt,
  exp: Math.exp,
  log: Math.log,
  tanh: Math.tanh,
  sin: Math.sin,
  cos: Math.cos,
  add: (x: number, y: number) => x + y,
  sub: (x: number, y: number) => x - y,
  mul: (x: number, y: number) => x * y,
  div: (x: number, y: number) => x / y,
  pow: (x: number, y: number) => x ** y,
  min: (x: number, y: number) => Math.min(x, y),
  max: (x: number, y: number) => Math.max(x, y),
  /** x y + z, in one rounding where the machine can. */
  madd: (x: number, y: number, z: number) => x * y + z,
  /** z - x y, likewise. */
  nmadd: (x: number, y: number, z: number) => z - x * y,
} as const

const comparing = {
  eq: (x: number, y: number) => x === y,
  ne: (x: number, y: number) => x !== y,
  lt: (x: number, y: number) => x < y,
  le: (x: number, y: number) => x <= y,
  gt: (x: number, y: number) => x > y,
  ge: (x: number, y: number) => x >= y,
} as const

export type NumericOperation = keyof typeof numeric
export type Comparison = keyof typeof comparing
type Operation =
  | NumericOperation
  | Comparison
  | 'not'
  | 'and'
  | 'or'
  | 'choose'
  | 'literal'
  | 'truth'
  | 'constant'
  | 'input'

export interface Expression {
  readonly operation: Operation
  /** A condition, not a number. */
  readonly isCondition: boolean
  readonly operands: readonly Expression[]
  /** Of a literal its number, of a truth 0 or 1, of an input or a constant its position. */
  readonly value: number
  /** Larger than those of its operands. */
  readonly id: number
  /** The same for all elements of a launch. */
  readonly isUniform: boolean
}

const isNumeric = (operation: Operation): operation is NumericOperation => operation in numeric
export const isComparison = (operation: Operation): operation is Comparison => operation in comparing

/** Functions of many instructions: worth a choice of operands to have one fewer. */
const isLong = new Set<Operation>(['exp', 'log', 'tanh', 'sin', 'cos', 'pow'])

const isLiteral = (x: Expression): boolean => x.operation === 'literal'

/** A power of two with an inverse, both of them normal float32 numbers. */
const isPowerOf2 = (x: number): boolean =>
  Math.abs(Math.log2(Math.abs(x))) <= 126 && Number.isInteger(Math.log2(Math.abs(x)))

/** The expressions of one program, which may have several results. */
export class Expressions {
  readonly #known = new Map<string, Expression>()

  get size(): number {
    return this.#known.size
  }

  /** The number of the operand at this position. */
  input(position: number): Expression {
    return this.#leaf('input', position, false)
  }

  /** The constant of the launch at this position. */
  constant(position: number): Expression {
    return this.#leaf('constant', position, false)
  }

  literal(value: number): Expression {
    return this.#leaf('literal', value, false)
  }

  truth(value: boolean): Expression {
    return this.#leaf('truth', value ? 1 : 0, true)
  }

  #leaf(operation: Operation, value: number, isCondition: boolean): Expression {
    const key = `${operation} ${Object.is(value, -0) ? '-0' : value}`
    return this.#make(key, { operation, value, isCondition, operands: [], isUniform: operation !== 'input' })
  }

  #make(key: string, made: Omit<Expression, 'id'>): Expression {
    let known = this.#known.get(key)
    if (!known) this.#known.set(key, (known = { ...made, id: this.#known.size }))
    return known
  }

  #node(operation: Operation, operands: readonly Expression[], isCondition: boolean): Expression {
    const key = `${operation} ${operands.map(({ id }) => id).join(' ')}`
    return this.#make(key, {
      operation,
      operands,
      isCondition,
      value: 0,
      isUniform: operands.every((operand) => operand.isUniform),
    })
  }

  /** An expression of another program, here on these operands: as it is, so that no bit of its result changes. */
  copy({ operation, value, isCondition }: Expression, operands: readonly Expression[]): Expression {
    return operands.length > 0
      ? this.#node(operation, operands, isCondition)
      : this.#leaf(operation, value, isCondition)
  }

  /** The same operation on these operands. */
  again(expression: Expression, operands: readonly Expression[]): Expression {
    const { operation } = expression
    if (operands.every((operand, i) => operand === expression.operands[i])) return expression
    if (isNumeric(operation)) return this.apply(operation, ...operands)
    if (isComparison(operation)) return this.compare(operation, operands[0], operands[1])
    const [a, b, c] = operands as [Expression, Expression, Expression]
    if (operation === 'not') return this.not(a)
    return operation === 'choose' ? this.choose(a, b, c) : this.both(operation as 'and' | 'or', a, b)
  }

  apply(operation: NumericOperation, ...operands: readonly Expression[]): Expression {
    if (operands.every(isLiteral)) {
      const evaluate = numeric[operation] as (...values: number[]) => number
      return this.literal(evaluate(...operands.map(({ value }) => value)))
    }
    const [x, y] = operands as [Expression, Expression]
    if (operation === 'neg' && x.operation === 'neg') return x.operands[0]
    if (operation === 'div' && isLiteral(y) && isPowerOf2(y.value))
      return this.apply('mul', x, this.literal(1 / y.value))
    if (operation === 'mul' && isLiteral(y) && y.value === 1) return x
    if (operation === 'mul' && isLiteral(x) && x.value === 1) return y
    if (operation === 'pow' && isLiteral(y)) {
      if (y.value === 0) return this.literal(1)
      if (y.value === 1) return x
      if (y.value === 2) return this.apply('mul', x, x)
      if (y.value === -1) return this.apply('div', this.literal(1), x)
    }
    return this.#node(operation, operands, false)
  }

  /**
   * A comparison. The float32 numbers that are below, at or above a literal which is none itself, are those on the same
   * side of the next one.
   */
  compare(operation: Comparison, x: Expression, y: Expression): Expression {
    if (isLiteral(x) && isLiteral(y)) return this.truth(comparing[operation](x.value, y.value))
    if (isLiteral(x)) return this.compare(mirrored[operation], y, x)
    if (isLiteral(y) && Math.fround(y.value) !== y.value && !Number.isNaN(y.value)) {
      const around = neighbours(y.value)
      if (operation === 'lt' || operation === 'ge') return this.compare(operation, x, this.literal(around.above))
      if (operation === 'gt' || operation === 'le') return this.compare(operation, x, this.literal(around.below))
      if (operation === 'eq' || operation === 'ne') return this.truth(operation === 'ne')
    }
    return this.#node(operation, [x, y], true)
  }

  not(x: Expression): Expression {
    if (x.operation === 'truth') return this.truth(x.value === 0)
    if (x.operation === 'not') return x.operands[0]
    return this.#node('not', [x], true)
  }

  both(operation: 'and' | 'or', x: Expression, y: Expression): Expression {
    const decides = operation === 'and' ? 0 : 1
    if (x === y) return x
    if (x.operation === 'truth') return x.value === decides ? x : y
    if (y.operation === 'truth') return y.value === decides ? y : x
    return this.#node(operation, [x, y], true)
  }

  /**
   * `yes` where the condition holds, else `no`; both are numbers or both conditions.
   *
   * Both sides will be computed. A long function that each side has of its own is made one function of the argument that
   * counts: the sides of 1 / (1 + e^-x) and e^x / (1 + e^x) then share an exponential.
   */
  choose(condition: Expression, yes: Expression, no: Expression): Expression {
    if (condition.operation === 'truth') return condition.value === 1 ? yes : no
    if (condition.operation === 'not') return this.choose(condition.operands[0], no, yes)
    if (yes === no || isSaturated(condition, yes, no)) return no
    for (;;) {
      const pair = this.#pair(condition, yes, no)
      if (!pair) break
      yes = this.replace(yes, pair.yes, pair.joint)
      no = this.replace(no, pair.no, pair.joint)
      if (yes === no) return yes
    }
    return this.#node('choose', [condition, yes, no], yes.isCondition)
  }

  /** Two expressions of which one side has the first and the other the second, and what stands for both. */
  #pair(condition: Expression, yes: Expression, no: Expression) {
    const [inYes, inNo] = [this.within([yes]), this.within([no])]
    const [own, other] = [[...inYes].filter((x) => !inNo.has(x)), [...inNo].filter((x) => !inYes.has(x))]
    for (const a of own) {
      if (!isLong.has(a.operation) && a.operation !== 'div') continue
      for (const b of other) {
        if (b.operation !== a.operation) continue
        const different = a.operands.filter((operand, i) => operand !== b.operands[i]).length
        // A quotient is as long as two choices.
        if (a.operation === 'div' && different > 1) continue
        const operands = a.operands.map((operand, i) => this.#chosenArgument(a, condition, operand, b.operands[i]))
        return { yes: a, no: b, joint: this.apply(a.operation as NumericOperation, ...operands) }
      }
    }
    return undefined
  }

  #chosenArgument(of: Expression, condition: Expression, yes: Expression, no: Expression): Expression {
    // e^-x where x >= 0 and e^x elsewhere is e^-|x|: the sign of a zero makes no difference to it.
    const [x, bound] = condition.operands as [Expression, Expression]
    const isAtLeast0 = condition.operation === 'ge' && isLiteral(bound) && bound.value === 0
    if (of.operation === 'exp' && isAtLeast0 && no === x && yes === this.apply('neg', x)) {
      return this.apply('neg', this.apply('abs', x))
    }
    return this.choose(condition, yes, no)
  }

  /** `expression` with `to` wherever it has `from`. */
  replace(expression: Expression, from: Expression, to: Expression): Expression {
    const done = new Map<Expression, Expression>([[from, to]])
    for (const each of this.within([expression])) {
      if (done.has(each)) continue
      done.set(
        each,
        this.again(
          each,
          each.operands.map((operand) => done.get(operand)!),
        ),
      )
    }
    return done.get(expression)!
  }

  /** The expressions and all that they are made of, operands before those that use them. */
  within(expressions: readonly Expression[]): Set<Expression> {
    const found = new Set<Expression>()
    // A stack of our own: chains may be longer than the engine's is deep.
    const open = [...expressions].reverse()
    for (let x = open.at(-1); x; x = open.at(-1)) {
      const missing = found.has(x) ? [] : x.operands.filter((operand) => !found.has(operand))
      if (missing.length > 0) open.push(...missing.reverse())
      else found.add(open.pop()!)
    }
    return found
  }
}

/** Whether the choice is one that tanh makes by itself: it is 1 from 9.02 on, in float32. */
function isSaturated({ operation, operands }: Expression, yes: Expression, no: Expression): boolean {
  if (no.operation !== 'tanh' || operands[0] !== no.operands[0] || !isLiteral(operands[1])) return false
  const bound = operands[1].value
  const above = (operation === 'gt' || operation === 'ge') && bound >= 10 && yes.value === 1
  const below = (operation === 'lt' || operation === 'le') && bound <= -10 && yes.value === -1
  return isLiteral(yes) && (above || below)
}

const mirrored = { eq: 'eq', ne: 'ne', lt: 'gt', gt: 'lt', le: 'ge', ge: 'le' } as const satisfies Record<
  Comparison,
  Comparison
>

const bits = new DataView(new ArrayBuffer(4))

/** The float32 numbers on both sides of a number that is none. */
function neighbours(value: number): { below: number; above: number } {
  const near = Math.fround(value)
  bits.setFloat32(0, near)
  // Away from zero is the next pattern, towards it the one before.
  const away = Math.abs(near) < Math.abs(value)
  bits.setUint32(0, bits.getUint32(0) + (away ? 1 : -1))
  // From zero the next pattern is the least number of either sign; zero itself has lost the sign of `value`.
  const next = near === 0 ? Math.sign(value) * 2 ** -149 : bits.getFloat32(0)
  return near < value ? { below: near, above: next } : { below: next, above: near }
}
