/**
 * Stochastic gradient descent with momentum: d = g + decay p; m = mu m + d; p = p - lr m (or p - lr (d + mu m) with
 * Nesterov's look ahead). Sutskever et al. 2013, in the form that PyTorch uses. The decay is part of the gradient.
 */
import { SluiceError } from '../errors.ts'
import { add, mul, sub } from '../ops/elementwise.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { groupsOf, needFactor, Optimizer, type OptimizerParameters, type Slot, stepNumber } from './optimizer.ts'

/** Settings of SGD. */
export interface SGDOptions {
  /** The learning rate; it has no default. */
  readonly lr: number
  /** 0 unless given. */
  readonly momentum?: number
  /** Look ahead along the momentum; false unless given. */
  readonly nesterov?: boolean
  /** Added to the gradient as decay p; 0 unless given. */
  readonly weightDecay?: number
}

export class SGD extends Optimizer {
  readonly #momentum: number
  readonly #nesterov: boolean

  /**
   * @throws SluiceError for settings out of range, and for `nesterov` without a momentum
   *
   * @example
   * const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 })
   */
  constructor(parameters: OptimizerParameters, options: SGDOptions) {
    const { lr, momentum = 0, nesterov = false, weightDecay = 0 } = options
    needFactor('SGD', 'momentum', momentum)
    if (nesterov && momentum === 0) throw new SluiceError('SGD', 'nesterov needs a momentum above 0')
    super('SGD', groupsOf(parameters, momentum > 0 ? ['momentum'] : []), { lr, weightDecay })
    this.#momentum = momentum
    this.#nesterov = nesterov
  }

  protected override update({ parameter, weightDecay, moments }: Slot, gradient: Tensor, rate: () => number): Tensor {
    let direction = weightDecay > 0 ? add(gradient, mul(parameter, weightDecay)) : gradient
    if (this.#momentum > 0) {
      moments.momentum.assign(add(mul(moments.momentum, this.#momentum), direction))
      direction = this.#nesterov ? add(direction, mul(moments.momentum, this.#momentum)) : moments.momentum
    }
    return sub(parameter, mul(direction, stepNumber(rate, parameter)))
  }
}
