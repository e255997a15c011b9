import fc from 'fast-check'
import { expect, it } from 'vitest'
import { add, type Dual, divide, multiply, sine } from './01-dual.ts'

const place = fc.integer({ min: -24, max: 24 }).map((n) => n / 8)
const h = 1e-6

/** Compares the slope that `f` carries with a nudge: the error of the quotient is h² and rounding / h, both below 1e-8. */
function check(f: (x: Dual) => Dual, x: number): void {
  const value = (at: number) => f({ value: at, slope: 0 }).value
  const nudged = (value(x + h) - value(x - h)) / (2 * h)
  expect(f({ value: x, slope: 1 }).slope).toBeCloseTo(nudged, 5)
}

it('multiplies', () => {
  fc.assert(fc.property(place, (x) => check((t) => multiply(t, multiply(t, t)), x)))
})

it('divides', () => {
  const ten: Dual = { value: 10, slope: 0 }
  fc.assert(fc.property(place, (x) => check((t) => divide(multiply(t, t), add(t, ten)), x)))
})

it('takes sines', () => {
  fc.assert(fc.property(place, (x) => check((t) => sine(multiply(t, t)), x)))
})

it('gives a constant the slope 0', () => {
  expect(multiply({ value: 2, slope: 0 }, { value: 3, slope: 0 }).slope).toBe(0)
})
