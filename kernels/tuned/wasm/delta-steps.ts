/**
 * The two walks of the gated delta rule's gradient: see delta-backward.ts for what they compute and why.
 *
 * Both hold a transposed state [V, K]: their results are sums over values for each key, so that lanes are keys, and only
 * the one sum over keys needs the lanes of a vector added.
 */
import { type FunctionBuilder, floats, integers, type WasmModule } from './assembler.ts'
import { laneSum, sumsOf } from './delta-parts.ts'
import { f32, f32x4, i32, type Local, type Operand, type Value, v128 } from './instructions.ts'
import { vectorBytes } from './vectors.ts'

const range = (count: number) => Array.from({ length: count }, (_, i) => i)

/** Columns of the state that a loop over the keys takes at once: as many as leave the 15 registers enough. */
const TOGETHER = 4
const PAIR = 2

/** Pointers are to a block's part of the first step, and to its rows of the transposed state. */
const shared = {
  ...integers('k', 'errors', 'dout', 'decays', 'beta', 'dk', 'dv', 'state'),
  /** Bytes from a step to the next, where a step has K numbers, V, or one. */
  ...integers('keyStep', 'valueStep', 'numberStep'),
  ...integers('K', 'columns', 'steps'),
  ...floats('scale'),
} as const

/** One float of the memory in all lanes, times `factor`. */
const splatTimes = (pointer: Operand<'i32'>, factor: Operand<'v128'>, offset = 0) =>
  f32x4.mul(v128.load32_splat(pointer, offset), factor)

/** The sum of x y over so many vectors. */
function innerProduct(f: FunctionBuilder, x: Local<'i32'>, y: Local<'i32'>, vectors: Operand<'i32'>): Value<'f32'> {
  const [left, right] = [f.local('i32', x), f.local('i32', y)]
  const total = f.local('v128', f32x4.splat(0))
  f.times(vectors, () => {
    f.set(total, f.madd(v128.load(left), v128.load(right), total))
    f.advance(left, vectorBytes)
    f.advance(right, vectorBytes)
  })
  return laneSum(total)
}

/**
 * Steps of a block backward in time, with G = dL/dS of the step in `state`:
 *
 *   open      G += q do^T;   du = G^T k           do scaled
 *   correct   dv = beta du, dr = -dv;   dbeta += du e;   dg_t = dg_{t+1} + do o - dv v
 *   close     dk += G u;   G = a (G + k dr^T)     u = beta e
 *
 * The first dg is <G, S> with the state after the last step, at `end`. dk, dbeta and dg are added to what is there.
 * Scratch: four floats a column for du's lanes, and a float a column each for u and dr.
 */
export function defineGradientSteps(module: WasmModule) {
  const parameters = { ...shared, ...integers('q', 'v', 'out', 'dg', 'dbeta', 'end', 'scratch') } as const
  return module.function('gradientSteps', parameters, (f, p) => {
    const together = range(TOGETHER)
    const rowBytes = f.local('i32', i32.shl(p.K, 2))
    const groups = f.local('i32', i32.shr_u(p.columns, 2))
    const keys = f.local('i32', i32.shr_u(p.K, 2))
    const scale = f.local('v128', f32x4.splat(p.scale))
    const corrections = f.local('i32', i32.add(p.scratch, i32.mul(p.columns, vectorBytes)))
    const changes = f.local('i32', i32.add(corrections, i32.shl(p.columns, 2)))
    const slope = f.local('f32', innerProduct(f, p.state, p.end, i32.mul(p.columns, keys)))
    const keyed = [p.q, p.k, p.dk]
    const valued = [p.v, p.out, p.errors, p.dout, p.dv]
    const single = [p.decays, p.beta, p.dg, p.dbeta]
    /** Moves by so many steps. */
    const move = (steps: Operand<'i32'>) => {
      for (const pointer of keyed) f.advance(pointer, i32.mul(p.keyStep, steps))
      for (const pointer of valued) f.advance(pointer, i32.mul(p.valueStep, steps))
      for (const pointer of single) f.advance(pointer, i32.mul(p.numberStep, steps))
    }
    const [q, k, dk] = range(3).map(() => f.local('i32'))
    const rows = together.map(() => f.local('i32'))
    /** Groups of four columns, `rows` at their states. */
    const eachGroup = (pointers: readonly Local<'i32'>[], body: () => void) => {
      f.set(rows[0], p.state)
      f.times(groups, () => {
        for (const i of [1, 2, 3]) f.set(rows[i], i32.add(rows[i - 1], rowBytes))
        body()
        // The loop over the keys has moved every pointer to the next row.
        f.set(rows[0], rows[3])
        for (const pointer of pointers) f.advance(pointer, vectorBytes)
      })
    }

    move(i32.sub(p.steps, 1))
    f.times(p.steps, () => {
      const beta = f.local('v128', v128.load32_splat(p.beta))
      const decay = f.local('v128', v128.load32_splat(p.decays))

      const dout = f.local('i32', p.dout)
      const sums = f.local('i32', p.scratch)
      eachGroup([dout], () => {
        const douts = together.map((i) => f.local('v128', splatTimes(dout, scale, 4 * i)))
        const lookups = together.map(() => f.local('v128', f32x4.splat(0)))
        f.set(q, p.q)
        f.set(k, p.k)
        f.times(keys, () => {
          const query = f.local('v128', v128.load(q))
          const key = f.local('v128', v128.load(k))
          for (const i of together) {
            const cell = f.local('v128', f.madd(douts[i], query, v128.load(rows[i])))
            f.store(rows[i], cell)
            f.set(lookups[i], f.madd(cell, key, lookups[i]))
          }
          for (const pointer of [q, k, ...rows]) f.advance(pointer, vectorBytes)
        })
        for (const i of together) f.store(sums, lookups[i], i * vectorBytes)
        f.advance(sums, TOGETHER * vectorBytes)
      })

      const dbetas = f.local('v128', f32x4.splat(0))
      const slopes = f.local('v128', f32x4.splat(0))
      const [v, out, errors, dv] = [p.v, p.out, p.errors, p.dv].map((pointer) => f.local('i32', pointer))
      const [correction, change] = [corrections, changes].map((pointer) => f.local('i32', pointer))
      f.set(dout, p.dout)
      f.set(sums, p.scratch)
      f.times(groups, () => {
        const found = together.map((i) => f.local('v128', v128.load(sums, i * vectorBytes)))
        const gradient = f.local('v128', sumsOf(f, found))
        const error = f.local('v128', v128.load(errors))
        const dvalue = f.local('v128', f32x4.mul(beta, gradient))
        f.store(dv, dvalue)
        f.store(change, f32x4.neg(dvalue))
        f.store(correction, f32x4.mul(beta, error))
        f.set(dbetas, f.madd(gradient, error, dbetas))
        f.set(slopes, f.madd(v128.load(dout), v128.load(out), slopes))
        f.set(slopes, f32x4.sub(slopes, f32x4.mul(dvalue, v128.load(v))))
        for (const pointer of [v, out, errors, dv, dout, correction, change]) f.advance(pointer, vectorBytes)
        f.advance(sums, TOGETHER * vectorBytes)
      })
      f.store(p.dbeta, f32.add(f32.load(p.dbeta), laneSum(dbetas)))
      f.set(slope, f32.add(slope, laneSum(slopes)))
      f.store(p.dg, f32.add(f32.load(p.dg), slope))

      f.set(correction, corrections)
      f.set(change, changes)
      eachGroup([correction, change], () => {
        const us = together.map((i) => f.local('v128', v128.load32_splat(correction, 4 * i)))
        const drs = together.map((i) => f.local('v128', v128.load32_splat(change, 4 * i)))
        f.set(k, p.k)
        f.set(dk, p.dk)
        f.times(keys, () => {
          const key = f.local('v128', v128.load(k))
          const sum = f.local('v128', v128.load(dk))
          for (const i of together) {
            const cell = f.local('v128', v128.load(rows[i]))
            f.set(sum, f.madd(cell, us[i], sum))
            f.store(rows[i], f32x4.mul(f.madd(key, drs[i], cell), decay))
          }
          f.store(dk, sum)
          for (const pointer of [k, dk, ...rows]) f.advance(pointer, vectorBytes)
        })
      })

      move(-1)
    })
  })
}

/**
 * Steps of a block forward in time, with S in `state`, once dv is known:
 *
 *   S = a S;   dk -= S dv;   S += k u^T;   dq += S do
 */
export function defineStateSteps(module: WasmModule) {
  return module.function('stateSteps', { ...shared, ...integers('dq') } as const, (f, p) => {
    const pair = range(PAIR)
    const rowBytes = f.local('i32', i32.shl(p.K, 2))
    const keys = f.local('i32', i32.shr_u(p.K, 2))
    const scale = f.local('v128', f32x4.splat(p.scale))
    const rows = pair.map(() => f.local('i32'))
    f.times(p.steps, () => {
      const beta = f.local('v128', v128.load32_splat(p.beta))
      const decay = f.local('v128', v128.load32_splat(p.decays))
      const [errors, dv, dout] = [p.errors, p.dv, p.dout].map((pointer) => f.local('i32', pointer))
      f.set(rows[0], p.state)
      f.times(i32.shr_u(p.columns, 1), () => {
        f.set(rows[1], i32.add(rows[0], rowBytes))
        const us = pair.map((i) => f.local('v128', splatTimes(errors, beta, 4 * i)))
        const drs = pair.map((i) => f.local('v128', f32x4.neg(v128.load32_splat(dv, 4 * i))))
        const douts = pair.map((i) => f.local('v128', splatTimes(dout, scale, 4 * i)))
        const [k, dq, dk] = [p.k, p.dq, p.dk].map((pointer) => f.local('i32', pointer))
        f.times(keys, () => {
          const key = f.local('v128', v128.load(k))
          const queries = f.local('v128', v128.load(dq))
          const lookups = f.local('v128', v128.load(dk))
          for (const i of pair) {
            const cell = f.local('v128', f32x4.mul(v128.load(rows[i]), decay))
            f.set(lookups, f.madd(cell, drs[i], lookups))
            f.set(cell, f.madd(key, us[i], cell))
            f.store(rows[i], cell)
            f.set(queries, f.madd(cell, douts[i], queries))
          }
          f.store(dq, queries)
          f.store(dk, lookups)
          for (const pointer of [k, dq, dk, ...rows]) f.advance(pointer, vectorBytes)
        })
        f.set(rows[0], rows[1])
        for (const pointer of [errors, dv, dout]) f.advance(pointer, 4 * PAIR)
      })
      for (const pointer of [p.k, p.dq, p.dk]) f.advance(pointer, p.keyStep)
      for (const pointer of [p.errors, p.dv, p.dout]) f.advance(pointer, p.valueStep)
      for (const pointer of [p.decays, p.beta]) f.advance(pointer, p.numberStep)
    })
  })
}
