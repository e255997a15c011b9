/** log sum e^x and log softmax over an axis, by their parts: kernels/reduce.ts and kernels/softmax.ts. */
import type { Kernel } from '../../kernel.ts'
import { logSumShift, sumExpAxis } from '../../reduce.ts'
import { logSoftmaxCell } from '../../softmax.ts'
import { type Features, type FunctionBuilder, integers, WasmModule } from './assembler.ts'
import { f32x4, type Local, type Operand, type Value, v128 } from './instructions.ts'
import { exponential, logarithm } from './math.ts'
import { sumOf } from './reduce.ts'
import { defineReduction, type Reduction, reduce } from './reduction.ts'
import { defineRowMap, type RowMap, rowMapTask } from './row-map.ts'
import { type Launcher, lazily, type Place, task, withRange } from './task.ts'
import { eachVector, vectorsIn } from './vectors.ts'

/** x where it is finite, else 0: infinity less itself is NaN, which equals nothing. */
function finite(f: FunctionBuilder, x: Operand<'v128'>): Value<'v128'> {
  const kept: Local<'v128'> = f.local('v128', x)
  return v128.and(kept, f32x4.eq(f32x4.sub(kept, kept), f32x4.splat(0)))
}

const sumExpOf: Reduction = {
  ...{ name: 'sumExp', fold: 'sum', cells: 1, floats: 0, cost: 20 },
  each: finite,
  terms: (f) => {
    const exp = exponential(f)
    return ([x], shift) => exp(f32x4.sub(x, shift!))
  },
}

/** log x, and log x + shift where that is finite. */
function defineLogarithms(features: Features) {
  const module = new WasmModule(features)
  return {
    plain: module.function('logarithm', { ...integers('x', 'out'), ...withRange }, (f, { x, out, from, to }) => {
      const log = logarithm(f)
      eachVector(f, from, to, [x, out], () => f.store(out, log(v128.load(x))))
    }),
    shifted: module.function('logSumShift', { ...integers('x', 'shift', 'out'), ...withRange }, (f, p) => {
      const { x, shift, out, from, to } = p
      const log = logarithm(f)
      eachVector(f, from, to, [x, shift, out], () =>
        f.store(out, f32x4.add(log(v128.load(x)), finite(f, v128.load(shift)))),
      )
    }),
  }
}

const defineLogSoftmax = (features: Features, each: 'row' | 'columns') =>
  defineRowMap(
    features,
    'logSoftmax',
    { x: 'cells', max: each, logSum: each },
    2,
    () =>
      ({ x, max, logSum }) =>
        f32x4.sub(f32x4.sub(x, max), logSum),
  )

export function logSumKernels(features: Features): [Kernel, Launcher][] {
  const sum = lazily(() => defineReduction(features, sumOf))
  const sumExp = lazily(() => defineReduction(features, sumExpOf))
  const logarithms = lazily(() => defineLogarithms(features))
  const logSoftmax: Readonly<Record<'row' | 'columns', () => RowMap>> = {
    row: lazily(() => defineLogSoftmax(features, 'row')),
    columns: lazily(() => defineLogSoftmax(features, 'columns')),
  }

  const sums: Launcher = ([out], [inner, , outer], [x, max, n], workspace) => {
    const extents = { outer, n: n as number, inner }
    return reduce(sumExp(), sum, { arrays: [x, max] as Place[] }, out.offset, extents, workspace)
  }
  const shifted: Launcher = ([out], [n], parameters) => {
    const [x, shift] = parameters as [Place, Place]
    const given = { x: x.offset, shift: shift.offset, out: out.offset }
    return [task(logarithms().shifted, given, { items: vectorsIn(n), cost: 30 * n })]
  }
  const cells: Launcher = ([out], [inner, n, outer], parameters, workspace) => {
    const [x, max, total] = parameters as [Place, Place, Place]
    // The logarithm once for each sum, not for each cell.
    const length = outer * inner
    const logSum: Place = { offset: workspace.floats(length), length, dtype: 'float32' }
    const options = { items: vectorsIn(length), cost: 25 * length }
    const first = task(logarithms().plain, { x: total.offset, out: logSum.offset }, options)
    const given = [x, max, logSum]
    return inner === 1
      ? [first, rowMapTask(logSoftmax.row(), given, out, [outer, n])]
      : [first, rowMapTask(logSoftmax.columns(), given, out, [outer * n, inner], n)]
  }
  return [
    [sumExpAxis, sums],
    [logSumShift, shifted],
    [logSoftmaxCell, cells],
  ]
}
