/** Clipping the gradient by its norm over all parameters. Pascanu, Mikolov and Bengio 2013. */
import { clipFactor, MOST_TENSORS, scaleInPlace, squareBlocks, sumsOfSquares } from '../../kernels/fused-optimizer.ts'
import { noGrad } from '../autograd/tape.ts'
import { SluiceError } from '../errors.ts'
import { add, div, minimum, mul } from '../ops/elementwise.ts'
import { sqrt, square } from '../ops/functions.ts'
import { stack } from '../ops/parts.ts'
import { sum } from '../ops/reduce.ts'
import { zeros } from '../tensor/create.ts'
import { fuses, launchFused } from '../tensor/launch.ts'
import { scope, type Tensor } from '../tensor/tensor.ts'
import { ownBuffer, runsOf } from './in-place.ts'

/**
 * Scales all gradients by min(1, maxNorm / (norm + 1e-6)), with the norm taken over all of them together.
 *
 * The scale is computed on the device: nothing is read back. `Infinity` only measures. A gradient that several parameters
 * hold counts once.
 *
 * @param parameters those without a gradient are passed over
 * @returns the norm before clipping, of shape []
 * @throws SluiceError for a `maxNorm` that is not above 0
 *
 * @example
 * const norm = clipGradNorm(model.parameters(), 1)
 */
export function clipGradNorm(parameters: readonly Tensor[], maxNorm: number): Tensor {
  if (!(maxNorm > 0)) throw new SluiceError('clipGradNorm', `maxNorm must be above 0, got ${maxNorm}`)
  return scope(() =>
    noGrad(() => {
      const gradients = [...new Set(parameters.map(({ grad }) => grad).filter((gradient) => gradient !== null))]
      if (gradients.length === 0) return zeros([], { device: parameters[0]?.device })
      if (gradients.every((gradient) => fuses(clipFactor, gradient))) return clipInPlace(gradients, maxNorm)
      const norm = sqrt(sum(stack(gradients.map((gradient) => sum(square(gradient))))))
      if (maxNorm === Infinity) return norm
      const scale = minimum(div(maxNorm, add(norm, 1e-6)), 1)
      for (const gradient of gradients) gradient.assign(mul(gradient, scale))
      return norm
    }),
  )
}

/** The same in a few launches, on a device with the fused kernels: partial sums, one norm, and scaling in place. */
function clipInPlace(gradients: readonly Tensor[], maxNorm: number): Tensor {
  const filled = gradients.filter(({ size }) => size > 0)
  if (filled.length === 0) return zeros([], { device: gradients[0].device })
  const total = filled.reduce((blocks, { size }) => blocks + squareBlocks(size), 0)
  let sums: Tensor | undefined
  let offset = 0
  for (const run of runsOf(filled, MOST_TENSORS)) {
    const kernel = (sums ? sumsOfSquares.further : sumsOfSquares.first)[run.length - 1]
    const each = run.flatMap((gradient) => [gradient, gradient.size])
    ;[sums] = launchFused(kernel, [sums ?? [total]], [offset, ...each])
    for (const { size } of run) offset += squareBlocks(size)
  }
  // Infinity is no number that every GPU can be given; the factor is not used then.
  const [norm, factor] = launchFused(clipFactor, [[], []], [sums!, total, maxNorm === Infinity ? 1 : maxNorm])
  if (maxNorm === Infinity) return norm
  for (const run of runsOf(filled, MOST_TENSORS)) {
    const sizes = run.map(({ size }) => size)
    launchFused(scaleInPlace[run.length - 1], run.map(ownBuffer), [factor, ...sizes])
  }
  return norm
}
