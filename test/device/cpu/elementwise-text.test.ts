/** Scalar functions read from their text: what the vector code computes is what JavaScript does, or they are refused. */
import { transformSync } from 'esbuild'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as maps from '../../../kernels/elementwise.ts'
import { elementwise, type MapKernel } from '../../../kernels/kernel.ts'
import * as updates from '../../../kernels/optimizer.ts'
import { MapLaunchers } from '../../../kernels/tuned/wasm/elementwise/launch.ts'
import { programOf } from '../../../kernels/tuned/wasm/elementwise/program.ts'
import { TaskRunner } from './tasks.ts'

type Scalar = (...values: number[]) => number

/** The function that stands in a text, as it is or as a minifier leaves it. */
function functionOf(text: string, minified: boolean): Scalar {
  const code = minified ? transformSync(`made = ${text}`, { minify: true }).code : `made = ${text}`
  return new Function(`let made; ${code}; return made`)() as Scalar
}

const launchers = new MapLaunchers({ relaxed: false })
const runner = new TaskRunner()

/** The results for each pair of x and y, by vector code; undefined where the function is refused. */
function results(scalar: Scalar, x: readonly number[], y: readonly number[], helpers: Scalar[] = []) {
  const launcher = launchers.of(elementwise(scalar, 2, helpers))
  if (!launcher) return undefined
  runner.clear()
  const n = x.length
  const out = runner.place(n)
  const [a, b] = [runner.placeOf(x), runner.placeOf(y)]
  runner.run(launcher([out], [n, 1, 1], [a, n, n, 1, b, n, n, 1])!)
  return [...out.values]
}

/** Programs whose results are exact: sums, halves, choices and loops of multiples of 1/8. */
const { program } = fc.letrec<{ number: string; condition: string; statement: string; program: string }>((tie) => {
  const names = fc.constantFrom('x', 'y', 'p', 'q')
  const literal = fc.constantFrom('0', '1', '-1', '0.5', '2', '-0.125', 'NaN', '1e3', 'Infinity')
  const number = tie('number')
  const condition = tie('condition')
  const pair = (build: (a: string, b: string) => string) => fc.tuple(number, number).map(([a, b]) => build(a, b))
  const choice = fc.tuple(condition, number, number)
  const sign = fc.constantFrom('<', '<=', '>', '>=', '===', '!==', '==', '!=')
  const block = fc.array(tie('statement'), { maxLength: 3 }).map((list) => `{ ${list.join('; ')} }`)
  return {
    number: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'all' },
      names,
      literal.map((x) => `(${x})`),
      pair((a, b) => `(${a} + ${b})`),
      pair((a, b) => `(${a} - ${b})`),
      pair((a, b) => `Math.max(${a}, ${b})`),
      pair((a, b) => `Math.min(${a}, ${b})`),
      pair((a, b) => `(${a} && ${b})`),
      pair((a, b) => `(${a} || ${b})`),
      number.map((a) => `(${a} * 0.5)`),
      number.map((a) => `(${a} / 2)`),
      number.map((a) => `Math.floor(${a})`),
      number.map((a) => `Math.round(${a})`),
      number.map((a) => `Math.sign(${a})`),
      number.map((a) => `-Math.abs(${a})`),
      number.map((a) => `(+(${a} > 0))`),
      choice.map(([c, a, b]) => `(${c} ? ${a} : ${b})`),
    ),
    condition: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'all' },
      fc.tuple(number, sign, number).map(([a, s, b]) => `${a} ${s} ${b}`),
      fc.tuple(names, sign, fc.constantFrom('0.1', '-0.3', '1e-60', '1e60')).map((parts) => parts.join(' ')),
      fc.tuple(condition, condition).map(([a, b]) => `(${a} && ${b})`),
      fc.tuple(condition, condition).map(([a, b]) => `(${a} || ${b})`),
      condition.map((a) => `!(${a})`),
      names,
    ),
    statement: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'all' },
      fc.tuple(fc.constantFrom('p', 'q'), fc.constantFrom('=', '+=', '-='), number).map((parts) => parts.join(' ')),
      fc.tuple(condition, block, block).map(([c, a, b]) => `if (${c}) ${a} else ${b}`),
      fc.tuple(condition, block).map(([c, a]) => `if (${c}) ${a}`),
      fc.tuple(condition, number).map(([c, a]) => `if (${c}) return ${a}`),
      fc.tuple(fc.integer({ min: 0, max: 3 }), block).map(([n, a]) => `for (let i = 0; i < ${n}; i++) ${a}`),
      number.map((a) => `{ const own = ${a}; p = own - q }`),
    ),
    program: fc
      .tuple(fc.array(tie('statement'), { maxLength: 4 }), number)
      .map(
        ([list, last]) =>
          `function made(x, y) { let p = x - y; let q = 1; ${list.join('; ')}; return ${last} + p - q }`,
      ),
  }
})

describe('the text of a scalar function', () => {
  test('means what JavaScript makes of it, minified or not', () => {
    const value = fc.oneof(
      fc.integer({ min: -64, max: 64 }).map((x) => x / 8),
      fc.constantFrom(Number.NaN, 0, -0),
    )
    const values = fc.array(value, { minLength: 8, maxLength: 8 })
    let read = 0
    fc.assert(
      fc.property(program, values, values, fc.boolean(), (text, x, y, minified) => {
        const scalar = functionOf(text, minified)
        const got = results(scalar, x, y)
        if (!got) return
        read++
        // Sums of some values above 2^24 could round; Infinity stays.
        const expected = x.map((a, i) => Math.fround(scalar(a, y[i])))
        expected.forEach((wanted, i) => {
          if (got[i] !== wanted && !(Number.isNaN(got[i]) && Number.isNaN(wanted))) {
            expect.fail(`${scalar}: (${x[i]}, ${y[i]}) gives ${got[i]}, expected ${wanted}`)
          }
        })
      }),
      { numRuns: 1000 },
    )
    // The rest have loops in loops with the same counter.
    expect(read).toBeGreaterThan(900)
  })

  test.each<[string, string]>([
    ['assignments in expressions', 'function f(x, y) { let a; return (a = x + 1), x > y && (a = y), a }'],
    ['var from a block', 'function f(x, y) { if (x > y) { var a = x; a = 2 } else { a = y } return a }'],
    ['undefined', 'function f(x, y) { if (x > y) return; return x !== void 0 ? 1 : 2 }'],
    [
      'counting down and prefixes',
      'function f(x, y) { let s = 0; for (let i = 4; i > 0; --i) s += x * i; return s - y-- - y }',
    ],
    ['powers', 'function f(x, y) { return x ** 2 + y ** 3 - Math.pow(x, -1) * 0 }'],
    ['constants', 'function f(x, y) { return x > 0 ? Math.fround === undefined : y + 0 * Math.PI }'],
    ['a loop that returns', 'function f(x, y) { for (let i = 0; i < 3; i++) { if (x > i) return i; } return y }'],
    ['ceil and trunc', 'function f(x, y) { return Math.ceil(x) + 10 * Math.trunc(y) }'],
  ])('%s', (_, text) => {
    const x = [0, 1, -1, 2.5, -0.5, 3, 7, -8]
    const y = [1, 1, 0.5, -2, 0.5, 8, -3, 2]
    const scalar = functionOf(text, false)
    const got = results(scalar, x, y)
    if (got) expect(got).toEqual(x.map((a, i) => Math.fround(scalar(a, y[i]) as number)))
    expect(got === undefined).toBe(text.includes('fround'))
  })

  test('helpers are called by the names they have in their own text', () => {
    const scalar = functionOf('function f(x, y) { return twice(x) - half(y) }', false)
    const twice = functionOf('function twice(v) { if (v > 0) return 2 * v; return v }', false)
    const half = functionOf('function half(v) { return v * 0.5 }', false)
    expect(results(scalar, [1, -1], [4, 2], [twice, half])).toEqual([0, -2])
    expect(results(scalar, [1, -1], [4, 2], [twice])).toBeUndefined()
  })

  test.each([
    'function f(x, y) { return x | 0 }',
    'function f(x, y) { return x % y }',
    'function f(x, y) { return Math.random() + x + y }',
    'function f(x, y) { let s = 0; for (let i = 0; i < x; i++) s += y; return s }',
    'function f(x, y) { while (x > 0) x -= y; return x }',
    'function f(x, y) { return [x, y][0] }',
    'function f(x, y) { return outer + x + y }',
    'function f(x, y) { return f(x - 1, y) }',
    'function f(x, y) { const x2 = { x }; return x2.x + y }',
    'function f(x, y) { return Math.log2(x) + y }',
  ])('refused: %s', (text) => {
    expect(launchers.of(elementwise(functionOf(text, false), 2))).toBeUndefined()
  })

  test('every map kernel is read, and minified all the same', () => {
    for (const kernel of [...Object.values(maps), ...Object.values(updates)]) {
      expect(programOf(kernel), kernel.name).toBeDefined()
      const minified: MapKernel = { ...kernel, scalar: functionOf(kernel.scalar.toString(), true) }
      expect(programOf(minified), kernel.name).toBeDefined()
    }
  })

  test('both sides of a choice share a long function', () => {
    const count = (kernel: MapKernel, operation: string) => {
      const { expressions, outputs } = programOf(kernel)!
      return [...expressions.within(outputs)].filter((x) => x.operation === operation).length
    }
    for (const kernel of [maps.sigmoid, maps.silu, maps.gelu, maps.siluGradient, maps.geluGradient]) {
      expect([kernel.name, count(kernel, 'exp'), count(kernel, 'div')]).toEqual([kernel.name, 1, 1])
    }
    expect(count(maps.pow, 'pow')).toBe(1)
  })
})
