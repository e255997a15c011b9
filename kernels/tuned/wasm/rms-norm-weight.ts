/**
 * The weight's gradient of root-mean-square normalisation: dw = sum over rows of dy x r (kernels/fused-rows.ts).
 *
 * By blocks of rows, and in them by a few rows at a time: their scales r first, then their terms, while they are in the
 * cache. The blocks' sums are added afterwards. Blocks do not depend on the number of threads, so neither do the bits.
 */
import { rmsNormWeightBackward } from '../../fused-rows.ts'
import type { FusedKernel } from '../../kernel.ts'
import { type Features, floats, integers, WasmModule } from './assembler.ts'
import { keepColumns } from './columns.ts'
import { sumFold } from './folds.ts'
import { f32x4, i32, type Local } from './instructions.ts'
import { sumOf } from './reduce.ts'
import { defineReduction, reduce } from './reduction.ts'
import { addSquares, inverseRoot } from './rms-norm.ts'
import { eachItem, Row, rowBytes } from './rows.ts'
import { type Launcher, lazily, type Place, type TaskArgument, task, withScratch } from './task.ts'
import { vectorsIn } from './vectors.ts'

const blockRows = 32

/** An item is a block: out [blocks, C]. */
function defineBlocks(features: Features) {
  const parameters = { ...integers('dy', 'x', 'out', 'rows', 'n'), ...floats('divisor', 'eps'), ...withScratch }
  return new WasmModule(features).function('rmsNormWeightBackward', parameters, (f, p) => {
    const { dy, x, out, rows, n, divisor, eps, scratch, from, to } = p
    const row = new Row(f)
    const [squares, sum] = [sumFold(f), sumFold(f)]
    const scales = [0, 1, 2, 3].map(() => f.local('v128'))
    const [xRow, count] = [f.local('i32'), f.local('i32')]
    const stride = rowBytes(f, n)
    const blockBytes = f.local('i32', i32.mul(stride, blockRows))
    const left = f.local('i32', i32.sub(rows, i32.mul(from, blockRows)))
    const step = f.local('i32', i32.and(i32.add(stride, 15), -16))
    const keeping = { kept: sum.state, pointers: [dy, x, out], scratch, step }
    const setScales = (distances: readonly Local<'i32'>[]) => {
      for (const [i, distance] of distances.entries()) {
        f.set(xRow, i32.add(x, distance))
        addSquares(f, row, xRow, squares)
        f.set(scales[i], f32x4.splat(inverseRoot(squares.number(), divisor, eps)))
      }
    }
    row.resize(n)
    const moving = [[dy, blockBytes] as const, [x, blockBytes] as const, [out, stride] as const]
    eachItem(f, from, to, moving, () => {
      f.set(count, left)
      f.if(i32.gt_u(left, blockRows), () => f.set(count, blockRows))
      sum.reset()
      keepColumns(
        f,
        row,
        { ...keeping, before: setScales },
        { count, stride },
        (v, distances) => {
          sum.add(distances.map((d, i) => f32x4.mul(f32x4.mul(v.load(dy, d), v.load(x, d)), scales[i])))
        },
        (v) => v.store(out, sum.lanes()),
      )
      f.advance(left, -blockRows)
    })
  })
}

export function rmsNormWeightKernels(features: Features): [FusedKernel, Launcher][] {
  const kernel = lazily(() => defineBlocks(features))
  const sum = lazily(() => defineReduction(features, sumOf))
  const launcher: Launcher = ([dweight], _grid, parameters, workspace) => {
    const [dy, x, rows, n, eps] = parameters as [Place, Place, number, number, TaskArgument]
    const blocks = Math.ceil(rows / blockRows)
    const out = blocks === 1 ? dweight.offset : workspace.floats(blocks * n)
    const given = { dy: dy.offset, x: x.offset, out, rows, n, divisor: n, eps }
    const first = task(kernel(), given, { items: blocks, cost: 5 * rows * n, scratch: 2 * 16 * vectorsIn(n) })
    if (blocks === 1) return [first]
    const parts: Place = { offset: out, length: blocks * n, dtype: 'float32' }
    const extents = { outer: 1, n: blocks, inner: n }
    return [first, ...reduce(sum(), sum, { arrays: [parts] }, dweight.offset, extents, workspace)]
  }
  return [[rmsNormWeightBackward, launcher]]
}
