/**
 * The gated delta rule as a layer: project, convolve, write into a memory and read it, norm, gate, project.
 *
 *   q, k, v = silu(convolution(projections of x)), q and k of length 1 a head
 *   beta = sigmoid(b)  (2 sigmoid(b) with negative eigenvalues),    g = -exp(decayRate) softplus(a + decayBias)
 *   o = delta rule of q, k, v, g, beta,    y = W (norm(o) ⊙ act(z))
 *
 * with b, a and z projections of x (Gated Delta Networks, arXiv 2412.06464; as a layer in Qwen3-Next). With rule 'kda' a and z
 * come through a bottleneck of width V and g is one number a channel of the key (Kimi Linear, arXiv 2510.26692).
 * B batch, T time, C width, Hk key heads, Hv value heads, K and V the sides of a head's memory, W taps.
 */
import { noGrad } from '../autograd/tape.ts'
import { channelDeltaRule, type DeltaRuleResult, deltaRule, gatedDeltaRule } from '../ops/delta.ts'
import { add, mul } from '../ops/elementwise.ts'
import { exp, neg, silu, softplus } from '../ops/functions.ts'
import { expand, reshape } from '../ops/movement.ts'
import { l2Norm } from '../ops/norm.ts'
import { needShape } from '../ops/operands.ts'
import { concat, slice } from '../ops/parts.ts'
import { causalConv1d } from '../ops/sequence.ts'
import { zeros } from '../tensor/create.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { DeltaCache } from './cache.ts'
import { type GatedDeltaNetConfig, type GatedDeltaNetConfigInput, gatedDeltaNetConfig } from './delta-config.ts'
import { type DeviceOption, uniformParameter } from './initial.ts'
import { Linear, LowRank, RMSNorm } from './layers.ts'
import { Module } from './module.ts'

/** What a layer shows to an observer. The tensors have no history and live no longer than the scope around the call. */
export interface DeltaObservation {
  /** How much of a correction is written, [B, T, Hv]. */
  readonly beta: Tensor
  /** What is left of the memory after a step, e^g: [B, T, Hv], with rule 'kda' [B, T, Hv, K]; null with rule 'delta'. */
  readonly decay: Tensor | null
  /** The memory after the last step, [B, Hv, K, V]. */
  readonly state: Tensor
}

/** What a call of the layer may take beside its input. */
export interface DeltaForwardOptions {
  /** The memory of earlier positions; it goes on from there. Nothing is recorded on the tape then. */
  readonly cache?: DeltaCache
  /** 'recurrent' goes step by step; 'chunked' unless given. */
  readonly mode?: 'recurrent' | 'chunked'
  /** Called with decays, strengths of writing and the memory. */
  readonly observe?: (seen: DeltaObservation) => void
}

/** The decay rate A is uniform between these, without the lower one. */
const rateRange = { gatedDelta: [0, 16], kda: [1, 16] } as const

/**
 * dt + log(1 - e^-dt), whose softplus is dt, for dt log-uniform in [0.001, 0.1]: where a = 0 the memory then keeps at least
 * e^(-16 dt), 0.2, of itself a step, and mostly far more. It is Mamba-2's and FLA's start; 1, the start in Hugging Face's
 * code, erases the memory at every step: e^(-8 softplus(1)) is 3e-5.
 */
function initialDecayBias(u: number): number {
  const dt = Math.exp(Math.log(1e-3) + u * (Math.log(1e-1) - Math.log(1e-3)))
  return dt + Math.log(-Math.expm1(-dt))
}

export class GatedDeltaNet extends Module {
  /** All settings, defaults included. */
  readonly config: GatedDeltaNetConfig
  /** [Hk K, C] */
  readonly queryProjection: Linear
  /** [Hk K, C] */
  readonly keyProjection: Linear
  /** [Hv V, C] */
  readonly valueProjection: Linear
  /** z [Hv V, C], with rule 'kda' through V; null without a gate. */
  readonly outputGateProjection: Linear | LowRank | null
  /** b [Hv, C] */
  readonly betaProjection: Linear
  /** a [Hv, C], with rule 'kda' [Hv K, C] through V; null with rule 'delta'. */
  readonly decayProjection: Linear | LowRank | null
  /** Depthwise, [2 Hk K + Hv V, W]: channels of all queries, all keys, all values; the last tap is the present. */
  readonly convolution: Tensor
  /** dt_bias [Hv], with rule 'kda' [Hv K]. */
  readonly decayBias: Tensor | null
  /** A_log [Hv] */
  readonly decayRate: Tensor | null
  /** Over V, one weight for all heads, 1 at the start. */
  readonly outputNorm: RMSNorm
  /** [C, Hv V] */
  readonly outputProjection: Linear

  /**
   * @throws SluiceError for unknown or wrong settings
   *
   * @example
   * const layer = new GatedDeltaNet({ width: 64, keyHeads: 2, valueHeads: 4, keyWidth: 16 })
   * layer.forward(randn([2, 10, 64])).shape // [2, 10, 64]
   */
  constructor(settings: GatedDeltaNetConfigInput, options: DeviceOption = {}) {
    super()
    const config = gatedDeltaNetConfig(settings)
    const { rule, width: C, keyHeads: Hk, valueHeads: Hv, keyWidth: K, valueWidth: V, initStd: std } = config
    const W = config.convolutionWidth
    const project = (rows: number) => new Linear(C, rows, { ...options, std })
    const projectThrough = (rows: number) =>
      rule === 'kda' ? new LowRank(C, V, rows, { ...options, std }) : project(rows)
    this.config = config
    this.queryProjection = project(Hk * K)
    this.keyProjection = project(Hk * K)
    this.valueProjection = project(Hv * V)
    this.outputGateProjection = config.outputGate === 'none' ? null : projectThrough(Hv * V)
    this.betaProjection = project(Hv)
    const decays = rule === 'kda' ? Hv * K : Hv
    this.decayProjection = rule === 'delta' ? null : projectThrough(decays)
    // Uniform in ±W^-1/2, so that a convolution of W inputs neither grows nor shrinks them much.
    const bound = W ** -0.5
    this.convolution = uniformParameter([2 * Hk * K + Hv * V, W], (u) => (2 * u - 1) * bound, options)
    this.decayBias = null
    this.decayRate = null
    if (rule !== 'delta') {
      const [low, high] = rateRange[rule]
      this.decayBias = uniformParameter([decays], initialDecayBias, options)
      this.decayRate = uniformParameter([Hv], (u) => Math.log(low + u * (high - low)), options)
    }
    this.outputNorm = new RMSNorm(V, { ...options, eps: config.eps })
    this.outputProjection = new Linear(Hv * V, C, { ...options, std: config.outputStd })
  }

  /** x [B, T, C] to [B, T, C]; x is the normed input. */
  forward(x: Tensor, options: DeltaForwardOptions = {}): Tensor {
    return options.cache ? noGrad(() => this.#forward(x, options)) : this.#forward(x, options)
  }

  #forward(x: Tensor, { cache, mode, observe }: DeltaForwardOptions): Tensor {
    const { width: C, keyHeads: Hk, valueHeads: Hv, keyWidth: K, valueWidth: V, outputGate } = this.config
    const [B, T] = x.shape
    needShape('GatedDeltaNet', 'x', x, [B, T, C], 'B, T, C')
    const projected = [this.queryProjection, this.keyProjection, this.valueProjection].map((of) => of.forward(x))
    const [queries, keys, values] = this.#convolved(projected, cache)
    const q = this.#toValueHeads(l2Norm(reshape(queries, [B, T, Hk, K])))
    const k = this.#toValueHeads(l2Norm(reshape(keys, [B, T, Hk, K])))
    const v = reshape(values, [B, T, Hv, V])
    const write = this.betaProjection.forward(x, 'sigmoid')
    const beta = this.config.negativeEigenvalues ? mul(write, 2) : write
    const g = this.#logDecay(x)
    const { out, state } = this.#rule(q, k, v, g, beta, { mode, state: cache?.state ?? undefined })
    cache?.advance(T, state, this.#lastInputs(projected, cache))
    if (observe) {
      noGrad(() => observe({ beta: beta.detach(), decay: g && exp(g), state: state.detach() }))
    }
    const normed = this.outputNorm.forward(out)
    const z = outputGate === 'none' ? null : this.outputGateProjection!.forward(x, outputGate)
    const gated = z ? mul(normed, reshape(z, [B, T, Hv, V])) : normed
    return this.outputProjection.forward(reshape(gated, [B, T, Hv * V]))
  }

  /** silu(convolution) of queries, keys and values, [B, T, channels] each. */
  #convolved(projected: readonly Tensor[], cache: DeltaCache | undefined): Tensor[] {
    let start = 0
    return projected.map((x, i) => {
      const end = start + x.shape[2]
      const taps = slice(this.convolution, [[start, end]])
      start = end
      return silu(causalConv1d(x, taps, { state: cache?.inputs[i] }))
    })
  }

  /** The last W - 1 inputs of the convolution, those of before the first being 0. */
  #lastInputs(projected: readonly Tensor[], cache: DeltaCache): Tensor[] {
    const past = this.config.convolutionWidth - 1
    return projected.map((x, i) => {
      const [B, T, channels] = x.shape
      if (T >= past) return slice(x, [null, [T - past, T]])
      const before = cache.inputs[i] ?? zeros([B, past, channels], { device: x.device })
      return slice(concat([before, x], 1), [null, [T, T + past]])
    })
  }

  /** Key heads [B, T, Hk, K] repeated for the value heads that read them, [B, T, Hv, K]. */
  #toValueHeads(x: Tensor): Tensor {
    const { keyHeads: Hk, valueHeads: Hv, keyWidth: K } = this.config
    if (Hk === Hv) return x
    const [B, T] = x.shape
    return reshape(expand(reshape(x, [B, T, Hk, 1, K]), [B, T, Hk, Hv / Hk, K]), [B, T, Hv, K])
  }

  /** g [B, T, Hv], with rule 'kda' [B, T, Hv, K]; null without decay. */
  #logDecay(x: Tensor): Tensor | null {
    if (!this.decayProjection || !this.decayBias || !this.decayRate) return null
    const { rule, valueHeads: Hv, keyWidth: K } = this.config
    const dt = softplus(add(this.decayProjection.forward(x), this.decayBias))
    const rate = neg(exp(this.decayRate))
    if (rule !== 'kda') return mul(dt, rate)
    const [B, T] = x.shape
    return mul(reshape(dt, [B, T, Hv, K]), reshape(rate, [Hv, 1]))
  }

  #rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | null,
    beta: Tensor,
    options: { mode?: 'recurrent' | 'chunked'; state?: Tensor },
  ): DeltaRuleResult {
    if (g === null) return deltaRule(q, k, v, beta, options)
    return (this.config.rule === 'kda' ? channelDeltaRule : gatedDeltaRule)(q, k, v, g, beta, options)
  }
}
