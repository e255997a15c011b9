/** The parts of root-mean-square normalisation: kernels/norm.ts. Its fused kernels are in rms-norm.ts. */
import type { Kernel } from '../../kernel.ts'
import { rmsNormCell, rmsNormDot, rmsNormInputGradient, rmsNormWeightTerm, rmsScale } from '../../norm.ts'
import { type Features, floats, integers, WasmModule } from './assembler.ts'
import { sumFold } from './folds.ts'
import { f32, f32x4 } from './instructions.ts'
import { addSquares, inverseRoot, weighing } from './rms-norm.ts'
import { defineRowMap, type RowMap, rowMapTask } from './row-map.ts'
import { eachRow } from './rows.ts'
import { type Launcher, lazily, type Place, type TaskArgument, task, withRange } from './task.ts'

function defineScale(module: WasmModule) {
  const parameters = { ...integers('x', 'out', 'n'), ...floats('divisor', 'eps'), ...withRange }
  return module.function('rmsScale', parameters, (f, p) => {
    const { x, out, divisor, eps } = p
    const squares = sumFold(f)
    eachRow(f, p, { rows: [x], numbers: [out] }, (row) => {
      addSquares(f, row, x, squares)
      f.store(out, inverseRoot(squares.number(), divisor, eps))
    })
  })
}

function defineDot(module: WasmModule) {
  const parameters = { ...integers('dy', 'x', 'weight', 'out', 'n'), ...floats('divisor', 'centre'), ...withRange }
  return module.function('rmsNormDot', parameters, (f, p) => {
    const { dy, x, weight, out, divisor, centre } = p
    const weighed = weighing(f, weight, centre)
    const dots = sumFold(f)
    eachRow(f, p, { rows: [dy, x], numbers: [out] }, (row) => {
      dots.reset()
      row.walk(4, [dy, x, weight], (vectors) => {
        dots.add(vectors.map((v) => v.own(f32x4.mul(weighed(v, v.load(dy)), v.load(x)))))
      })
      f.store(out, f32.div(dots.number(), divisor))
    })
  })
}

const defineCell = (features: Features) =>
  defineRowMap(
    features,
    'rmsNormCell',
    { x: 'cells', scale: 'row', weight: 'columns', centre: 'float' },
    3,
    () =>
      ({ x, scale, weight, centre }) =>
        f32x4.mul(f32x4.mul(x, scale), f32x4.add(weight, centre)),
  )

const defineInputGradient = (features: Features) =>
  defineRowMap(
    features,
    'rmsNormInputGradient',
    { dy: 'cells', x: 'cells', weight: 'columns', scale: 'row', dot: 'row', centre: 'float' },
    8,
    () =>
      ({ dy, x, weight, scale, dot, centre }) => {
        const along = f32x4.mul(f32x4.mul(f32x4.mul(x, scale), scale), dot)
        return f32x4.mul(scale, f32x4.sub(f32x4.mul(dy, f32x4.add(weight, centre)), along))
      },
  )

const defineWeightTerm = (features: Features) =>
  defineRowMap(
    features,
    'rmsNormWeightTerm',
    { dy: 'cells', x: 'cells', scale: 'row' },
    2,
    () =>
      ({ dy, x, scale }) =>
        f32x4.mul(f32x4.mul(dy, x), scale),
  )

export function normKernels(features: Features): [Kernel, Launcher][] {
  const rows = lazily(() => {
    const module = new WasmModule(features)
    return { scale: defineScale(module), dot: defineDot(module) }
  })
  const scale: Launcher = ([out], [N], parameters) => {
    const [x, n, eps] = parameters as [Place, number, TaskArgument]
    return [task(rows().scale, { x: x.offset, out: out.offset, n, divisor: n, eps }, { items: N, cost: 2 * N * n })]
  }
  const dot: Launcher = ([out], [N], parameters) => {
    const [dy, x, weight, n, centre] = parameters as [Place, Place, Place, number, TaskArgument]
    const places = { dy: dy.offset, x: x.offset, weight: weight.offset, out: out.offset }
    return [task(rows().dot, { ...places, n, divisor: n, centre }, { items: N, cost: 4 * N * n })]
  }
  /** Over [N, C], whose parameters are the map's operands, and C where `width` says. */
  const overRows = (define: (features: Features) => RowMap, width: number): Launcher => {
    const map = lazily(() => define(features))
    return ([out], [n, N], parameters) => [rowMapTask(map(), parameters.toSpliced(width, 1), out, [N, n])]
  }
  return [
    [rmsScale, scale],
    [rmsNormDot, dot],
    [rmsNormCell, overRows(defineCell, 3)],
    [rmsNormInputGradient, overRows(defineInputGradient, 5)],
    [rmsNormWeightTerm, overRows(defineWeightTerm, 3)],
  ]
}
