/**
 * Muon: momentum whose matrix is made nearly orthogonal before the step; for the hidden matrices [m, n] of a network.
 * m = mu m + (1 - mu) g; u = mu m + (1 - mu) g; p = p (1 - lr decay) - lr sqrt(max(1, m / n)) orthogonal(u).
 * Everything else (embeddings, head, vectors) takes AdamW's step. Keller Jordan et al. 2024, "Muon: an optimizer for
 * hidden layers in neural networks".
 */
import { movingAverage } from '../../kernels/optimizer.ts'
import { SluiceError, showShape } from '../errors.ts'
import { add, div, mul, sub } from '../ops/elementwise.ts'
import { sqrt, square } from '../ops/functions.ts'
import { matmul } from '../ops/matmul.ts'
import { transpose } from '../ops/movement.ts'
import { sum } from '../ops/reduce.ts'
import { launchMap } from '../tensor/launch.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type AdamWOptions, adamWMoments, adamWSettings } from './adamw.ts'
import { adamWInPlace } from './adamw-in-place.ts'
import { type AdamWSettings, adamWUpdate } from './adamw-update.ts'
import { groupsOf, needFactor, Optimizer, type OptimizerParameters, type Slot, stepNumber } from './optimizer.ts'

/** Coefficients of x -> a x + b x^3 + c x^5, which carries singular values from (0, 1] to about [0.7, 1.2]. */
const [A, B, C] = [3.4445, -4.775, 2.0315]

/**
 * Newton-Schulz iteration: the matrix with the singular vectors of `x` [m, n] and singular values near 1.
 *
 * @param steps each multiplies small singular values by 3.4445; 5 unless given
 */
export function orthogonalise(x: Tensor, steps = 5): Tensor {
  const [m, n] = x.shape
  // The products are [min(m, n), min(m, n)], the smaller of the two.
  let y = m > n ? transpose(x) : x
  y = div(y, add(sqrt(sum(square(y))), 1e-7))
  for (let i = 0; i < steps; i++) {
    const gram = matmul(y, y, { transposeB: true })
    const bend = add(mul(gram, B), mul(matmul(gram, gram), C))
    y = add(mul(y, A), matmul(bend, y))
  }
  return m > n ? transpose(y) : y
}

/** Settings of Muon. */
export interface MuonOptions {
  /** Rate of the hidden matrices; 0.02 unless given. */
  readonly lr?: number
  /** 0.95 unless given. */
  readonly momentum?: number
  /** Look ahead along the momentum; true unless given. */
  readonly nesterov?: boolean
  /** Of the hidden matrices, decoupled; 0 unless given. */
  readonly weightDecay?: number
  /** Newton-Schulz steps; 5 unless given. */
  readonly steps?: number
  /** For the rest; its rate (3e-4 unless given) keeps its ratio to `lr` when that is set. */
  readonly adamW?: AdamWOptions
}

export class Muon extends Optimizer {
  readonly #momentum: number
  readonly #nesterov: boolean
  readonly #iterations: number
  readonly #adamW: AdamWSettings

  /**
   * @param parameters `hidden` matrices [m, n] for Muon and the `rest` for AdamW, as `muonGroups(module)` gives them
   * @throws SluiceError for settings out of range, and for hidden parameters that are no matrices
   *
   * @example
   * const optimizer = new Muon(muonGroups(model), { lr: 0.02, adamW: { lr: 3e-4 } })
   */
  constructor(
    parameters: { readonly hidden: readonly Tensor[]; readonly rest: OptimizerParameters },
    options: MuonOptions = {},
  ) {
    const { lr = 0.02, momentum = 0.95, nesterov = true, weightDecay = 0, steps = 5, adamW = {} } = options
    needFactor('Muon', 'momentum', momentum)
    if (!Number.isInteger(steps) || steps < 1) {
      throw new SluiceError('Muon', `steps must be a positive integer, got ${steps}`)
    }
    const wrong = parameters.hidden.find(({ rank }) => rank !== 2)
    if (wrong) {
      throw new SluiceError(
        'Muon',
        `hidden parameters are matrices, got ${wrong.label || 'one'} of shape ${showShape(wrong.shape)}; put it in rest`,
      )
    }
    const rest = groupsOf(parameters.rest, adamWMoments).map((group) => ({
      ...group,
      lr: group.lr ?? adamW.lr ?? 3e-4,
      weightDecay: group.weightDecay ?? adamW.weightDecay ?? 0.01,
    }))
    super('Muon', [{ params: parameters.hidden, moments: ['momentum'] }, ...rest], { lr, weightDecay })
    this.#momentum = momentum
    this.#nesterov = nesterov
    this.#iterations = steps
    this.#adamW = adamWSettings('Muon', adamW)
  }

  protected override updateAll(slots: readonly Slot[], rate: (slot: Slot) => number): void {
    const isHidden = ({ moments }: Slot) => moments.momentum !== undefined
    const rest = slots.filter((slot) => !isHidden(slot))
    super.updateAll([...slots.filter(isHidden), ...adamWInPlace(rest, rate, this.#adamW)], rate)
  }

  protected override update(slot: Slot, gradient: Tensor, rate: () => number): Tensor {
    const { parameter, weightDecay, moments } = slot
    if (!moments.momentum) return adamWUpdate(slot, gradient, rate, this.#adamW)
    const [rows, columns] = parameter.shape
    const average = (old: Tensor) => launchMap(movingAverage, parameter.shape, [old, gradient], [this.#momentum])
    moments.momentum.assign(average(moments.momentum))
    const direction = orthogonalise(this.#nesterov ? average(moments.momentum) : moments.momentum, this.#iterations)
    const keep = stepNumber(() => 1 - rate() * weightDecay, parameter)
    const scale = stepNumber(() => rate() * Math.sqrt(Math.max(1, rows / columns)), parameter)
    return sub(mul(parameter, keep), mul(direction, scale))
  }
}
