/**
 * Cross-entropy: the mean over counted rows of log sum e^x - x[target], logits [N, V], and its gradient
 * (softmax - onehot) dy / counted, as fused kernels (kernels/fused-rows.ts); and that of one row (kernels/softmax.ts).
 *
 * Rows are independent; their losses are then added by one thread, in order. A target that is no class gives NaN: it was
 * checked when the operation was called, but a captured run may have others.
 */
import { crossEntropyBackward, crossEntropyForward } from '../../fused-rows.ts'
import type { FusedKernel, Kernel } from '../../kernel.ts'
import { crossEntropyRow } from '../../softmax.ts'
import { type Features, integers, WasmModule } from './assembler.ts'
import { numberFold, sumFold } from './folds.ts'
import { f32, f32x4, i32, i32x4, v128 } from './instructions.ts'
import { Constants, exponential, logarithm } from './math.ts'
import { eachRow, Row } from './rows.ts'
import { type Launcher, lazily, type Place, type Task, task, withRange } from './task.ts'

/** The loss of each row, 0 where it is ignored, and its log sum e^x. */
function defineLosses(module: WasmModule) {
  const parameters = { ...integers('logits', 'targets', 'losses', 'logSum', 'n', 'ignore'), ...withRange }
  return module.function('crossEntropyRows', parameters, (f, p) => {
    const { logits, targets, losses, logSum, n, ignore } = p
    const constants = new Constants(f)
    const [exp, log] = [exponential(f, constants), logarithm(f, constants)]
    const largest = numberFold(f, 'max')
    const sum = sumFold(f)
    const [max, logarithmOfSum, loss] = [0, 1, 2].map(() => f.local('f32'))
    const shift = f.local('v128')
    const target = f.local('i32')
    eachRow(f, p, { rows: [logits], numbers: [targets, losses, logSum] }, (row) => {
      largest.reset()
      row.walk(4, [logits], (vectors) => largest.add(vectors.map((v) => v.own(v.load(logits), largest.neutral))))
      f.set(max, largest.number())
      f.set(shift, f32x4.splat(max))
      sum.reset()
      row.walk(4, [logits], (vectors) => sum.add(vectors.map((v) => v.own(exp(f32x4.sub(v.load(logits), shift))))))
      f.set(logarithmOfSum, f32x4.extract_lane(log(f32x4.splat(sum.number())), 0))
      f.store(logSum, f32.add(logarithmOfSum, max))
      f.set(target, i32.load(targets))
      f.set(loss, f32.const(Number.NaN))
      f.if(i32.lt_u(target, n), () => {
        f.set(loss, f32.sub(logarithmOfSum, f32.sub(f32.load(i32.add(logits, i32.shl(target, 2))), max)))
      })
      f.if(i32.eq(target, ignore), () => f.set(loss, f32.const(0)))
      f.store(losses, loss)
    })
  })
}

/** The sum of the losses over the number of rows that count. */
function defineMean(module: WasmModule) {
  const parameters = integers('losses', 'targets', 'loss', 'counted', 'rows', 'ignore')
  return module.function('crossEntropyMean', parameters, (f, p) => {
    const { losses, targets, loss, counted, rows } = p
    const one = f.local('v128', f32x4.splat(1))
    const ignore = f.local('v128', i32x4.splat(p.ignore))
    const [sum, number] = [sumFold(f), sumFold(f)]
    const count = f.local('f32')
    const row = new Row(f)
    row.resize(rows)
    sum.reset()
    number.reset()
    row.walk(4, [losses, targets], (vectors) => {
      sum.add(vectors.map((v) => v.own(v.load(losses))))
      number.add(vectors.map((v) => v.own(v128.andnot(one, i32x4.eq(v.load(targets), ignore)))))
    })
    f.set(count, number.number())
    f.store(counted, count)
    f.store(loss, f32.div(sum.number(), count))
  })
}

function defineBackward(module: WasmModule) {
  const parameters = {
    ...integers('logits', 'targets', 'logSum', 'dlogits', 'dy', 'counted', 'n', 'ignore'),
    ...withRange,
  }
  return module.function('crossEntropyBackward', parameters, (f, p) => {
    const { logits, targets, logSum, dlogits, dy, counted, n, ignore } = p
    const exp = exponential(f)
    const factor = f.local('v128', f32x4.splat(f32.div(f32.load(dy), f32.load(counted))))
    const [shift, probability] = [f.local('v128'), f.local('v128')]
    const zero = f.local('v128', f32x4.splat(0))
    const target = f.local('i32')
    eachRow(f, p, { rows: [logits, dlogits], numbers: [targets, logSum] }, (row) => {
      f.set(target, i32.load(targets))
      f.if(
        i32.eq(target, ignore),
        () =>
          row.walk(4, [dlogits], (vectors) => {
            for (const v of vectors) v.store(dlogits, zero)
          }),
        () => {
          f.set(shift, v128.load32_splat(logSum))
          row.walk(4, [logits, dlogits], (vectors) => {
            for (const v of vectors) v.store(dlogits, f32x4.mul(exp(f32x4.sub(v.load(logits), shift)), factor))
          })
          // One class has 1 less, taken off before it is multiplied.
          f.if(i32.lt_u(target, n), () => {
            f.set(target, i32.shl(target, 2))
            f.set(probability, exp(f32x4.sub(v128.load32_splat(i32.add(logits, target)), shift)))
            const error = f32x4.mul(f32x4.sub(probability, f32x4.splat(1)), factor)
            f.store(i32.add(dlogits, target), f32x4.extract_lane(error, 0))
          })
        },
      )
    })
  })
}

export function crossEntropyKernels(features: Features): [Kernel | FusedKernel, Launcher][] {
  const kernels = lazily(() => {
    const module = new WasmModule(features)
    return { losses: defineLosses(module), mean: defineMean(module), backward: defineBackward(module) }
  })
  const lossesTask = (
    logits: Place,
    targets: Place,
    losses: number,
    logSum: number,
    sizes: readonly number[],
  ): Task => {
    const [rows, n, ignore] = sizes
    const given = { logits: logits.offset, targets: targets.offset, losses, logSum, n, ignore }
    return task(kernels().losses, given, { items: rows, cost: 22 * rows * n })
  }

  const forward: Launcher = ([loss, counted, logSum], _grid, parameters, workspace) => {
    const [logits, targets] = parameters as Place[]
    const sizes = parameters.slice(2) as number[]
    const [rows, , ignore] = sizes
    const losses = workspace.floats(rows)
    const places = { losses, targets: targets.offset, loss: loss.offset, counted: counted.offset }
    return [
      lossesTask(logits, targets, losses, logSum.offset, sizes),
      task(kernels().mean, { ...places, rows, ignore }, { cost: 2 * rows }),
    ]
  }
  const backward: Launcher = ([dlogits], _grid, parameters) => {
    const [logits, targets, logSum, dy, counted] = (parameters.slice(0, 5) as Place[]).map(({ offset }) => offset)
    const [rows, n, ignore] = parameters.slice(5) as number[]
    const given = { logits, targets, logSum, dlogits: dlogits.offset, dy, counted, n, ignore }
    return [task(kernels().backward, given, { items: rows, cost: 20 * rows * n })]
  }
  const oneRow: Launcher = ([losses], [rows], parameters, workspace) => {
    const [logits, targets, n, ignore] = parameters as [Place, Place, number, number]
    return [lossesTask(logits, targets, losses.offset, workspace.floats(rows), [rows, n, ignore])]
  }
  return [
    [crossEntropyForward, forward],
    [crossEntropyBackward, backward],
    [crossEntropyRow, oneRow],
  ]
}
