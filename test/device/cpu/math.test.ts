/** The vector functions of kernels/tuned/wasm/math.ts and math-double.ts against float64, over all of float32. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type FunctionBuilder, WasmModule } from '../../../kernels/tuned/wasm/assembler.ts'
import { f32x4, v128 } from '../../../kernels/tuned/wasm/instructions.ts'
import {
  exponential,
  exponentialOfNegative,
  hyperbolicTangent,
  logarithm,
  sigmoid,
  type Vector,
} from '../../../kernels/tuned/wasm/math.ts'
import { cosine, power, sine } from '../../../kernels/tuned/wasm/math-double.ts'
import { eachVector } from '../../../kernels/tuned/wasm/vectors.ts'
import { variants } from './variants.ts'

const count = 2 ** 16
const memory = new WebAssembly.Memory({ initial: (2 * 4 * count) / 2 ** 16 })
const bits = new Int32Array(memory.buffer, 0, count)
const x = new Float32Array(memory.buffer, 0, count)
const y = new Float32Array(memory.buffer, 4 * count, count)

/** The distance of adjacent float32 numbers at `value`. */
const ulp = (value: number) => 2 ** Math.max(Math.floor(Math.log2(Math.abs(value))) - 23, -149)

/** Zeros with their sign, infinities and NaN are exact. */
function expectClose(got: number, expected: number, most: number, what: () => string): void {
  const rounded = Math.fround(expected)
  if (Object.is(got, rounded)) return
  const error = Math.abs(got - expected) / ulp(expected)
  if (!(error <= most)) expect.fail(`${what()} is ${got}, expected ${rounded}, ${error} ulp`)
}

/** Sides on which the float64 formula neither overflows nor cancels. */
const exactSigmoid = (v: number) => (v >= 0 ? 1 / (1 + Math.exp(-v)) : Math.exp(v) / (1 + Math.exp(v)))

const ofNegative = (f: FunctionBuilder) => {
  const exp = exponentialOfNegative(f)
  return (v: Vector) => exp(f32x4.neg(f32x4.abs(v)))
}

/** Largest errors in ulp, as math.ts states them. */
const functions = [
  { name: 'exp', make: exponential, exact: Math.exp, most: 1 },
  // Anything may come of a positive argument: of these it takes the negative.
  { name: 'exp of -|x|', make: ofNegative, exact: (v: number) => Math.exp(-Math.abs(v)), most: 1 },
  { name: 'tanh', make: hyperbolicTangent, exact: Math.tanh, most: 3 },
  { name: 'sigmoid', make: sigmoid, exact: exactSigmoid, most: 3 },
  { name: 'log', make: logarithm, exact: Math.log, most: 1 },
  { name: 'sin', make: sine, exact: Math.sin, most: 2 },
  { name: 'cos', make: cosine, exact: Math.cos, most: 2 },
]

const cases = variants.flatMap((features) =>
  functions.map((each) => [each.name, features.relaxed ? 'fused' : 'in two roundings', each, features] as const),
)

describe.each(cases)('%s, multiply-add %s', (_name, _rounding, { make, exact, most }, features) => {
  const module = new WasmModule(features)
  const callee = module.function('each', { x: 'i32', y: 'i32', count: 'i32' }, (f, p) => {
    const apply = make(f)
    eachVector(f, 0, p.count, [p.x, p.y], () => f.store(p.y, apply(v128.load(p.x))))
  })
  const call = module.instantiate(memory)(callee)

  /** Checks what stands in x. */
  function check(length: number): void {
    call(0, 4 * count, Math.ceil(length / 4))
    for (let i = 0; i < length; i++) expectClose(y[i], exact(x[i]), most, () => `f(${x[i]})`)
  }

  test('over every 4999th float32', () => {
    for (let first = 0; first < 2 ** 32; first += 4999 * count) {
      for (let i = 0; i < count; i++) bits[i] = first + 4999 * i
      check(count)
    }
  })

  test('for four numbers at once, whatever they are', () => {
    const special = fc.constantFrom(0, -0, 1, -1, Infinity, -Infinity, Number.NaN, 2 ** -149, 88.7228, -103.97, 20, -20)
    const any = fc.oneof({ weight: 3, arbitrary: fc.float() }, special, fc.float({ min: -110, max: 90 }))
    fc.assert(
      fc.property(fc.array(any, { minLength: 4, maxLength: 4 }), (values) => {
        x.set(values)
        check(4)
      }),
      { numRuns: 1000 },
    )
  })
})

describe.each(variants.map((features) => [features.relaxed ? 'fused' : 'in two roundings', features] as const))(
  'pow, multiply-add %s',
  (_rounding, features) => {
    const module = new WasmModule(features)
    const callee = module.function('each', { x: 'i32', y: 'i32', out: 'i32', count: 'i32' }, (f, p) => {
      const apply = power(f)
      eachVector(f, 0, p.count, [p.x, p.y, p.out], () => f.store(p.out, apply(v128.load(p.x), v128.load(p.y))))
    })
    const call = module.instantiate(memory)(callee)
    const powers = new Float32Array(memory.buffer, 4 * count, count / 2)
    const out = new Float32Array(memory.buffer, 6 * count, count / 2)

    function check(length: number): void {
      call(0, 4 * count, 6 * count, Math.ceil(length / 4))
      for (let i = 0; i < length; i++) expectClose(out[i], x[i] ** powers[i], 1, () => `${x[i]} ** ${powers[i]}`)
    }

    test('over bases of all sizes', () => {
      const exponents = [0.5, 2, 3, -1, 1 / 3, -2.7, 17, 0.001, -0.75, 1.0001]
      for (let first = 0; first < 2 ** 32; first += 99_991 * (count / 2)) {
        for (let i = 0; i < count / 2; i++) {
          bits[i] = first + 99_991 * i
          powers[i] = exponents[i % exponents.length]
        }
        check(count / 2)
      }
    })

    test('for four pairs at once, whatever they are', () => {
      const special = fc.constantFrom(0, -0, 1, -1, 2, -2, 3, -3, 0.5, Infinity, -Infinity, Number.NaN, 2 ** -149)
      const integer = fc.integer({ min: -40, max: 40 })
      const any = fc.oneof(fc.float(), special, integer, fc.float({ min: -10, max: 10 }), fc.float({ min: 0, max: 2 }))
      fc.assert(
        fc.property(fc.array(fc.tuple(any, any), { minLength: 4, maxLength: 4 }), (pairs) => {
          x.set(pairs.map(([base]) => base))
          powers.set(pairs.map(([, exponent]) => exponent))
          check(4)
        }),
        { numRuns: 2000 },
      )
    })
  },
)
