/** Sums, extrema and their places over one axis: kernels/reduce.ts, and those of kernels/softmax.ts that reduce. */
import type { Kernel } from '../../kernel.ts'
import { maxAxis, minAxis, sumAxis } from '../../reduce.ts'
import { softmaxDot, softmaxMax } from '../../softmax.ts'
import type { Features } from './assembler.ts'
import { f32x4 } from './instructions.ts'
import { defineReduction, type Reduction, type ReductionKernels, reduce } from './reduction.ts'
import { type Launcher, lazily, type Place, type TaskArgument } from './task.ts'

const plain: Omit<Reduction, 'name' | 'fold'> = {
  cells: 1,
  floats: 0,
  cost: 1,
  terms: () => (cells) => cells[0],
}

export const sumOf: Reduction = { ...plain, name: 'sum', fold: 'sum' }
export const maxOf: Reduction = { ...plain, name: 'max', fold: 'max' }
const minOf: Reduction = { ...plain, name: 'min', fold: 'min' }

const dotOf: Reduction = {
  ...plain,
  name: 'dot',
  fold: 'sum',
  cells: 2,
  cost: 2,
  terms:
    () =>
    ([x, y]) =>
      f32x4.mul(x, y),
}

const scaledMaxOf: Reduction = {
  ...plain,
  ...{ name: 'scaledMax', fold: 'max', floats: 1, cost: 2 },
  terms:
    (_f, [scale]) =>
    ([x]) =>
      f32x4.mul(x, scale),
}

export function reduceKernels(features: Features): [Kernel, Launcher][] {
  const made = (definition: Reduction) => lazily(() => defineReduction(features, definition))
  const sum = made(sumOf)
  const max = made(maxOf)
  const min = made(minOf)
  const dot = made(dotOf)
  const scaledMax = made(scaledMaxOf)

  const alone =
    (kernels: () => ReductionKernels): Launcher =>
    ([out], [inner, , outer], [x, n], workspace) =>
      reduce(kernels(), kernels, { arrays: [x as Place] }, out.offset, { outer, n: n as number, inner }, workspace)

  return [
    [sumAxis, alone(sum)],
    [maxAxis, alone(max)],
    [minAxis, alone(min)],
    [
      softmaxDot,
      ([out], [inner, , outer], [dy, y, n], workspace) =>
        reduce(dot(), sum, { arrays: [dy, y] as Place[] }, out.offset, { outer, n: n as number, inner }, workspace),
    ],
    [
      softmaxMax,
      ([out], [inner, , outer], [x, n, , T, scale], workspace) => {
        const given = { arrays: [x as Place], floats: [scale as TaskArgument] }
        const extents = { outer, n: n as number, inner, T: T as number }
        return reduce(scaledMax(), max, given, out.offset, extents, workspace)
      },
    ],
  ]
}
