/**
 * Softmax: y = e^(s x - m) / sum, m = max s x, and dx = s y (dy - sum(dy y)); as fused kernels of rows
 * (kernels/fused-rows.ts), and its parts over any axis (kernels/softmax.ts).
 *
 * A row is walked three times, from the second on in the cache: for its maximum, for the exponentials and their sum, and to
 * divide. NaN needs no care at the maximum: it comes through the exponential.
 */
import { softmaxBackward, softmaxForward } from '../../fused-rows.ts'
import type { FusedKernel, Kernel } from '../../kernel.ts'
import { softmaxExp, softmaxGradient } from '../../softmax.ts'
import { type Features, type FunctionBuilder, floats, integers, WasmModule } from './assembler.ts'
import { numberFold, sumFold } from './folds.ts'
import { f32, f32x4, i32, type Local, v128 } from './instructions.ts'
import { Constants, exponential } from './math.ts'
import { defineRowMap, type RowMap, rowMapTask } from './row-map.ts'
import { eachRow, type Row, setVisible } from './rows.ts'
import { type Launcher, lazily, type Place, type TaskArgument, task, withRange } from './task.ts'

type Pointer = Local<'i32'>

/** Zeros, or what `zero` holds, in the row from `limit` to n. Leaves the row of the size n. */
function fillRest(f: FunctionBuilder, row: Row, y: Pointer, limit: Pointer, n: Pointer, zero: Local<'v128'>): void {
  f.if(i32.lt_u(limit, n), () => {
    const rest = f.local('i32', i32.add(y, i32.shl(limit, 2)))
    row.resize(i32.sub(n, limit))
    row.walk(1, [rest], ([v]) => v.store(rest, zero))
  })
}

function defineForward(module: WasmModule) {
  const parameters = { ...integers('x', 'y', 'n', 'T'), ...floats('scale'), ...withRange }
  return module.function('softmaxForward', parameters, (f, p) => {
    const { x, y, n, T, from } = p
    const exp = exponential(f)
    const scale = f.local('v128', f32x4.splat(p.scale))
    const largest = numberFold(f, 'max')
    const sum = sumFold(f)
    const [shift, inverse, zero] = [0, 1, 2].map(() => f.local('v128'))
    const index = f.local('i32', from)
    const limit = f.local('i32')
    eachRow(f, p, { rows: [x, y] }, (row) => {
      setVisible(f, limit, index, T, n)
      row.resize(limit)
      largest.reset()
      row.walk(4, [x], (vectors) =>
        largest.add(vectors.map((v) => v.own(f32x4.mul(v.load(x), scale), largest.neutral))),
      )
      f.set(shift, f32x4.splat(f32.neg(largest.number())))
      sum.reset()
      row.walk(4, [x, y], (vectors) => {
        const powers = vectors.map((v) => f.local('v128', exp(f.madd(v.load(x), scale, shift))))
        vectors.forEach((v, i) => {
          v.store(y, powers[i])
        })
        sum.add(vectors.map((v, i) => v.own(powers[i])))
      })
      f.set(inverse, f32x4.splat(f32.div(1, sum.number())))
      row.walk(4, [y], (vectors) => {
        for (const v of vectors) v.store(y, f32x4.mul(v.load(y), inverse))
      })
      // 0, but NaN in a row that is NaN.
      f.set(zero, f32x4.mul(f32x4.splat(0), inverse))
      fillRest(f, row, y, limit, n, zero)
      f.advance(index, 1)
    })
  })
}

function defineBackward(module: WasmModule) {
  const parameters = { ...integers('dy', 'y', 'dx', 'n'), ...floats('scale'), ...withRange }
  return module.function('softmaxBackward', parameters, (f, p) => {
    const { dy, y, dx } = p
    const scale = f.local('v128', f32x4.splat(p.scale))
    const dots = sumFold(f)
    const dot = f.local('v128')
    eachRow(f, p, { rows: [dy, y, dx] }, (row) => {
      dots.reset()
      row.walk(4, [dy, y], (vectors) => dots.add(vectors.map((v) => v.own(f32x4.mul(v.load(dy), v.load(y))))))
      f.set(dot, f32x4.splat(dots.number()))
      row.walk(2, [dy, y, dx], (vectors) => {
        for (const v of vectors) v.store(dx, f32x4.mul(f32x4.mul(scale, v.load(y)), f32x4.sub(v.load(dy), dot)))
      })
    })
  })
}

/** e^(s x - m) of rows, which may be causal. */
function defineExponentials(module: WasmModule) {
  const parameters = { ...integers('x', 'max', 'y', 'n', 'T'), ...floats('scale'), ...withRange }
  return module.function('softmaxExp', parameters, (f, p) => {
    const { x, max, y, n, T, from } = p
    const exp = exponential(f)
    const scale = f.local('v128', f32x4.splat(p.scale))
    const shift = f.local('v128')
    const zero = f.local('v128', f32x4.splat(0))
    const index = f.local('i32', from)
    const limit = f.local('i32')
    eachRow(f, p, { rows: [x, y], numbers: [max] }, (row) => {
      setVisible(f, limit, index, T, n)
      row.resize(limit)
      f.set(shift, f32x4.neg(v128.load32_splat(max)))
      row.walk(4, [x, y], (vectors) => {
        for (const v of vectors) v.store(y, exp(f.madd(v.load(x), scale, shift)))
      })
      fillRest(f, row, y, limit, n, zero)
      f.advance(index, 1)
    })
  })
}

const defineColumnExponentials = (features: Features) =>
  defineRowMap(features, 'softmaxExpColumns', { x: 'cells', max: 'columns', scale: 'float' }, 20, (f) => {
    const exp = exponential(f, new Constants(f))
    return ({ x, max, scale }) => exp(f.madd(x, scale, f32x4.neg(max)))
  })

const defineGradient = (features: Features, each: 'row' | 'columns') =>
  defineRowMap(
    features,
    'softmaxGradient',
    { dy: 'cells', y: 'cells', dot: each, scale: 'float' },
    3,
    () =>
      ({ dy, y, dot, scale }) =>
        f32x4.mul(f32x4.mul(scale, y), f32x4.sub(dy, dot)),
  )

export function softmaxKernels(features: Features): [Kernel | FusedKernel, Launcher][] {
  const rows = lazily(() => {
    const module = new WasmModule(features)
    return {
      forward: defineForward(module),
      backward: defineBackward(module),
      exponentials: defineExponentials(module),
    }
  })
  const columnExponentials = lazily(() => defineColumnExponentials(features))
  const gradient: Readonly<Record<'row' | 'columns', () => RowMap>> = {
    row: lazily(() => defineGradient(features, 'row')),
    columns: lazily(() => defineGradient(features, 'columns')),
  }

  const forward: Launcher = ([y], _grid, parameters) => {
    const [x, N, n, T, scale] = parameters as [Place, number, number, number, TaskArgument]
    return [task(rows().forward, { x: x.offset, y: y.offset, n, T, scale }, { items: N, cost: 25 * N * n })]
  }
  const backward: Launcher = ([dx], _grid, parameters) => {
    const [dy, y, N, n, scale] = parameters as [Place, Place, number, number, TaskArgument]
    const given = { dy: dy.offset, y: y.offset, dx: dx.offset, n, scale }
    return [task(rows().backward, given, { items: N, cost: 5 * N * n })]
  }
  const exponentials: Launcher = ([y], [inner, n, outer], parameters) => {
    const [x, max, , , T, scale] = parameters as [Place, Place, number, number, number, TaskArgument]
    if (inner > 1) return [rowMapTask(columnExponentials(), [x, max, scale], y, [outer * n, inner], n)]
    const given = { x: x.offset, max: max.offset, y: y.offset, n, T, scale }
    return [task(rows().exponentials, given, { items: outer, cost: 20 * outer * n })]
  }
  const gradients: Launcher = ([dx], [inner, n, outer], parameters) => {
    const [dy, y, dot, , , scale] = parameters as [Place, Place, Place, number, number, TaskArgument]
    const given = [dy, y, dot, scale]
    return inner === 1
      ? [rowMapTask(gradient.row(), given, dx, [outer, n])]
      : [rowMapTask(gradient.columns(), given, dx, [outer * n, inner], n)]
  }
  return [
    [softmaxForward, forward],
    [softmaxBackward, backward],
    [softmaxExp, exponentials],
    [softmaxGradient, gradients],
  ]
}
