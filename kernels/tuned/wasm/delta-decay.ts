/** e^g for the decays of the gated delta rule: one number a step and head. */
import type { FunctionBuilder, WasmModule } from './assembler.ts'
import { integers } from './assembler.ts'
import { f32x4, i32x4, type Local, type Value, v128 } from './instructions.ts'
import { withRange } from './task.ts'
import { eachVector } from './vectors.ts'

/** Beyond these e^x is infinite or 0 in float32, subnormal numbers included. */
const [highest, lowest] = [89, -104]
/** ln 2 in two parts, the first with so few digits that n times it is exact. */
const [ln2High, ln2Low] = [0.693359375, -2.121944400546906e-4]
/** e^r - 1 - r over r^2 on |r| <= ln 2 / 2: the Taylor series, whose next term is 1.2e-8 of e^r at most. */
const coefficients = [1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2]

/** e^x = 2^n e^r, n the integer nearest to x / ln 2. 2 ulp; NaN stays NaN. */
function exponential(f: FunctionBuilder, x: Local<'v128'>): Value<'v128'> {
  const constant = (value: number) => f32x4.splat(value)
  const bounded = f.local('v128', f32x4.min(f32x4.max(x, constant(lowest)), constant(highest)))
  const n = f.local('v128', f32x4.nearest(f32x4.mul(bounded, constant(Math.LOG2E))))
  const r = f.local('v128', f.madd(n, constant(-ln2Low), f.madd(n, constant(-ln2High), bounded)))
  const sum = f.local('v128', constant(coefficients[0]))
  for (const c of coefficients.slice(1)) f.set(sum, f.madd(sum, r, constant(c)))
  const power = f32x4.add(f.madd(f32x4.mul(sum, r), r, r), constant(1))
  // 2^n in two factors, as n itself may be below the smallest exponent and above the largest.
  const exponent = f.local('v128', i32x4.trunc_sat_f32x4_s(n))
  const half = f.local('v128', i32x4.shr_s(exponent, 1))
  const scaled = (e: Value<'v128'>) => i32x4.shl(i32x4.add(e, i32x4.splat(127)), 23)
  return f32x4.mul(f32x4.mul(power, scaled(half)), scaled(i32x4.sub(exponent, half)))
}

/** Items: vectors of g. */
export function defineDecays(module: WasmModule) {
  const parameters = { ...integers('g', 'decays'), ...withRange } as const
  return module.function('decays', parameters, (f, { g, decays, from, to }) => {
    eachVector(f, from, to, [g, decays], () => {
      const x = f.local('v128', v128.load(g))
      f.store(decays, exponential(f, x))
    })
  })
}
