/**
 * The weight's gradient of root-mean-square normalisation: dw = sum over rows of dy x r (kernels/fused-rows.ts).
 *
 * By blocks of rows: the scales r of a block first, then down its columns, while its dy and x are in the cache. The blocks'
 * sums are added afterwards. Blocks do not depend on the number of threads, so neither do the bits.
 */
import { rmsNormWeightBackward } from '../../fused-rows.ts'
import type { FusedKernel } from '../../kernel.ts'
import { type Features, floats, integers, WasmModule } from './assembler.ts'
import { sumFold } from './folds.ts'
import { f32x4, i32, v128 } from './instructions.ts'
import { sumOf } from './reduce.ts'
import { defineReduction, reduce } from './reduction.ts'
import { addSquares, inverseRoot } from './rms-norm.ts'
import { eachItem, goDown, Row, rowBytes } from './rows.ts'
import { type Launcher, lazily, type Place, type TaskArgument, task, withScratch } from './task.ts'

const blockRows = 32

/** An item is a block: out [blocks, C]. */
function defineBlocks(features: Features) {
  const parameters = { ...integers('dy', 'x', 'out', 'rows', 'n'), ...floats('divisor', 'eps'), ...withScratch }
  return new WasmModule(features).function('rmsNormWeightBackward', parameters, (f, p) => {
    const { dy, x, out, rows, n, divisor, eps, scratch, from, to } = p
    const row = new Row(f)
    const squares = sumFold(f)
    const sums = [0, 1, 2, 3].map(() => sumFold(f))
    const scales = sums.map(() => f.local('v128'))
    const [xRow, scale, count] = [0, 1, 2].map(() => f.local('i32'))
    const stride = rowBytes(f, n)
    const blockBytes = f.local('i32', i32.mul(stride, blockRows))
    const left = f.local('i32', i32.sub(rows, i32.mul(from, blockRows)))
    row.resize(n)
    const moving = [[dy, blockBytes] as const, [x, blockBytes] as const, [out, stride] as const]
    eachItem(f, from, to, moving, () => {
      f.set(count, left)
      f.if(i32.gt_u(left, blockRows), () => f.set(count, i32.const(blockRows)))
      f.set(scale, scratch)
      f.set(xRow, x)
      f.times(count, () => {
        addSquares(row, xRow, squares)
        f.store(scale, inverseRoot(squares.number(), divisor, eps))
        f.advance(scale, 4)
        f.advance(xRow, stride)
      })
      row.walk(4, [dy, x, out], (vectors) => {
        for (const i of vectors.keys()) sums[i].reset()
        goDown(f, count, stride, (distances, first) => {
          f.set(scale, i32.add(scratch, i32.shl(first, 2)))
          for (const k of distances.keys()) f.set(scales[k], v128.load32_splat(scale, 4 * k))
          vectors.forEach((v, i) => {
            sums[i].add(distances.map((d, k) => f32x4.mul(f32x4.mul(v.load(dy, d), v.load(x, d)), scales[k])))
          })
        })
        vectors.forEach((v, i) => {
          v.store(out, sums[i].lanes())
        })
      })
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
    const first = task(kernel(), given, { items: blocks, cost: 5 * rows * n, scratch: 4 * blockRows })
    if (blocks === 1) return [first]
    const parts: Place = { offset: out, length: blocks * n, dtype: 'float32' }
    const extents = { outer: 1, n: blocks, inner: n }
    return [first, ...reduce(sum(), sum, { arrays: [parts] }, dweight.offset, extents, workspace)]
  }
  return [[rmsNormWeightBackward, launcher]]
}
