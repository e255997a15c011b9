/**
 * The syntax of scalar functions: numbers, names, operators, calls, `if`, `for`, declarations and `return`.
 *
 * This is the part of JavaScript that has a meaning for kernels, as the tree of ESTree
 * (https://github.com/estree/estree), which a parser of all JavaScript gives too; a property test holds them together.
 * The text is a function's own, so it is known to be JavaScript: anything else in it is refused, never misread.
 */

/** The function does what only JavaScript can. */
export class Unsupported extends Error {}

export const refuse = (what: string): never => {
  throw new Unsupported(what)
}

export interface Name {
  readonly type: 'Identifier'
  readonly name: string
}

export type Value =
  | Name
  | { readonly type: 'Literal'; readonly value: number | boolean }
  | { readonly type: 'SequenceExpression'; readonly expressions: readonly Value[] }
  | { readonly type: 'UnaryExpression'; readonly operator: string; readonly argument: Value }
  | { readonly type: 'UpdateExpression'; readonly operator: string; readonly prefix: boolean; readonly argument: Name }
  | {
      readonly type: 'BinaryExpression' | 'LogicalExpression'
      readonly operator: string
      readonly left: Value
      readonly right: Value
    }
  | { readonly type: 'AssignmentExpression'; readonly operator: string; readonly left: Name; readonly right: Value }
  | {
      readonly type: 'ConditionalExpression'
      readonly test: Value
      readonly consequent: Value
      readonly alternate: Value
    }
  | { readonly type: 'MemberExpression'; readonly object: Name; readonly property: Name }
  | { readonly type: 'CallExpression'; readonly callee: Value; readonly arguments: readonly Value[] }

export interface Declaration {
  readonly type: 'VariableDeclaration'
  readonly kind: 'var' | 'let' | 'const'
  readonly declarations: readonly { readonly id: Name; readonly init: Value | null }[]
}

export type Statement =
  | Declaration
  | { readonly type: 'ReturnStatement'; readonly argument: Value | null }
  | { readonly type: 'ExpressionStatement'; readonly expression: Value }
  | { readonly type: 'EmptyStatement' }
  | { readonly type: 'BlockStatement'; readonly body: readonly Statement[] }
  | {
      readonly type: 'IfStatement'
      readonly test: Value
      readonly consequent: Statement
      readonly alternate: Statement | null
    }
  | {
      readonly type: 'ForStatement'
      readonly init: Declaration | Value | null
      readonly test: Value | null
      readonly update: Value | null
      readonly body: Statement
    }

export interface ScalarFunction {
  /** Empty where a minifier left the function without one. */
  readonly name: string
  readonly parameters: readonly string[]
  readonly body: readonly Statement[]
}

/** Space and comments, then a number, a name or a mark. The longest mark first. */
const gap = /(?:\s|\/\/.*|\/\*[\s\S]*?\*\/)*/y
const token =
  /(0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?[\d_]+)?)|([\p{ID_Start}$_][\p{ID_Continue}$]*)|>>>=?|>>=?|<<=?|\*\*=?|[!=]==?|=>|&&=?|\|\|=?|\?\?=?|\?\.|\+\+|--|\.\.\.|[-+*/%&|^<>]=?|[=!~?:;,.(){}[\]]/uy

/** Words that are no names, here or anywhere. `undefined`, `NaN` and `Infinity` are names. */
const reserved = new Set(
  'async await break case catch class const continue debugger default delete do else enum export extends false finally for function if import in instanceof let new null return static super switch this throw true try typeof var void while with yield'.split(
    ' ',
  ),
)

/** How strongly an operator between two values binds. */
const strength = new Map(
  [['||'], ['&&'], ['==', '!=', '===', '!=='], ['<', '<=', '>', '>='], ['+', '-'], ['*', '/'], ['**']].flatMap(
    (operators, i) => operators.map((operator) => [operator, i] as const),
  ),
)
const assignments = new Set(['=', '+=', '-=', '*=', '/=', '**='])

/**
 * Reads a plain function.
 *
 * @param text as the function's `toString` gives it
 * @throws Unsupported for what has no meaning in a kernel
 */
export function scalarFunction(text: string): ScalarFunction {
  // In a script, and nowhere else, these begin comments.
  if (/<!--|-->/.test(text)) refuse('a comment of HTML')
  return new Parser(text).function()
}

class Parser {
  readonly #text: string
  /** The token at hand, and what it is. The end of the text is an empty mark. */
  #at = ''
  #is: 'number' | 'name' | 'mark' = 'mark'
  /** A line ended before it. */
  #onNewLine = false
  #end = 0

  constructor(text: string) {
    this.#text = text
    this.#next()
  }

  function(): ScalarFunction {
    this.#expect('function')
    const name = this.#at === '(' ? '' : this.#name().name
    const parameters = this.#list(() => this.#name().name)
    this.#expect('{')
    const body = this.#block()
    return this.#at === '' ? { name, parameters, body } : refuse('more than a function')
  }

  #next(): void {
    gap.lastIndex = this.#end
    const [space] = gap.exec(this.#text)!
    this.#onNewLine = /[\n\r\u2028\u2029]/.test(space)
    token.lastIndex = gap.lastIndex
    const found = token.exec(this.#text)
    if (!found && gap.lastIndex < this.#text.length) refuse(`a ${this.#text[gap.lastIndex]}`)
    this.#at = found?.[0] ?? ''
    this.#is = found?.[1] ? 'number' : found?.[2] ? 'name' : 'mark'
    this.#end = gap.lastIndex + this.#at.length
    // 1n is another number, and 017 is 15.
    const after = this.#text[this.#end] ?? ''
    if (this.#is === 'number' && (/[\p{ID_Continue}$\\]/u.test(after) || /^0\d/.test(this.#at))) refuse('a number')
  }

  /** Goes past this token, if it is the one at hand. */
  #skip(expected: string): boolean {
    const isHere = this.#at === expected
    if (isHere) this.#next()
    return isHere
  }

  #expect(expected: string): void {
    if (!this.#skip(expected)) refuse(`a ${this.#at}`)
  }

  #take(): string {
    const taken = this.#at
    this.#next()
    return taken
  }

  #name(): Name {
    if (this.#is !== 'name' || reserved.has(this.#at)) refuse(`a ${this.#at} for a name`)
    return { type: 'Identifier', name: this.#take() }
  }

  /** In parentheses, with commas between them and perhaps after the last. */
  #list<R>(one: () => R): R[] {
    const found: R[] = []
    this.#expect('(')
    while (!this.#skip(')')) {
      found.push(one())
      if (this.#at !== ')') this.#expect(',')
    }
    return found
  }

  #block(): Statement[] {
    const body: Statement[] = []
    while (!this.#skip('}')) body.push(this.#statement())
    return body
  }

  #statement(): Statement {
    if (this.#skip(';')) return { type: 'EmptyStatement' }
    if (this.#skip('{')) return { type: 'BlockStatement', body: this.#block() }
    if (this.#skip('if')) {
      const test = this.#inParentheses()
      const consequent = this.#statement()
      return { type: 'IfStatement', test, consequent, alternate: this.#skip('else') ? this.#statement() : null }
    }
    if (this.#skip('for')) return this.#for()
    if (this.#skip('return')) {
      const argument = this.#endsHere ? null : this.#value()
      return this.#closed({ type: 'ReturnStatement', argument })
    }
    return this.#closed(this.#declaration() ?? { type: 'ExpressionStatement', expression: this.#value() })
  }

  /** A statement ends with its semicolon, before a brace, or with its line. */
  #closed(statement: Statement): Statement {
    if (!this.#endsHere) refuse(`a ${this.#at}`)
    this.#skip(';')
    return statement
  }

  get #endsHere(): boolean {
    return this.#at === ';' || this.#at === '}' || this.#onNewLine
  }

  #for(): Statement {
    this.#expect('(')
    const init = this.#at === ';' ? null : (this.#declaration() ?? this.#value())
    this.#expect(';')
    const test = this.#at === ';' ? null : this.#value()
    this.#expect(';')
    const update = this.#at === ')' ? null : this.#value()
    this.#expect(')')
    return { type: 'ForStatement', init, test, update, body: this.#statement() }
  }

  #declaration(): Declaration | undefined {
    const kind = this.#at
    if (kind !== 'var' && kind !== 'let' && kind !== 'const') return undefined
    this.#next()
    const declarations = []
    do declarations.push({ id: this.#name(), init: this.#skip('=') ? this.#assignment() : null })
    while (this.#skip(','))
    return { type: 'VariableDeclaration', kind, declarations }
  }

  #inParentheses(): Value {
    this.#expect('(')
    const value = this.#value()
    this.#expect(')')
    return value
  }

  #value(): Value {
    const first = this.#assignment()
    if (this.#at !== ',') return first
    const expressions = [first]
    while (this.#skip(',')) expressions.push(this.#assignment())
    return { type: 'SequenceExpression', expressions }
  }

  #assignment(): Value {
    const left = this.#binary(0)
    if (this.#skip('?')) {
      const consequent = this.#assignment()
      this.#expect(':')
      return { type: 'ConditionalExpression', test: left, consequent, alternate: this.#assignment() }
    }
    if (!assignments.has(this.#at)) return left
    const operator = this.#take()
    return { type: 'AssignmentExpression', operator, left: variable(left), right: this.#assignment() }
  }

  /** Operators that bind at least so strongly. Powers alone bind to the right. */
  #binary(least: number): Value {
    let left = this.#unary()
    for (;;) {
      const operator = this.#at
      const own = strength.get(operator)
      if (own === undefined || own < least) return left
      this.#next()
      const type = operator === '&&' || operator === '||' ? 'LogicalExpression' : 'BinaryExpression'
      left = { type, operator, left, right: this.#binary(operator === '**' ? own : own + 1) }
    }
  }

  #unary(): Value {
    const operator = this.#at
    if (operator === '-' || operator === '+' || operator === '!' || operator === 'void') {
      this.#next()
      return { type: 'UnaryExpression', operator, argument: this.#unary() }
    }
    if (operator === '++' || operator === '--') {
      this.#next()
      return { type: 'UpdateExpression', operator, prefix: true, argument: variable(this.#unary()) }
    }
    const value = this.#called()
    if ((this.#at !== '++' && this.#at !== '--') || this.#onNewLine) return value
    return { type: 'UpdateExpression', operator: this.#take(), prefix: false, argument: variable(value) }
  }

  #called(): Value {
    let value = this.#primary()
    for (;;) {
      if (this.#at === '(') {
        value = { type: 'CallExpression', callee: value, arguments: this.#list(() => this.#assignment()) }
      } else if (this.#skip('.')) {
        // A property may be a reserved word; those of Math are not.
        value = { type: 'MemberExpression', object: variable(value), property: this.#name() }
      } else {
        return value
      }
    }
  }

  #primary(): Value {
    if (this.#at === '(') return this.#inParentheses()
    if (this.#is === 'number') return { type: 'Literal', value: Number(this.#take().replaceAll('_', '')) }
    if (this.#at === 'true' || this.#at === 'false') return { type: 'Literal', value: this.#take() === 'true' }
    return this.#name()
  }
}

const variable = (value: Value): Name =>
  value.type === 'Identifier' ? value : refuse(`a ${value.type} in the place of a variable`)
