/**
 * Root-mean-square and length normalisation of rows, as fused kernels (kernels/fused-rows.ts):
 *
 *   y = x r (w + c),  r = 1 / sqrt(sum(x^2) / D + eps)        D = C, or 1 and no weight for l2Norm
 *   dx = r (g - x r^2 sum(g x) / D),  g = dy (w + c)
 *
 * A row is walked twice, the second time in the cache.
 */
import { l2NormBackward, l2NormForward, rmsNormBackward, rmsNormForward } from '../../fused-rows.ts'
import type { FusedKernel } from '../../kernel.ts'
import { type Features, type FunctionBuilder, floats, integers, WasmModule } from './assembler.ts'
import { type Fold, sumFold } from './folds.ts'
import { f32, f32x4, type Local, type Value } from './instructions.ts'
import { eachRow, type Row, type RowVector } from './rows.ts'
import { type Launcher, lazily, type Place, type TaskArgument, task, withRange } from './task.ts'

type Pointer = Local<'i32'>

/** 1 / sqrt(squares / divisor + eps). */
export const inverseRoot = (squares: Value<'f32'>, divisor: Local<'f32'>, eps: Local<'f32'>): Value<'f32'> =>
  f32.div(1, f32.sqrt(f32.add(f32.div(squares, divisor), eps)))

const square = (f: FunctionBuilder, x: Value<'v128'>): Value<'v128'> => {
  const kept = f.local('v128', x)
  return f32x4.mul(kept, kept)
}

/** Sums x^2 over a row. */
export function addSquares(f: FunctionBuilder, row: Row, x: Pointer, sum: Fold): void {
  sum.reset()
  row.walk(4, [x], (vectors) => sum.add(vectors.map((v) => v.own(square(f, v.load(x))))))
}

/** A vector of x or dy, times what the weight is there; itself without a weight. */
export function weighing(f: FunctionBuilder, weight: Pointer | undefined, centre: Local<'f32'>) {
  const centres = f.local('v128', f32x4.splat(centre))
  return (v: RowVector, x: Value<'v128'>): Value<'v128'> =>
    weight ? f32x4.mul(x, f32x4.add(v.load(weight), centres)) : x
}

const numbers = floats('divisor', 'eps', 'centre')

function defineForward(module: WasmModule, hasWeight: boolean) {
  const parameters = { ...integers('x', 'weight', 'y', 'n'), ...numbers, ...withRange }
  return module.function(hasWeight ? 'rmsNormForward' : 'l2NormForward', parameters, (f, p) => {
    const { x, y, divisor, eps, centre } = p
    const weights = hasWeight ? [p.weight] : []
    const weighed = weighing(f, weights[0], centre)
    const squares = sumFold(f)
    const r = f.local('v128')
    eachRow(f, p, { rows: [x, y] }, (row) => {
      addSquares(f, row, x, squares)
      f.set(r, f32x4.splat(inverseRoot(squares.number(), divisor, eps)))
      row.walk(2, [x, y, ...weights], (vectors) => {
        for (const v of vectors) v.store(y, weighed(v, f32x4.mul(v.load(x), r)))
      })
    })
  })
}

function defineBackward(module: WasmModule, hasWeight: boolean) {
  const parameters = { ...integers('dy', 'x', 'weight', 'dx', 'n'), ...numbers, ...withRange }
  return module.function(hasWeight ? 'rmsNormBackward' : 'l2NormBackward', parameters, (f, p) => {
    const { dy, x, dx, divisor, eps, centre } = p
    const weights = hasWeight ? [p.weight] : []
    const weighed = weighing(f, weights[0], centre)
    const [squares, dots] = [sumFold(f), sumFold(f)]
    const scale = f.local('f32')
    const [r, slope] = [f.local('v128'), f.local('v128')]
    eachRow(f, p, { rows: [dy, x, dx] }, (row) => {
      squares.reset()
      dots.reset()
      row.walk(4, [dy, x, ...weights], (vectors) => {
        const xs = vectors.map((v) => f.local('v128', v.own(v.load(x))))
        squares.add(xs.map((x) => f32x4.mul(x, x)))
        dots.add(vectors.map((v, i) => v.own(f32x4.mul(weighed(v, v.load(dy)), xs[i]))))
      })
      f.set(scale, inverseRoot(squares.number(), divisor, eps))
      f.set(r, f32x4.splat(scale))
      // -r^2 sum(g x) / D
      f.set(slope, f32x4.splat(f32.neg(f32.mul(f32.mul(scale, scale), f32.div(dots.number(), divisor)))))
      row.walk(2, [dy, x, dx, ...weights], (vectors) => {
        for (const v of vectors) v.store(dx, f32x4.mul(r, f.madd(v.load(x), slope, weighed(v, v.load(dy)))))
      })
    })
  })
}

export function rmsNormKernels(features: Features): [FusedKernel, Launcher][] {
  const kernels = lazily(() => {
    const module = new WasmModule(features)
    return {
      forward: defineForward(module, true),
      backward: defineBackward(module, true),
      lengthForward: defineForward(module, false),
      lengthBackward: defineBackward(module, false),
    }
  })

  const forward: Launcher = ([y], _grid, parameters) => {
    const [x, weight, rows, n, eps, centre] = parameters as [Place, Place, number, number, TaskArgument, TaskArgument]
    const given = { x: x.offset, weight: weight.offset, y: y.offset, n, divisor: n, eps, centre }
    return [task(kernels().forward, given, { items: rows, cost: 5 * rows * n })]
  }
  const lengthForward: Launcher = ([y], _grid, parameters) => {
    const [x, rows, n, eps] = parameters as [Place, number, number, TaskArgument]
    const given = { x: x.offset, weight: 0, y: y.offset, n, divisor: 1, eps, centre: 0 }
    return [task(kernels().lengthForward, given, { items: rows, cost: 3 * rows * n })]
  }
  const backward: Launcher = ([dx], _grid, parameters) => {
    const [dy, x, weight] = parameters as Place[]
    const [rows, n] = parameters.slice(3) as number[]
    const [eps, centre] = parameters.slice(5) as TaskArgument[]
    const places = { dy: dy.offset, x: x.offset, weight: weight.offset, dx: dx.offset }
    const options = { items: rows, cost: 11 * rows * n }
    return [task(kernels().backward, { ...places, n, divisor: n, eps, centre }, options)]
  }
  const lengthBackward: Launcher = ([dx], _grid, parameters) => {
    const [dy, x, rows, n, eps] = parameters as [Place, Place, number, number, TaskArgument]
    const given = { dy: dy.offset, x: x.offset, weight: 0, dx: dx.offset, n, divisor: 1, eps, centre: 0 }
    return [task(kernels().lengthBackward, given, { items: rows, cost: 7 * rows * n })]
  }
  return [
    [rmsNormForward, forward],
    [rmsNormBackward, backward],
    [l2NormForward, lengthForward],
    [l2NormBackward, lengthBackward],
  ]
}
