/**
 * SwitchHead: a projection whose heads each have n maps, of which every token takes the k that its router scores highest.
 *
 *   y_h = sum_e w_he M_he x,   w_he = s_he at the k largest of a head's scores, 0 elsewhere,   s_h = sigmoid(R_h x)
 *
 * (SwitchHead, Csordás et al., arXiv 2312.07987, on the side of keys and values.) The scores are not made to sum to 1: each
 * is a gate of its own, so with one map a head this is a headwise gate on the projection. N tokens, C width, H heads, n maps a
 * head, k active, D head width.
 */
import { mul } from '../ops/elementwise.ts'
import { oneHot, topK } from '../ops/indexing.ts'
import { reshape } from '../ops/movement.ts'
import { needShape } from '../ops/operands.ts'
import { sum } from '../ops/reduce.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { DeviceOption } from './initial.ts'
import { Linear } from './layers.ts'
import { Module } from './module.ts'

/** Sizes of the projection. */
export interface SwitchHeadSizes {
  /** C */
  readonly width: number
  /** H */
  readonly heads: number
  /** D */
  readonly headWidth: number
  /** n, maps a head. */
  readonly count: number
  /** k, maps of a head that a token goes through. */
  readonly active: number
}

/** How the projection starts. */
export interface SwitchHeadOptions extends DeviceOption {
  /** Add biases, 0 at the start, to maps and router; false unless given. */
  readonly bias?: boolean
  /** Standard deviation of the maps' initial weights; 0.02 unless given. */
  readonly std?: number
  /** The same of the router's; 0.02 unless given. */
  readonly routerStd?: number
}

/**
 * x [..., C] to [..., H D].
 *
 * Every map is computed for every token and those that were not chosen count 0, as in `MixtureOfExperts`: right for a few maps.
 */
export class SwitchHead extends Module {
  /** [H n D, C] */
  readonly maps: Linear
  /** [H n, C] */
  readonly router: Linear
  readonly #sizes: SwitchHeadSizes

  /**
   * @example
   * const projection = new SwitchHead({ width: 64, heads: 4, headWidth: 16, count: 8, active: 2 })
   * projection.forward(randn([2, 10, 64])).shape // [2, 10, 64]
   */
  constructor(sizes: SwitchHeadSizes, options: SwitchHeadOptions = {}) {
    super()
    const { width: C, heads: H, headWidth: D, count: n } = sizes
    const { bias, std, routerStd, device } = options
    this.maps = new Linear(C, H * n * D, { bias, std, device })
    this.router = new Linear(C, H * n, { bias, std: routerStd, device })
    this.#sizes = sizes
  }

  /** x [..., C] to [..., H D]. */
  forward(x: Tensor): Tensor {
    const { width: C, heads: H, headWidth: D, count: n } = this.#sizes
    const lead = x.shape.slice(0, -1)
    needShape('SwitchHead', 'x', x, [...lead, C], '..., C')
    const N = lead.reduce((a, b) => a * b, 1)
    const mapped = reshape(this.maps.forward(x), [N, H, n, D])
    const weights = reshape(this.#weights(reshape(this.router.forward(x, 'sigmoid'), [N, H, n])), [N, H, n, 1])
    return reshape(sum(mul(mapped, weights), { axis: 2 }), [...lead, H * D])
  }

  /** `scores` [N, H, n] where they are among the k largest of their head, else 0. Which are chosen has no gradient. */
  #weights(scores: Tensor): Tensor {
    const { count: n, active } = this.#sizes
    if (active === n) return scores
    const { indices } = topK(scores.detach(), active)
    return mul(scores, sum(oneHot(indices, n), { axis: 2 }))
  }
}
