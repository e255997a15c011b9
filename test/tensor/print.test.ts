/** Printed arrays against NumPy's own text, and against the values that they print. */

import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SluiceError } from '../../src/errors.ts'
import { formatArray, type PrintOptions } from '../../src/tensor/print.ts'

type Dtype = 'float32' | 'float64' | 'int32'
type Data = (number | string)[] | { count: number; start: number; step: number }
type Case = [dtype: Dtype, shape: number[], data: Data, options: PrintOptions, text: string]

const cases: Case[] = JSON.parse(readFileSync(new URL('../goldens/print.json', import.meta.url), 'utf8'))

const named = new Map([
  ['nan', Number.NaN],
  ['inf', Number.POSITIVE_INFINITY],
  ['-inf', Number.NEGATIVE_INFINITY],
  ['-0', -0],
])
const numberOf = (text: string) => named.get(text) ?? Number(text)

function valuesOf(data: Data): number[] {
  if (!Array.isArray(data)) return Array.from({ length: data.count }, (_, i) => data.start + data.step * i)
  return data.map((value) => (typeof value === 'string' ? numberOf(value) : value))
}

/** Every number that a text shows, in order. */
const printed = (text: string) => (text.match(/[^\s[\]]+/g) ?? []).map(numberOf)

describe('formatArray', () => {
  test.each(['float32', 'float64', 'int32'] as const)('prints %s arrays as NumPy does', (dtype) => {
    const mine = cases.filter((entry) => entry[0] === dtype)
    expect(mine.length).toBeGreaterThan(80)
    for (const [, shape, data, options, text] of mine) {
      const about = JSON.stringify([shape, data, options]).slice(0, 300)
      expect(formatArray(valuesOf(data), shape, dtype, options), about).toBe(text)
    }
  })

  test('takes the float32 nearest to each number', () => {
    expect(formatArray([0.1, 1 / 3], [2], 'float32')).toBe('[0.1        0.33333334]')
    expect(formatArray(Float32Array.of(0.1, 1 / 3), [2], 'float32')).toBe('[0.1        0.33333334]')
  })

  test('prints digits enough to read the same number back', () => {
    const any = { noDefaultInfinity: false }
    const rows = fc.oneof(
      fc.record({ dtype: fc.constant('float32' as const), x: fc.float(any) }),
      fc.record({ dtype: fc.constant('float64' as const), x: fc.double(any) }),
    )
    fc.assert(
      fc.property(rows, ({ dtype, x }) => {
        const read = numberOf(formatArray([x], [], dtype))
        expect(dtype === 'float32' ? Math.fround(read) : read).toBe(x)
        // 17 and 9 significant digits always name a float, so the shortest is no longer.
        const digits = formatArray([x], [], dtype)
          .replace(/e.*|[^0-9]/g, '')
          .replace(/^0+|0+$/g, '')
        expect(digits.length).toBeLessThanOrEqual(dtype === 'float32' ? 9 : 17)
      }),
      { numRuns: 500 },
    )
  })

  test('writes float64 with as few digits as JavaScript does', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (x) => {
        const significant = (text: string) => text.replace(/e.*|[^0-9]/g, '').replace(/^0+|0+$/g, '')
        expect(significant(formatArray([x], [], 'float64'))).toBe(significant(String(x)))
      }),
      { numRuns: 500 },
    )
  })

  test('prints a float32 array to half a unit of its eighth decimal', () => {
    const value = fc.float({ noNaN: true, noDefaultInfinity: true })
    const array = fc.array(value, { minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(array, (values) => {
        const read = printed(formatArray(values, [values.length], 'float32'))
        expect(read).toHaveLength(values.length)
        for (const [i, x] of values.entries()) {
          // Either 8 decimals are shown, behind the first digit or behind the point; or the shortest digits, which
          // name the float32. 1e-9 of slack is for the float64 arithmetic of this line.
          const shown = Math.max(1, 10 ** Math.floor(Math.log10(Math.abs(x) || 1)))
          const close = Math.abs(read[i]! - x) <= 0.5e-8 * shown * (1 + 1e-9)
          expect(close || Math.fround(read[i]!) === x, `${x} printed as ${read[i]}`).toBe(true)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('prints every row of a matrix at the same columns', () => {
    const matrix = fc
      .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 4 }), fc.boolean())
      .chain(([rows, columns, whole]) =>
        fc.record({
          rows: fc.constant(rows),
          columns: fc.constant(columns),
          dtype: fc.constant(whole ? ('int32' as const) : ('float32' as const)),
          data: fc.array(whole ? fc.integer() : fc.float(), { minLength: rows * columns, maxLength: rows * columns }),
        }),
      )
    fc.assert(
      fc.property(matrix, ({ rows, columns, dtype, data }) => {
        const lines = formatArray(data, [rows, columns], dtype).split('\n')
        expect(lines).toHaveLength(rows)
        const inner = lines.map((line) => line.slice(2).replace(/\]+$/, ''))
        expect(new Set(inner.map((line) => line.length)).size).toBe(1)
        expect(printed(lines.join('\n'))).toHaveLength(rows * columns)
      }),
      { numRuns: 200 },
    )
  })

  test('reads only the values shown of a summarised array', () => {
    const shape = [1000, 1000, 1000]
    const touched = new Set<number>()
    const source = new Proxy<ArrayLike<number>>(
      { length: 1e9 },
      {
        get: (target, key) => {
          if (key === 'length') return target.length
          touched.add(Number(key))
          return Number(key) % 10
        },
      },
    )
    const text = formatArray(source, shape, 'int32')
    expect(text.startsWith('[[[0 1 2 ... 7 8 9]\n  [0 1 2 ... 7 8 9]\n')).toBe(true)
    expect(touched.size).toBe(6 ** 3)
  })

  test('says what is wrong with bad arguments', () => {
    expect(() => formatArray([1, 2, 3], [2, 2], 'float32')).toThrow(/shape \[2, 2\] needs 4 values, but there are 3/)
    expect(() => formatArray([1], [0], 'float32')).toThrow(SluiceError)
    const bad: PrintOptions[] = [
      { precision: -1 },
      { precision: 0.5 },
      { threshold: -1 },
      { edgeItems: 0 },
      { lineWidth: 0 },
    ]
    for (const options of bad) {
      const name = Object.keys(options)[0]
      expect(() => formatArray([1], [1], 'float32', options)).toThrow(new RegExp(`${name} is .* expected an integer`))
    }
  })
})
