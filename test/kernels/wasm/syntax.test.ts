/** The syntax of scalar functions: a part of JavaScript, read as a parser of all of it reads it, or refused. */
import { type AnyNode, type Pattern, parse } from 'acorn'
import { transformSync } from 'esbuild'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as maps from '../../../kernels/elementwise.ts'
import { scalarFunction, Unsupported } from '../../../kernels/tuned/wasm/elementwise/syntax.ts'

/** What acorn says of a function, without places in the text; undefined where it is no JavaScript. */
function byAcorn(text: string): unknown {
  const read = () => {
    try {
      return parse(text.replace(/^function\s*\(/, 'function unnamed('), { ecmaVersion: 'latest' }).body
    } catch {
      return []
    }
  }
  const [first, ...more] = read()
  if (first?.type !== 'FunctionDeclaration' || more.length > 0) return undefined
  const name = first.id.name === 'unnamed' ? '' : first.id.name
  const parameters = first.params.map((each: Pattern) => (each.type === 'Identifier' ? each.name : each.type))
  return withoutPlaces({ name, parameters, body: first.body.body })
}

const unread = new Set(['start', 'end', 'raw', 'optional', 'computed', 'directive'])

/** The tree as plain objects; `a.b.c` and the like keep what tells them from `Math.exp`. */
function withoutPlaces(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withoutPlaces)
  if (typeof node !== 'object' || node === null) return node
  const { type, prefix } = node as AnyNode & { prefix?: boolean }
  const kept = Object.entries(node).filter(
    ([key]) => !unread.has(key) && !(type === 'VariableDeclarator' && key === 'type') && key !== 'prefix',
  )
  const plain = Object.fromEntries(kept.map(([key, value]) => [key, withoutPlaces(value)]))
  return type === 'UpdateExpression' ? { ...plain, prefix } : plain
}

function ours(text: string): unknown {
  try {
    return scalarFunction(text)
  } catch (error) {
    if (error instanceof Unsupported) return 'refused'
    throw error
  }
}

const names = fc.constantFrom('x', 'y', 'total', '$', '_1', 'größe')
const numbers = fc.constantFrom('0', '1', '.5', '2.', '1e-3', '1_000', '0xff', '0b1_0', '3.25E+2', '0o17')
const spaces = fc.constantFrom(' ', '\n', '\t', ' // why\n', ' /* not\n this */ ', '\u2028')

/** Expressions as texts, in parentheses now and then where the grammar wants none. */
const { value } = fc.letrec<{ value: string }>((tie) => {
  const one = fc.oneof(names, numbers, fc.constantFrom('true', 'NaN', 'Math.PI', 'undefined'))
  const operator = fc.constantFrom(...'+ - * / ** < <= > >= == === != !== && ||'.split(' '))
  const inner = tie('value')
  const closed = inner.map((text) => `(${text})`)
  return {
    value: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      one,
      fc
        .tuple(fc.oneof(one, closed), spaces, operator, spaces, fc.oneof(one, closed, inner))
        .map((parts) => parts.join('')),
      fc.tuple(fc.constantFrom('-', '+', '!', 'void '), fc.oneof(one, closed)).map((parts) => parts.join('')),
      fc.tuple(closed, inner, inner).map(([a, b, c]) => `${a} ? ${b} : ${c}`),
      fc.tuple(names, fc.constantFrom('=', '+=', '-=', '*=', '/=', '**='), inner).map((parts) => parts.join(' ')),
      fc
        .tuple(names, fc.constantFrom('++', '--'), fc.boolean())
        .map(([x, mark, first]) => (first ? mark + x : x + mark)),
      fc
        .tuple(fc.constantFrom('f', 'Math.exp', 'Math.max'), fc.array(inner, { maxLength: 3 }), fc.boolean())
        .map(
          ([f, given, comma]) =>
            `${f}(${given.map((a) => `(${a})`).join(', ')}${comma && given.length > 0 ? ',' : ''})`,
        ),
      fc.tuple(inner, inner).map(([a, b]) => `(${a}, ${b})`),
    ),
  }
})

const { statement } = fc.letrec<{ statement: string }>((tie) => {
  const ending = fc.constantFrom(';', '\n', ';\n')
  const inner = tie('statement')
  const block = fc.array(inner, { maxLength: 3 }).map((body) => `{ ${body.join('\n')} }`)
  const declaration = fc
    .tuple(fc.constantFrom('var', 'let'), fc.array(fc.tuple(names, value), { minLength: 1, maxLength: 2 }))
    .map(([kind, parts]) => `${kind} ${parts.map(([name, init]) => `${name} = ${init}`).join(', ')}`)
  const maybe = fc.oneof(fc.constant(''), value)
  return {
    statement: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      fc.tuple(value, ending).map((parts) => parts.join('')),
      fc.tuple(declaration, ending).map((parts) => parts.join('')),
      fc
        .tuple(fc.constantFrom('return', 'return ', 'return\n'), maybe, ending)
        .map(([word, x, end]) => `${word}${x ? ` ${x}` : ''}${end}`),
      fc.constantFrom(';', 'var later;'),
      block,
      fc.tuple(value, block, inner).map(([a, b, c]) => `if (${a}) ${b} else ${c}`),
      fc.tuple(value, inner).map(([a, b]) => `if (${a})\n${b}`),
      fc.tuple(fc.oneof(maybe, declaration), maybe, maybe, block).map(([a, b, c, d]) => `for (${a}; ${b}; ${c}) ${d}`),
    ),
  }
})

const programs = fc
  .tuple(fc.constantFrom('', 'half'), fc.uniqueArray(names), fc.array(statement, { maxLength: 4 }))
  .map(([name, parameters, body]) => `function ${name}(${parameters.join(', ')}) {\n${body.join('\n')}\n}`)

describe('scalar functions', () => {
  test('are read as acorn reads them', () => {
    let read = 0
    fc.assert(
      fc.property(programs, (text) => {
        const expected = byAcorn(text)
        // Two names declared twice, for instance.
        fc.pre(expected !== undefined)
        expect(ours(text)).toEqual(expected)
        read++
      }),
      { numRuns: 2000 },
    )
    expect(read).toBe(2000)
  })

  test('operators bind as they do in JavaScript', () => {
    const chains = fc
      .tuple(
        fc.array(fc.tuple(names, fc.constantFrom(...'+ - * / ** < >= == !== && ||'.split(' '))), { minLength: 2 }),
        names,
      )
      .map(([parts, last]) => `function f() { return ${parts.flat().join(' ')} ${last} }`)
    fc.assert(
      fc.property(chains, (text) => {
        expect(ours(text)).toEqual(byAcorn(text))
      }),
      { numRuns: 500 },
    )
  })

  test('whatever is done to their text, it is refused or read rightly', () => {
    const marks = fc.constantFrom(
      ...[...'?:;,.(){}[]=<>+-*/%&|^!~\n`"\'\\#@', '=>', '?.', '??', '...', '\n++', '\n(', '++', '<!--', '-->', '&&='],
      ...[
        '1n',
        '017',
        '08',
        'null ',
        'this ',
        'new ',
        'in ',
        'of ',
        'let ',
        'async ',
        'await ',
        'yield ',
        'function ',
        'typeof ',
      ],
      ...[
        'a.b.c',
        'Math["PI"]',
        'x: ',
        '/re/',
        '/* ',
        '//',
        'while (0) ',
        'throw ',
        'break;',
        '\\u0061',
        '\u200b',
        'class A {}',
      ],
    )
    let both = 0
    fc.assert(
      fc.property(
        programs,
        fc.array(fc.tuple(marks, fc.nat(), fc.nat(3)), { minLength: 1, maxLength: 3 }),
        (text, steps) => {
          let changed = text
          for (const [mark, place, removed] of steps) {
            const at = place % (changed.length + 1)
            changed = changed.slice(0, at) + mark + changed.slice(at + removed)
          }
          const expected = byAcorn(changed)
          const found = ours(changed)
          if (expected === undefined || found === 'refused') return
          both++
          expect(found).toEqual(expected)
        },
      ),
      { numRuns: 5000 },
    )
    expect(both).toBeGreaterThan(50)
  })

  test('of this package, as they are and minified', () => {
    for (const { scalar, helpers } of Object.values(maps)) {
      for (const text of [scalar, ...helpers].map(String)) {
        expect(ours(text)).toEqual(byAcorn(text))
        // As an expression, so that it is kept; the name goes.
        const minified = transformSync(`f = ${text}`, { minify: true }).code.replace(/^f=/, '').replace(/;\n$/, '')
        expect(ours(minified)).toEqual(byAcorn(minified))
        expect(ours(minified)).not.toBe('refused')
      }
    }
  })

  test.each([
    ['a line that ends a return', 'function f(x) { return\nx }', [null]],
    ['a line that ends nothing', 'function f(x) { return x\n+ x }', [{ type: 'BinaryExpression' }]],
  ])('%s', (_, text, results) => {
    const { body } = scalarFunction(text)
    expect(body.flatMap((each) => (each.type === 'ReturnStatement' ? [each.argument] : []))).toMatchObject(results)
  })

  test.each([
    'async function f(x) { return x }',
    'function* f(x) { return x }',
    '(x) => x',
    'f(x) { return x }',
    'function f(x) { return x } f()',
    'function f({ x }) { return x }',
    'function f(x = 1) { return x }',
    'function f(x) { return x % 2 }',
    'function f(x) { return "x" }',
    'function f(x) { return Math["exp"](x) }',
    'function f(x) { return x?.y }',
    'function f(x) { while (x) x-- }',
    'function f(x) { return 010 }',
    'function f(x) { return 1n }',
    'function f(x) { return x <!--x\n }',
    'function f(x) { return /x/ }',
    'class f {}',
    '',
  ])('refused: %s', (text) => {
    expect(() => scalarFunction(text)).toThrow(Unsupported)
  })
})
