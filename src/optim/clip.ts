/** Clipping the gradient by its norm over all parameters. Pascanu, Mikolov and Bengio 2013. */
import { noGrad } from '../autograd/tape.ts'
import { SluiceError } from '../errors.ts'
import { add, div, minimum, mul } from '../ops/elementwise.ts'
import { sqrt, square } from '../ops/functions.ts'
import { stack } from '../ops/parts.ts'
import { sum } from '../ops/reduce.ts'
import { zeros } from '../tensor/create.ts'
import { scope, type Tensor } from '../tensor/tensor.ts'

/**
 * Scales all gradients by min(1, maxNorm / (norm + 1e-6)), with the norm taken over all of them together.
 *
 * The scale is computed on the device: nothing is read back. `Infinity` only measures.
 *
 * @param parameters those without a gradient are passed over
 * @returns the norm before clipping, of shape []
 *
 * @example
 * const norm = clipGradNorm(model.parameters(), 1)
 */
export function clipGradNorm(parameters: readonly Tensor[], maxNorm: number): Tensor {
  if (!(maxNorm > 0)) throw new SluiceError('clipGradNorm', `maxNorm must be above 0, got ${maxNorm}`)
  return scope(() =>
    noGrad(() => {
      const gradients = parameters.map(({ grad }) => grad).filter((gradient) => gradient !== null)
      if (gradients.length === 0) return zeros([], { device: parameters[0]?.device })
      const norm = sqrt(sum(stack(gradients.map((gradient) => sum(square(gradient))))))
      if (maxNorm === Infinity) return norm
      const scale = minimum(div(maxNorm, add(norm, 1e-6)), 1)
      for (const gradient of gradients) gradient.assign(mul(gradient, scale))
      return norm
    }),
  )
}
