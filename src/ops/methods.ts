/**
 * Every operation whose first argument is a tensor, as a method of `Tensor`: `x.exp()` is `exp(x)`.
 *
 * Loading this file also gives the tape the four operations it needs to walk.
 */
import { backward, setWalkOperations } from '../autograd/tape.ts'
import { full } from '../tensor/create.ts'
import { Tensor } from '../tensor/tensor.ts'
import * as all from './all.ts'
import { sumTo } from './sum-to.ts'

type All = typeof all

/** `f(self, ...rest)` as a method `(...rest)`. */
type Method<F> = F extends (self: Tensor, ...rest: infer Rest) => infer Result ? (...rest: Rest) => Result : never

/** Operations that take no tensor first, and so are no methods. */
const functionsOnly = ['concat', 'stack', 'einsum'] as const

/** Only names are looked at here: looking at types would make `Tensor` depend on itself. */
type MethodName = Exclude<keyof All, (typeof functionsOnly)[number]>

export type OpMethods = { [Name in MethodName]: Method<All[Name]> }

declare module '../tensor/tensor.ts' {
  interface Tensor extends OpMethods {
    /**
     * Adds the gradient of this result to `grad` of every leaf with `requiresGrad` that it depends on.
     *
     * @param cotangent the gradient of the result; 1 when it has one element
     */
    backward(cotangent?: Tensor, options?: { createGraph?: boolean }): void
  }
}

for (const [name, operation] of Object.entries(all)) {
  if ((functionsOnly as readonly string[]).includes(name)) continue
  const call = operation as (...given: unknown[]) => unknown
  Object.defineProperty(Tensor.prototype, name, {
    configurable: true,
    writable: true,
    value(this: Tensor, ...rest: unknown[]) {
      return call(this, ...rest)
    },
  })
}

Tensor.prototype.backward = function (cotangent, options) {
  backward(this, cotangent, options)
}

setWalkOperations({
  add: all.add,
  sumTo,
  onesLike: (t) => full(t.shape, 1, { device: t.device }),
  zerosLike: (t) => full(t.shape, 0, { device: t.device }),
})
