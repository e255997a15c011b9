/** e^x and log x a lane; until the device's own mathematics is there. */
import type { FunctionBuilder } from './assembler.ts'
import { f32x4, i32x4, type Local, type Value, v128 } from './instructions.ts'

export function expConstants(f: FunctionBuilder) {
  const constant = (value: number) => f.local('v128', f32x4.splat(value))
  return {
    least: constant(-87.3),
    log2e: constant(Math.LOG2E),
    high: constant(-0.693359375),
    low: constant(2.1219444e-4),
    most: constant(88.7),
    c: [1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5].map(constant),
    one: constant(1),
    infinity: constant(Infinity),
  }
}

export function exp(f: FunctionBuilder, x: Value<'v128'>, k: ReturnType<typeof expConstants>): Value<'v128'> {
  const at = f.local('v128', x)
  const n = f.local('v128', f32x4.nearest(f32x4.mul(at, k.log2e)))
  const r = f.local('v128', f.madd(n, k.low, f.madd(n, k.high, at)))
  const p = f.local('v128', k.c[0])
  for (const c of k.c.slice(1)) f.set(p, f.madd(p, r, c))
  f.set(p, f32x4.add(f.madd(f32x4.mul(r, r), p, r), k.one))
  const scaled = i32x4.add(p, i32x4.shl(i32x4.trunc_sat_f32x4_s(n), 23))
  f.set(p, v128.bitselect(k.infinity, scaled, f32x4.gt(at, k.most)))
  return v128.andnot(p, f32x4.lt(at, k.least))
}

/** For x of at least 1. */
export function log(f: FunctionBuilder, x: Value<'v128'>): Local<'v128'> {
  const constant = (value: number) => f32x4.splat(value)
  const at = f.local('v128', x)
  const e = f.local('v128', i32x4.sub(i32x4.shr_s(at, 23), i32x4.splat(127)))
  const m = f.local('v128', i32x4.sub(at, i32x4.shl(e, 23)))
  const big = f.local('v128', f32x4.gt(m, constant(Math.SQRT2)))
  f.set(m, v128.bitselect(f32x4.mul(m, constant(0.5)), m, big))
  f.set(e, i32x4.sub(e, big))
  const q = f.local('v128', f32x4.div(f32x4.sub(m, constant(1)), f32x4.add(m, constant(1))))
  const q2 = f.local('v128', f32x4.mul(q, q))
  const poly = [1 / 9, 1 / 7, 1 / 5, 1 / 3].map(constant).reduce((sum, c) => f.madd(sum, q2, c))
  const two = f32x4.add(q, q)
  const value = f.madd(f32x4.convert_i32x4_s(e), constant(Math.LN2), f.madd(f32x4.mul(two, q2), poly, two))
  return f.local('v128', v128.bitselect(at, value, f32x4.ne(at, at)))
}
