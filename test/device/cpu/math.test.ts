/** The vector functions of kernels/tuned/wasm/math.ts against float64, over all of float32. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type FunctionBuilder, WasmModule } from '../../../kernels/tuned/wasm/assembler.ts'
import { f32x4, v128 } from '../../../kernels/tuned/wasm/instructions.ts'
import {
  exponential,
  exponentialBelow0,
  hyperbolicTangent,
  logarithm,
  sigmoid,
  type VectorFunction,
} from '../../../kernels/tuned/wasm/math.ts'
import { eachVector } from '../../../kernels/tuned/wasm/vectors.ts'
import { variants } from './variants.ts'

const count = 2 ** 16
const memory = new WebAssembly.Memory({ initial: (2 * 4 * count) / 2 ** 16 })
const bits = new Int32Array(memory.buffer, 0, count)
const x = new Float32Array(memory.buffer, 0, count)
const y = new Float32Array(memory.buffer, 4 * count, count)

/** The distance of adjacent float32 numbers at `value`. */
const ulp = (value: number) => 2 ** Math.max(Math.floor(Math.log2(Math.abs(value))) - 23, -149)

/** Sides on which the float64 formula neither overflows nor cancels. */
const exactSigmoid = (v: number) => (v >= 0 ? 1 / (1 + Math.exp(-v)) : Math.exp(v) / (1 + Math.exp(v)))

/** e^-|x|, so that all numbers are in its domain. */
function decay(f: FunctionBuilder): VectorFunction {
  const exp = exponentialBelow0(f)
  return (x) => exp(f32x4.neg(f32x4.abs(x)))
}
const exactDecay = (v: number) => (Math.abs(v) > Math.fround(86.6) ? 0 : Math.exp(-Math.abs(v)))

/** Largest errors in ulp, as math.ts states them. */
const functions = [
  { name: 'exp', make: exponential, exact: Math.exp, most: 1 },
  { name: 'exp below 0', make: decay, exact: exactDecay, most: 1 },
  { name: 'tanh', make: hyperbolicTangent, exact: Math.tanh, most: 3 },
  { name: 'sigmoid', make: sigmoid, exact: exactSigmoid, most: 3 },
  { name: 'log', make: logarithm, exact: Math.log, most: 1 },
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
    for (let i = 0; i < length; i++) {
      const expected = exact(x[i])
      const rounded = Math.fround(expected)
      // Zeros with their sign, infinities and NaN are exact.
      if (Object.is(y[i], rounded)) continue
      const error = Math.abs(y[i] - expected) / ulp(expected)
      if (!(error <= most)) expect.fail(`f(${x[i]}) is ${y[i]}, expected ${rounded}, ${error} ulp`)
    }
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
