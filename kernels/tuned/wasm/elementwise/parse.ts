/**
 * Reads the text of a scalar function and gives its result as an expression.
 *
 * The function is run on expressions in place of numbers. Where a condition is not known, both ways are run, and the
 * condition chooses among what they give; loops run as often as their literals say. Anything else that JavaScript can do
 * (objects, closures, loops that depend on data, bit operations) is refused with `Unsupported`.
 */
import type { Comparison, Expression, Expressions, NumericOperation } from './expression.ts'
import { type Name, refuse, type ScalarFunction, type Statement, scalarFunction, type Value } from './syntax.ts'

type Variables = Map<string, Expression>
/** What comes after a statement: the function's result, from the variables as they then are. */
type Rest = (variables: Variables) => Expression

/** Longer programs gain nothing over a loop of JavaScript. */
const mostExpressions = 5000
const mostTurns = 500

const arithmetic: ReadonlyMap<string, NumericOperation> = new Map([
  ...([
    ['+', 'add'],
    ['-', 'sub'],
    ['*', 'mul'],
    ['/', 'div'],
    ['**', 'pow'],
  ] as const),
])
const comparisons: ReadonlyMap<string, Comparison> = new Map([
  ...([
    ['<', 'lt'],
    ['<=', 'le'],
    ['>', 'gt'],
    ['>=', 'ge'],
  ] as const),
  ...([
    ['==', 'eq'],
    ['===', 'eq'],
    ['!=', 'ne'],
    ['!==', 'ne'],
  ] as const),
])

/** Functions of Math that are one operation. */
const direct = ['abs', 'floor', 'ceil', 'trunc', 'sqrt', 'exp', 'log', 'tanh', 'sin', 'cos'] as const
const isDirect = (name: string): name is (typeof direct)[number] => (direct as readonly string[]).includes(name)

/**
 * The result of a scalar function.
 *
 * @param text of a plain `function`
 * @param parameters what its parameters are
 * @param helpers texts of the functions it calls, plain ones too
 * @throws Unsupported
 */
export function resultOf(
  text: string,
  parameters: readonly Expression[],
  helpers: readonly string[],
  make: Expressions,
): Expression {
  const known = new Map(helpers.map(scalarFunction).map((each) => [each.name, each]))
  return new Reader(make, known).call(scalarFunction(text), parameters)
}

class Reader {
  readonly #make: Expressions
  readonly #helpers: ReadonlyMap<string, ScalarFunction>
  #turns = 0
  #depth = 0

  constructor(make: Expressions, helpers: ReadonlyMap<string, ScalarFunction>) {
    this.#make = make
    this.#helpers = helpers
  }

  call({ parameters, body }: ScalarFunction, given: readonly Expression[]): Expression {
    if (given.length < parameters.length) refuse('a call with too few arguments')
    if (++this.#depth > 20) refuse('functions that call one another')
    const variables: Variables = new Map(body.flatMap(varsIn).map((name) => [name, this.#undefined]))
    parameters.forEach((name, i) => {
      variables.set(name, given[i])
    })
    const result = this.#run(body, 0, variables, () => this.#undefined)
    this.#depth--
    return this.#number(result)
  }

  /** What `undefined` is as a number. */
  get #undefined(): Expression {
    return this.#make.literal(Number.NaN)
  }

  /** Runs the statements from the one at `index`, and then the rest. */
  #run(statements: readonly Statement[], index: number, variables: Variables, rest: Rest): Expression {
    if (this.#make.size > mostExpressions) refuse('a long program')
    const statement = statements[index]
    if (!statement) return rest(variables)
    const next: Rest = (then) => this.#run(statements, index + 1, then, rest)
    switch (statement.type) {
      case 'ReturnStatement':
        return statement.argument ? this.#evaluate(statement.argument, variables) : this.#undefined
      case 'ExpressionStatement':
        this.#evaluate(statement.expression, variables)
        return next(variables)
      case 'VariableDeclaration':
        for (const { id, init } of statement.declarations) {
          const isNew = statement.kind !== 'var'
          if (isNew && variables.has(id.name)) refuse(`a second ${id.name}`)
          if (init || isNew) variables.set(id.name, init ? this.#evaluate(init, variables) : this.#undefined)
        }
        return next(variables)
      case 'EmptyStatement':
        return next(variables)
      case 'BlockStatement':
        return this.#run(statement.body, 0, variables, this.#leaving(statement.body, next))
      case 'IfStatement': {
        const condition = this.#condition(this.#evaluate(statement.test, variables))
        const sides = [statement.consequent, statement.alternate ?? { type: 'EmptyStatement' }] as const
        if (condition.operation === 'truth')
          return this.#run([sides[condition.value === 1 ? 0 : 1]], 0, variables, next)
        return this.#branch(condition, sides, variables, next)
      }
      case 'ForStatement': {
        const { init, test, update, body } = statement
        const own = init?.type === 'VariableDeclaration' ? [init] : []
        const after = this.#leaving(own, next)
        const turn: Rest = (now) => {
          if (++this.#turns > mostTurns) refuse('a long loop')
          const goesOn = test ? this.#condition(this.#evaluate(test, now)) : this.#make.truth(true)
          if (goesOn.operation !== 'truth') return refuse('a loop that depends on data')
          if (goesOn.value === 0) return after(now)
          return this.#run([body], 0, now, (then) => {
            if (update) this.#evaluate(update, then)
            return turn(then)
          })
        }
        if (init?.type === 'VariableDeclaration') return this.#run(own, 0, variables, turn)
        if (init) this.#evaluate(init, variables)
        return turn(variables)
      }
    }
  }

  /** Forgets the names that these statements declare for their block. */
  #leaving(statements: readonly Statement[], next: Rest): Rest {
    const names = statements.flatMap((each) =>
      each.type === 'VariableDeclaration' && each.kind !== 'var' ? each.declarations.map(({ id }) => id.name) : [],
    )
    return (variables) => {
      for (const name of names) variables.delete(name)
      return next(variables)
    }
  }

  /** Runs both sides of an `if`: what follows is run once on both sides' variables, or twice where a side may return. */
  #branch(
    condition: Expression,
    [yes, no]: readonly [Statement, Statement],
    variables: Variables,
    next: Rest,
  ): Expression {
    const [whenYes, whenNo] = [new Map(variables), new Map(variables)]
    if (mayReturn(yes) || mayReturn(no)) {
      const a = this.#run([yes], 0, whenYes, next)
      const b = this.#run([no], 0, whenNo, next)
      return this.#choose(condition, a, b)
    }
    this.#run([yes], 0, whenYes, () => this.#undefined)
    this.#run([no], 0, whenNo, () => this.#undefined)
    this.#merge(condition, whenYes, whenNo, variables)
    return next(variables)
  }

  /** Sets the variables to what they are after one of two ways. A name that only one of them has is not read later. */
  #merge(condition: Expression, yes: Variables, no: Variables, variables: Variables): void {
    for (const [name, value] of yes) {
      const other = no.get(name)
      if (other) variables.set(name, this.#choose(condition, value, other))
    }
  }

  #evaluate(node: Value, variables: Variables): Expression {
    const make = this.#make
    switch (node.type) {
      case 'Literal':
        return typeof node.value === 'number' ? make.literal(node.value) : make.truth(node.value)
      case 'Identifier':
        return variables.get(node.name) ?? this.#global(node.name)
      case 'SequenceExpression':
        return node.expressions.map((each) => this.#evaluate(each, variables)).at(-1)!
      case 'UnaryExpression':
        return this.#unary(node.operator, this.#evaluate(node.argument, variables))
      case 'BinaryExpression': {
        const x = this.#evaluate(node.left, variables)
        return this.#binary(node.operator, x, this.#evaluate(node.right, variables))
      }
      case 'ConditionalExpression': {
        const condition = this.#condition(this.#evaluate(node.test, variables))
        return this.#either(condition, node.consequent, node.alternate, variables)
      }
      case 'LogicalExpression': {
        const left = this.#evaluate(node.left, variables)
        const condition = this.#condition(left)
        if (node.operator === '&&') return this.#either(condition, node.right, left, variables)
        return node.operator === '||' ? this.#either(condition, left, node.right, variables) : refuse(node.operator)
      }
      case 'AssignmentExpression': {
        const name = this.#assignable(node.left, variables)
        const given = this.#evaluate(node.right, variables)
        const operator = node.operator.slice(0, -1)
        const value = operator === '' ? given : this.#binary(operator, variables.get(name)!, given)
        variables.set(name, value)
        return value
      }
      case 'UpdateExpression': {
        const name = this.#assignable(node.argument, variables)
        const before = this.#number(variables.get(name)!)
        const after = make.apply(node.operator === '++' ? 'add' : 'sub', before, make.literal(1))
        variables.set(name, after)
        return node.prefix ? after : before
      }
      case 'MemberExpression':
        return this.#constantOfMath(node)
      case 'CallExpression': {
        const { callee } = node
        const given = node.arguments.map((each) => this.#number(this.#evaluate(each, variables)))
        if (callee.type === 'Identifier' && !variables.has(callee.name)) {
          return this.call(this.#helpers.get(callee.name) ?? refuse(`a call of ${callee.name}`), given)
        }
        return this.#math(mathName(callee) ?? refuse(`a call of a ${callee.type}`), given)
      }
    }
  }

  /** One of two ways to a value, of which each may assign variables; a way may also be a value already. */
  #either(condition: Expression, yes: Value | Expression, no: Value | Expression, variables: Variables): Expression {
    const follow = (way: Value | Expression, in_: Variables) => ('type' in way ? this.#evaluate(way, in_) : way)
    if (condition.operation === 'truth') return follow(condition.value === 1 ? yes : no, variables)
    const [whenYes, whenNo] = [new Map(variables), new Map(variables)]
    const a = follow(yes, whenYes)
    const b = follow(no, whenNo)
    this.#merge(condition, whenYes, whenNo, variables)
    return this.#choose(condition, a, b)
  }

  #assignable({ name }: Name, variables: Variables): string {
    return variables.has(name) ? name : refuse('an assignment to what is no local')
  }

  #global(name: string): Expression {
    if (name === 'undefined' || name === 'NaN') return this.#undefined
    return name === 'Infinity' ? this.#make.literal(Infinity) : refuse(`the name ${name}`)
  }

  #unary(operator: string, x: Expression): Expression {
    if (operator === '-') return this.#make.apply('neg', this.#number(x))
    if (operator === '+') return this.#number(x)
    if (operator === '!') return this.#make.not(this.#condition(x))
    return operator === 'void' ? this.#undefined : refuse(operator)
  }

  #binary(operator: string, x: Expression, y: Expression): Expression {
    const [a, b] = [this.#number(x), this.#number(y)]
    const operation = arithmetic.get(operator)
    if (operation) return this.#make.apply(operation, a, b)
    const comparison = comparisons.get(operator)
    return comparison ? this.#make.compare(comparison, a, b) : refuse(operator)
  }

  #constantOfMath(node: Value): Expression {
    const name = mathName(node)
    const value: unknown = name && (Math as unknown as Record<string, unknown>)[name]
    return typeof value === 'number' ? this.#make.literal(value) : refuse('a property')
  }

  #math(name: string, given: readonly Expression[]): Expression {
    const make = this.#make
    const [x, y] = given
    if (x && isDirect(name)) return make.apply(name, x)
    if (x && y && name === 'pow') return make.apply('pow', x, y)
    if (x && (name === 'min' || name === 'max')) return given.slice(1).reduce((a, b) => make.apply(name, a, b), x)
    const zero = make.literal(0)
    const one = make.literal(1)
    if (x && name === 'sign') {
      const below = make.choose(make.compare('lt', x, zero), make.literal(-1), x)
      return make.choose(make.compare('gt', x, zero), one, below)
    }
    if (x && name === 'round') {
      // Half goes up. What is taken off and compared is exact.
      const below = make.apply('floor', x)
      const rest = make.apply('sub', x, below)
      return make.choose(make.compare('ge', rest, make.literal(0.5)), make.apply('add', below, one), below)
    }
    return refuse(`Math.${name}`)
  }

  #number(x: Expression): Expression {
    return x.isCondition ? this.#make.choose(x, this.#make.literal(1), this.#make.literal(0)) : x
  }

  /** A number holds as a condition unless it is 0 or NaN. */
  #condition(x: Expression): Expression {
    return x.isCondition ? x : this.#make.compare('gt', this.#make.apply('abs', x), this.#make.literal(0))
  }

  #choose(condition: Expression, yes: Expression, no: Expression): Expression {
    if (yes.isCondition && no.isCondition) return this.#make.choose(condition, yes, no)
    return this.#make.choose(condition, this.#number(yes), this.#number(no))
  }
}

/** `name` of `Math.name`. */
function mathName(node: Value): string | undefined {
  return node.type === 'MemberExpression' && node.object.name === 'Math' ? node.property.name : undefined
}

/** The statements that stand directly in one. */
function within(node: Statement | Value): readonly (Statement | Value | null)[] {
  if (node.type === 'BlockStatement') return node.body
  if (node.type === 'IfStatement') return [node.consequent, node.alternate]
  return node.type === 'ForStatement' ? [node.init, node.body] : []
}

/** The names that `var` declares for the whole function. */
function varsIn(node: Statement | Value | null): string[] {
  if (!node) return []
  if (node.type !== 'VariableDeclaration') return within(node).flatMap(varsIn)
  return node.kind === 'var' ? node.declarations.map(({ id }) => id.name) : []
}

function mayReturn(node: Statement | Value | null): boolean {
  if (!node) return false
  return node.type === 'ReturnStatement' || within(node).some(mayReturn)
}
