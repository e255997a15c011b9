/** How exact the vector code of every map kernel is. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as maps from '../../../kernels/elementwise.ts'
import type { MapKernel } from '../../../kernels/kernel.ts'
import * as updates from '../../../kernels/optimizer.ts'
import { MapLaunchers } from '../../../kernels/tuned/wasm/elementwise/launch.ts'
import { TaskRunner } from './tasks.ts'
import { variants } from './variants.ts'

const u = 2 ** -24
const least = 2 ** -149
const kernels: MapKernel[] = [...Object.values(maps), ...Object.values(updates)]

const logistic = (v: number) => 1 / (1 + Math.exp(-v))
const geluArgument = (x: number) => 1.5957691216057308 * (x + 0.044715 * x ** 3)

/**
 * How far a result may be from float64's: sums of what the roundings of a formula in float32 can make of it, to first order,
 * u = 2^-24 each. Kernels that are not here are one operation, or only choose: they are float64's result, rounded.
 */
const errors: Record<string, (result: number, ...given: number[]) => number> = {
  // Two roundings.
  rsqrt: (y) => 2.1 * u * Math.abs(y),
  // As stated in math.ts, an ulp being at most 2 u relatively.
  exp: (y) => 2 * u * y,
  log: (y) => 2 * u * Math.abs(y),
  sin: (y) => 4 * u * Math.abs(y),
  cos: (y) => 4 * u * Math.abs(y),
  tanh: (y) => 6 * u * Math.abs(y),
  pow: (y) => 2 * u * Math.abs(y),
  powExponentGradient: (y) => 4 * u * Math.abs(y),
  // The exponential (2 u), the sum and the quotient (u each); products beside it.
  sigmoid: (y) => 6 * u * y,
  // A subnormal exponential is off by its last place.
  silu: (y, x) => 7 * u * Math.abs(y) + Math.abs(x) * least,
  sigmoidGradient: (y) => 3.1 * u * Math.abs(y),
  // y^2, the difference of two numbers of like size.
  tanhGradient: (y, dy, t) => 3.1 * u * Math.abs(y) + 1.1 * u * Math.abs(dy) * t * t,
  // 1 + e^-|x| loses u of its second part.
  softplus: (y) => 8 * u * Math.abs(y) + 2 * u,
  // s and s (1 - s) x, whose errors add; 1 - s is off by u s + 6 u s (1 - s).
  siluGradient: (_y, dy, x) => {
    const s = logistic(x)
    return Math.abs(dy) * (1 + Math.abs(x)) * (16 * u * s + least)
  },
  // u's own error, 5 roundings, is one of e^u relatively.
  gelu: (y, x) => (10 + 6 * Math.abs(geluArgument(x))) * u * Math.abs(y) + Math.abs(x) * least,
  geluGradient: (_y, dy, x) => {
    const s = logistic(geluArgument(x))
    const slope = 1.6 * (1 + 0.134145 * x * x)
    return Math.abs(dy) * (1 + Math.abs(x) * slope) * ((20 + 6 * Math.abs(geluArgument(x))) * u * s + least)
  },
  // 60 positive terms, the largest of which have seen a few dozen roundings; e^-a^2 with a^2 <= 36 off by 2 u a^2.
  erf: (y) => 100 * u * Math.abs(y),
  // The constant is rounded too.
  movingAverage: (_y, old, x, beta) => 4 * u * (Math.abs(beta * old) + Math.abs(x)),
  movingAverageOfSquare: (_y, old, x, beta) => 5 * u * (Math.abs(beta * old) + x * x),
  adamWStep: (_y, p, m, v, rate, decay, c1, c2, eps) =>
    10 * u * (Math.abs(p) * (1 + rate * decay) + Math.abs((rate * m) / c1) / (Math.sqrt(v / c2) + eps)),
}

const special = [0, -0, 1, -1, 0.5, -2.5, Number.NaN]
/** Products of a few are normal numbers. */
const moderate = fc
  .oneof(fc.double({ min: -20, max: 20, noNaN: true }), fc.double({ min: -1e3, max: 1e3, noNaN: true }))
  .map((x) => (Math.abs(x) < 2 ** -20 ? 0 : Math.fround(x)))
const usual = fc.oneof({ weight: 4, arbitrary: moderate }, fc.constantFrom(...special))
const anything = fc.oneof(usual, fc.float(), fc.constantFrom(Infinity, -Infinity))

/** Kernels in which an infinity meets what float32 and float64 round to 0 at different places. */
const finite = /Gradient|Average|adamWStep/

const constant = fc.double({ min: 0.01, max: 1, noNaN: true })
const constantsOf = (kernel: MapKernel) =>
  kernel === maps.pow
    ? fc.constant([Number.NaN])
    : fc.array(constant, { minLength: kernel.constants, maxLength: kernel.constants })

const strides = (X: number, Y: number) => [X * Y, X, 1]

describe.each(variants.map((features) => [features.relaxed ? 'fused' : 'in two roundings', features] as const))(
  'multiply-add %s',
  (_name, features) => {
    const launchers = new MapLaunchers(features)
    const runner = new TaskRunner()

    test.each(kernels.map((kernel) => [kernel.name, kernel] as const))('%s is as exact as it says', (_, kernel) => {
      const launcher = launchers.of(kernel)!
      const operand = fc.array(finite.test(kernel.name) ? usual : anything, { minLength: 37, maxLength: 37 })
      const operands = fc.array(operand, { minLength: kernel.operands, maxLength: kernel.operands })
      const error = errors[kernel.name] ?? (() => 0)
      fc.assert(
        fc.property(operands, constantsOf(kernel), (given, constants) => {
          runner.clear()
          const places = given.map((values) => runner.placeOf(values))
          const out = runner.place(37)
          const parameters = [...places.flatMap((place) => [place, ...strides(37, 1)]), ...constants]
          runner.run(launcher([out], [37, 1, 1], parameters)!)
          for (let i = 0; i < 37; i++) {
            const numbers = [...given.map((values) => values[i]), ...constants]
            const expected = kernel.scalar(...numbers) as number
            const got = out.values[i]
            const rounded = Math.fround(expected)
            if (Object.is(got, rounded) || (got === 0 && rounded === 0)) continue
            const allowed = error(expected, ...numbers) + least
            if (!(Math.abs(got - expected) <= allowed)) {
              expect.fail(`${kernel.name}(${numbers}) is ${got}, expected ${expected} within ${allowed}`)
            }
          }
        }),
        { numRuns: 300 },
      )
    })
  },
)
