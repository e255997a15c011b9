/** Helpers for tests of modules: random parameters, and the gradient check with parameters as inputs. */

import type { DifferenceOptions } from '../../src/check/differences.ts'
import { type GradcheckResult, gradcheck } from '../../src/check/gradcheck.ts'
import { Generator, type Tensor, tensor } from '../../src/index.ts'
import type { HostTensor, Module } from '../../src/nn/index.ts'

/** Gives every parameter values from N(0, std^2), so that no initial 0 or 1 hides a term. */
export function randomise(module: Module, seed: number, std = 0.5): void {
  const generator = new Generator(seed)
  const state = new Map<string, HostTensor>()
  for (const [name, { shape, size }] of module.namedTensors()) {
    const data = Float64Array.from(generator.normal(size), (z) => z * std)
    state.set(name, { dtype: 'float64', shape, data })
  }
  module.loadStateDict(state)
}

/** A normal tensor on the reference device. */
export function input(shape: readonly number[], seed: number): Tensor {
  const data = Float64Array.from(new Generator(seed).normal(shape.reduce((a, b) => a * b, 1)))
  return tensor(data, { shape, device: 'reference' })
}

/** The object that holds the property of this dotted name, and the property's own name. */
function holder(module: Module, name: string): [object, string] {
  const path = name.split('.')
  const last = path.pop()!
  return [path.reduce<object>((at, key) => Reflect.get(at, key), module), last]
}

/** `gradcheck` of `run`, whose inputs are `inputs` and all parameters of the module, on the reference device. */
export function gradcheckModule(
  module: Module,
  inputs: readonly Tensor[],
  run: (...inputs: Tensor[]) => Tensor,
  options: DifferenceOptions = {},
): Promise<GradcheckResult> {
  const named = [...module.namedParameters()]
  const place = (values: readonly Tensor[]) => {
    named.forEach(([name], i) => {
      const [object, key] = holder(module, name)
      Reflect.set(object, key, values[i])
    })
  }
  const parameters = named.map(([, parameter]) => parameter)
  const fn = (...given: Tensor[]): Tensor => {
    place(given.slice(inputs.length))
    try {
      return run(...given.slice(0, inputs.length))
    } finally {
      place(parameters)
    }
  }
  return gradcheck(fn, [...inputs, ...parameters], options)
}

/** Largest absolute difference; infinite for other lengths and NaN. */
export function largestGap(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity
  let worst = 0
  for (let i = 0; i < a.length; i++) {
    const gap = Math.abs(a[i] - b[i])
    if (Number.isNaN(gap)) return Infinity
    worst = Math.max(worst, gap)
  }
  return worst
}
