/**
 * A mixture of experts: each token goes to the k experts of E that the router likes best.
 *
 *   p = softmax(router x),   w = p at its k largest, 0 elsewhere (divided by their sum, if normalised)
 *   y = sum_e w_e E_e(x) + sigmoid(sharedGate x) Shared(x),    E_e(x) = D_e (silu(G_e x) ⊙ U_e x)
 *
 * (Shazeer et al. 2017, equations 1 to 5; as in Qwen3-Next.) B batch, T time, N = B T tokens, C width, E experts, k active,
 * F hidden width of an expert.
 */
import { add, div, mul } from '../ops/elementwise.ts'
import { square } from '../ops/functions.ts'
import { oneHot, topK } from '../ops/indexing.ts'
import { linear } from '../ops/linear.ts'
import { matmul } from '../ops/matmul.ts'
import { permute, reshape } from '../ops/movement.ts'
import { needShape } from '../ops/operands.ts'
import { stack } from '../ops/parts.ts'
import { logsumexp, mean, sum } from '../ops/reduce.ts'
import { softmax } from '../ops/softmax.ts'
import type { Tensor } from '../tensor/tensor.ts'
import {
  type MixtureOfExpertsConfig,
  type MixtureOfExpertsConfigInput,
  mixtureOfExpertsConfig,
} from './experts-config.ts'
import { FeedForward } from './feed-forward.ts'
import { type DeviceOption, normalParameter } from './initial.ts'
import { Linear } from './layers.ts'
import { Module } from './module.ts'

/** How a router shared out the tokens of one call; the losses are made of it. Live as long as the scope around the call. */
export interface Routing {
  /** Share of the tokens that chose each expert in any of their k places, [E]; it sums to k. No gradient. */
  readonly chosen: Tensor
  /** Mean of the router's probabilities over tokens, [E]. */
  readonly probability: Tensor
  /** Mean over tokens of logsumexp(router x)^2, []. */
  readonly squaredLogits: Tensor
}

/** What a call of the layer may take beside its input. */
export interface ExpertsForwardOptions {
  /** Called with how the tokens were shared out, which is computed for it alone. */
  readonly routed?: (routing: Routing) => void
}

/** The mean of one of the routings' quantities over layers. */
const meanOf = (routings: readonly Routing[], of: (routing: Routing) => Tensor): Tensor =>
  mean(stack(routings.map(of)), { axis: 0 })

/**
 * E sum_e f_e P_e, f_e the share of tokens that chose expert e and P_e its mean probability, both over all layers: k when all
 * experts are alike, more when few get most (Fedus et al. 2022, equation 4; over k places as in Qwen3's code). Of shape [].
 *
 * @param routings one a layer with experts; each layer counts the same
 */
export function loadBalancingLoss(routings: readonly Routing[]): Tensor {
  const chosen = meanOf(routings, (routing) => routing.chosen)
  const probability = meanOf(routings, (routing) => routing.probability)
  return mul(sum(mul(chosen, probability)), chosen.size)
}

/** mean logsumexp(router x)^2 over tokens and layers, of shape []: keeps the router's logits small (ST-MoE, equation 5). */
export function routerZLoss(routings: readonly Routing[]): Tensor {
  return meanOf(routings, (routing) => routing.squaredLogits)
}

/**
 * x [..., C] to [..., C].
 *
 * Every expert is computed for every token, as one product [N, C] x [C, E F] and one back, and those that were not chosen count 0:
 * shapes do not depend on the routing, so the layer can be captured and needs no sorting. It costs E / k times the arithmetic of
 * the chosen experts alone, and N E F numbers of memory: right for the tens of small experts of a toy model, not for hundreds.
 */
export class MixtureOfExperts extends Module {
  /** All settings, defaults included. */
  readonly config: MixtureOfExpertsConfig
  /** [E, C] */
  readonly router: Linear
  /** [E, F, C] */
  readonly gateProjections: Tensor
  /** [E, F, C] */
  readonly upProjections: Tensor
  /** [E, C, F] */
  readonly downProjections: Tensor
  /** SwiGLU; null without a shared expert. */
  readonly shared: FeedForward | null
  /** [1, C] */
  readonly sharedGate: Linear | null

  /**
   * @throws SluiceError for unknown or wrong settings
   *
   * @example
   * const layer = new MixtureOfExperts({ modelWidth: 64, count: 8, active: 2, width: 32, sharedWidth: 32 })
   * layer.forward(randn([2, 10, 64])).shape // [2, 10, 64]
   */
  constructor(settings: MixtureOfExpertsConfigInput, options: DeviceOption = {}) {
    super()
    const config = mixtureOfExpertsConfig(settings)
    const { modelWidth: C, count: E, width: F, sharedWidth, initStd: std, outputStd } = config
    this.config = config
    this.router = new Linear(C, E, { ...options, std })
    this.gateProjections = normalParameter([E, F, C], std, options)
    this.upProjections = normalParameter([E, F, C], std, options)
    this.downProjections = normalParameter([E, C, F], outputStd, options)
    this.shared = sharedWidth > 0 ? new FeedForward(C, sharedWidth, { ...options, std, outputStd }) : null
    this.sharedGate = sharedWidth > 0 ? new Linear(C, 1, { ...options, std }) : null
  }

  /** x [..., C] to [..., C]. */
  forward(x: Tensor, { routed }: ExpertsForwardOptions = {}): Tensor {
    const { modelWidth: C, count: E } = this.config
    const lead = x.shape.slice(0, -1)
    needShape('MixtureOfExperts', 'x', x, [...lead, C], '..., C')
    const N = lead.reduce((a, b) => a * b, 1)
    const tokens = reshape(x, [N, C])
    const logits = this.router.forward(tokens)
    const probabilities = softmax(logits)
    const chosen = this.#chosen(probabilities)
    if (routed) {
      routed({
        chosen: mean(chosen, { axis: 0 }),
        probability: mean(probabilities, { axis: 0 }),
        squaredLogits: mean(square(logsumexp(logits, { axis: -1 }))),
      })
    }
    const kept = mul(probabilities, chosen)
    const weights = this.config.normalise ? div(kept, sum(kept, { axis: -1, keepdim: true })) : kept
    const y = this.#experts(tokens, reshape(weights, [N, E, 1]))
    const shared = this.shared && this.sharedGate ? this.#shared(tokens, this.shared, this.sharedGate) : null
    return reshape(shared ? add(y, shared) : y, x.shape)
  }

  /** 1 at the k largest of each row, else 0: [N, E]. A constant: which are chosen has no gradient, how much they count has. */
  #chosen(probabilities: Tensor): Tensor {
    const { count: E, active } = this.config
    const { indices } = topK(probabilities.detach(), active)
    return sum(oneHot(indices, E), { axis: 1 })
  }

  /** sum_e weights_e E_e(tokens): [N, C] from tokens [N, C] and weights [N, E, 1]. */
  #experts(tokens: Tensor, weights: Tensor): Tensor {
    const { modelWidth: C, count: E, width: F } = this.config
    const [N] = tokens.shape
    const rows = (t: Tensor) => reshape(t, [E * F, C])
    const gate = linear(tokens, rows(this.gateProjections), { activation: 'silu' })
    const hidden = mul(gate, linear(tokens, rows(this.upProjections)))
    const weighed = reshape(mul(reshape(hidden, [N, E, F]), weights), [N, E * F])
    return matmul(weighed, reshape(permute(this.downProjections, [0, 2, 1]), [E * F, C]))
  }

  #shared(tokens: Tensor, expert: FeedForward, gate: Linear): Tensor {
    return mul(expert.forward(tokens), gate.forward(tokens, 'sigmoid'))
  }
}
