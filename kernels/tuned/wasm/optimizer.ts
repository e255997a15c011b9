/** AdamW's step for several tensors in place: kernels/fused-optimizer.ts. Bound by memory: each number is read once. */
import { adamW } from '../../fused-optimizer.ts'
import type { FusedKernel } from '../../kernel.ts'
import { type Features, floats, integers, WasmModule } from './assembler.ts'
import { f32, f32x4, i32, v128 } from './instructions.ts'
import { type Launcher, lazily, type Place, type TaskArgument, task, withRange } from './task.ts'
import { eachVector, vectorsIn } from './vectors.ts'

function defineAdamW(features: Features) {
  const module = new WasmModule(features)
  const parameters = {
    ...integers('guard', 'row', 'gradient', 'parameter', 'firstMoment', 'secondMoment'),
    ...floats('beta1', 'beta2', 'eps', 'decay'),
    ...withRange,
  }
  return module.function('adamW', parameters, (f, p) => {
    const { row, gradient, parameter, firstMoment, secondMoment, from, to } = p
    const constant = (value: Parameters<typeof f32x4.splat>[0]) => f.local('v128', f32x4.splat(value))
    const rate = f32.load(row)
    const [beta1, beta2, eps] = [p.beta1, p.beta2, p.eps].map(constant)
    const [keep1, keep2] = [p.beta1, p.beta2].map((beta) => constant(f32.sub(1, beta)))
    const shrink = constant(f32.sub(1, f32.mul(rate, p.decay)))
    const step = constant(f32.div(rate, f32.load(row, 4)))
    const correction2 = constant(f32.div(1, f32.load(row, 8)))
    const isSound = f32.lt(f32.abs(f32.load(p.guard)), Number.POSITIVE_INFINITY)
    f.if(i32.eqz(isSound), () => f.set(from, to))
    eachVector(f, from, to, [gradient, parameter, firstMoment, secondMoment], () => {
      const g = f.local('v128', v128.load(gradient))
      const m = f.local('v128', f.madd(v128.load(firstMoment), beta1, f32x4.mul(g, keep1)))
      const v = f.local('v128', f.madd(v128.load(secondMoment), beta2, f32x4.mul(f32x4.mul(g, keep2), g)))
      f.store(firstMoment, m)
      f.store(secondMoment, v)
      const root = f32x4.add(f32x4.sqrt(f32x4.mul(v, correction2)), eps)
      f.store(parameter, f32x4.sub(f32x4.mul(v128.load(parameter), shrink), f32x4.div(f32x4.mul(m, step), root)))
    })
  })
}

export function optimizerKernels(features: Features): [FusedKernel, Launcher][] {
  const kernel = lazily(() => defineAdamW(features))
  return adamW.map((fused, index) => [
    fused,
    (outputs, _grid, parameters) => {
      const [values, guard, beta1, beta2, eps] = parameters as [Place, Place, ...TaskArgument[]]
      return Array.from({ length: index + 1 }, (_, i) => {
        const [gradient, size, row, decay] = parameters.slice(5 + 4 * i) as [Place, number, number, TaskArgument]
        const [parameter, firstMoment, secondMoment] = outputs.slice(3 * i)
        return task(
          kernel(),
          {
            guard: guard.offset,
            row: values.offset + 12 * row,
            gradient: gradient.offset,
            parameter: parameter.offset,
            firstMoment: firstMoment.offset,
            secondMoment: secondMoment.offset,
            ...{ beta1, beta2, eps, decay },
          },
          { items: vectorsIn(size), cost: 12 * size, isIndependent: true },
        )
      })
    },
  ])
}
