/**
 * AdamW: m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; p = p (1 - lr decay) - lr (m / c1) / (sqrt(v / c2) + eps)
 * with c = 1 - beta^t. Loshchilov and Hutter 2019, algorithm 2; the decay is decoupled from the gradient.
 */
import { adamW } from '../../kernels/fused-optimizer.ts'
import { fuses } from '../tensor/launch.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { adamWInPlace } from './adamw-in-place.ts'
import { type AdamWSettings, adamWUpdate } from './adamw-update.ts'
import { groupsOf, needFactor, needNonNegative, Optimizer, type OptimizerParameters, type Slot } from './optimizer.ts'

/** Settings of AdamW. */
export interface AdamWOptions {
  /** 1e-3 unless given. */
  readonly lr?: number
  /** Factors of the two averages; [0.9, 0.95] unless given. */
  readonly betas?: readonly [number, number]
  /** 1e-8 unless given. */
  readonly eps?: number
  /** 0.01 unless given; groups may have their own. */
  readonly weightDecay?: number
}

export const adamWMoments = ['firstMoment', 'secondMoment'] as const

/** AdamW's settings besides rate and decay, checked. */
export function adamWSettings(operation: string, { betas = [0.9, 0.95], eps = 1e-8 }: AdamWOptions): AdamWSettings {
  betas.forEach((beta, i) => {
    needFactor(operation, `betas[${i}]`, beta)
  })
  needNonNegative(operation, 'eps', eps)
  return { betas, eps }
}

export class AdamW extends Optimizer {
  readonly #settings: AdamWSettings

  /**
   * @param parameters a list of parameters, or groups with a weight decay or rate of their own
   *
   * @example
   * const optimizer = new AdamW(decayGroups(model, 0.1), { lr: 1e-3 })
   * model.loss(tokens, targets).backward()
   * optimizer.step()
   * optimizer.zeroGrad()
   */
  constructor(parameters: OptimizerParameters, options: AdamWOptions = {}) {
    const { lr = 1e-3, weightDecay = 0.01 } = options
    super('AdamW', groupsOf(parameters, adamWMoments), { lr, weightDecay })
    this.#settings = adamWSettings('AdamW', options)
  }

  override get guarded(): boolean {
    return this.parameters.every((parameter) => fuses(adamW[0], parameter))
  }

  protected override updateAll(slots: readonly Slot[], rate: (slot: Slot) => number, guard?: Tensor): void {
    super.updateAll(adamWInPlace(slots, rate, this.#settings, guard), rate)
  }

  protected override update(slot: Slot, gradient: Tensor, rate: () => number): Tensor {
    return adamWUpdate(slot, gradient, rate, this.#settings)
  }
}
