/**
 * Modular arithmetic: an expression over the digits 0 to m - 1 and an equals sign, at which its value modulo m is asked.
 *
 * Without brackets: digit (operator digit)*, evaluated with the usual precedence. With brackets, by length n:
 *
 *     e(1) = d    e(2) = -d    e(3) = (d)    e(4) = (-d)    e(n) = (e(i) operator e(n - i - 3)), i uniform in [1, n - 4]
 *
 * Tokens: digits 0 to m - 1, then + - * ( ) = and the filler. Row lengths, the equals sign included, are uniform in
 * [minLength, maxLength]; without brackets an expression has odd length, so an even one is cut by one.
 * Sources: arXiv 2207.02098 (both grammars); arXiv 2411.12537 (m = 5, trained on lengths 3 to 40, tested on 40 to 256).
 */

import { defineTask, integer } from './tasks-definition.ts'
import type { RandomSource } from './text.ts'

/** `modulus` is m; `multiplication: false` leaves only + and -. */
export type ModularArithmeticOptions = {
  readonly batchSize: number
  readonly modulus: number
  readonly brackets: boolean
  readonly multiplication: boolean
  readonly minLength: number
  readonly maxLength: number
}

/** The tokens that are not digits, in order of their ids from m on. */
const symbols = ['+', '-', '*', '(', ')', '=', ' '] as const

/** An expression's tokens and its value modulo m. */
interface Expression {
  readonly tokens: readonly number[]
  readonly value: number
}

/** Gives the values one after another. */
function stream(values: ArrayLike<number>): () => number {
  let next = 0
  return () => values[next++]!
}

/** Random expressions of up to `length` tokens in all, from three draws. */
class ExpressionGenerator {
  readonly #modulus: number
  readonly #digit: () => number
  readonly #operator: () => number
  readonly #share: () => number

  constructor(random: RandomSource, length: number, modulus: number, operators: number) {
    this.#modulus = modulus
    this.#digit = stream(random.integers(length, 0, modulus))
    this.#operator = stream(random.integers(length, modulus, modulus + operators))
    this.#share = stream(random.uniform(length))
  }

  token(symbol: (typeof symbols)[number]): number {
    return this.#modulus + symbols.indexOf(symbol)
  }

  #reduce(value: number): number {
    return ((value % this.#modulus) + this.#modulus) % this.#modulus
  }

  #apply(operator: number, left: number, right: number): number {
    if (operator === this.token('+')) return this.#reduce(left + right)
    if (operator === this.token('-')) return this.#reduce(left - right)
    return this.#reduce(left * right)
  }

  /** `length` odd. The value is a sum of finished products and one still open. */
  flat(length: number): Expression {
    let product = this.#digit()
    let sum = 0
    let pending = this.token('+')
    const tokens = [product]
    while (tokens.length < length) {
      const operator = this.#operator()
      const digit = this.#digit()
      tokens.push(operator, digit)
      if (operator === this.token('*')) {
        product = this.#apply(operator, product, digit)
      } else {
        sum = this.#apply(pending, sum, product)
        pending = operator
        product = digit
      }
    }
    return { tokens, value: this.#apply(pending, sum, product) }
  }

  bracketed(length: number): Expression {
    const open = this.token('(')
    const close = this.token(')')
    if (length < 5) {
      const digit = this.#digit()
      const negative = length % 2 === 0
      const inner = negative ? [this.token('-'), digit] : [digit]
      return { tokens: length < 3 ? inner : [open, ...inner, close], value: this.#reduce(negative ? -digit : digit) }
    }
    const leftLength = 1 + Math.floor(this.#share() * (length - 4))
    const left = this.bracketed(leftLength)
    const operator = this.#operator()
    const right = this.bracketed(length - 3 - leftLength)
    return {
      tokens: [open, ...left.tokens, operator, ...right.tokens, close],
      value: this.#apply(operator, left.value, right.value),
    }
  }
}

/** The record of `modularArithmetic`. */
export const modularArithmeticTaskDefinition = defineTask<ModularArithmeticOptions>({
  name: 'modularArithmetic',
  doc:
    'An arithmetic expression of random length and an equals sign; the value modulo m is asked for at the equals sign. ' +
    'Without brackets + - * with the usual precedence (a regular language), with brackets: true a nested expression. ' +
    'Length generalisation: train on 3 to 40, test on 40 to 256. Sources: arXiv 2207.02098, arXiv 2411.12537 (m = 5).',
  defaults: { batchSize: 64, modulus: 5, brackets: false, multiplication: true, minLength: 3, maxLength: 40 },
  least: { batchSize: 1, modulus: 2, minLength: 2, maxLength: 2 },
  check({ minLength, maxLength, modulus }, impossible) {
    if (minLength > maxLength) impossible(`minLength ${minLength} is above maxLength ${maxLength}`)
    // Products of two residues must stay exact integers.
    if (modulus > 2 ** 26) impossible(`modulus ${modulus} is above 2^26`)
  },
  vocabularySize: ({ modulus }) => modulus + symbols.length,
  token: (id, { modulus }) => symbols[id - modulus]?.replace(' ', '·') ?? String(id),
  columns: ({ maxLength }) => maxLength,
  row(random, { modulus, brackets, multiplication, minLength, maxLength }, inputs, targets) {
    const length = integer(random, minLength, maxLength + 1) - 1
    const generator = new ExpressionGenerator(random, length, modulus, multiplication ? 3 : 2)
    const { tokens, value } = brackets ? generator.bracketed(length) : generator.flat(length - ((length + 1) % 2))
    inputs.fill(generator.token(' '))
    inputs.set(tokens)
    inputs[tokens.length] = generator.token('=')
    targets[tokens.length] = value
  },
})

/** A batch of modular arithmetic. */
export const modularArithmetic = modularArithmeticTaskDefinition.generate
