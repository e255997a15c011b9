/**
 * One layer of a transformer on its residual stream x [B, T, C]: x += mixer(norm x); x += feedForward(norm x).
 *
 * The mixer is attention or the delta rule; a mixture of experts may take the place of the feed-forward. With sandwich norm
 * each branch is normalised again before it is added (Ding et al. 2021); `clip` bounds it before that.
 */
import { SluiceError } from '../errors.ts'
import { add } from '../ops/elementwise.ts'
import { clamp } from '../ops/functions.ts'
import { dropout } from '../ops/sequence.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type AttentionIntervention, type AttentionObservation, GatedAttention } from './attention.ts'
import type { DeltaCache, KeyValueCache, LayerCache } from './cache.ts'
import type { LayerType, TransformerConfig } from './config.ts'
import { type DeltaObservation, GatedDeltaNet } from './delta-net.ts'
import { MixtureOfExperts, type Routing } from './experts.ts'
import { FeedForward } from './feed-forward.ts'
import type { DeviceOption } from './initial.ts'
import { RMSNorm } from './layers.ts'
import { Module } from './module.ts'

interface Hidden {
  /** The residual stream after the block, [B, T, C]. */
  readonly hidden: Tensor
}

/**
 * What a block shows to an observer, by the `type` of its mixer; see `AttentionObservation` for how long the tensors live.
 */
export type BlockObservation =
  | ({ readonly type: 'attention' } & AttentionObservation & Hidden)
  | ({ readonly type: 'delta' } & DeltaObservation & Hidden)

type MixerObservation =
  | ({ readonly type: 'attention' } & AttentionObservation)
  | ({ readonly type: 'delta' } & DeltaObservation)

/** What the options of `AttentionIntervention` change is attention's: a delta layer stays as it is. */
export interface BlockForwardOptions extends AttentionIntervention {
  /** What the mixer remembers of earlier positions. Nothing is recorded on the tape then. */
  readonly cache?: LayerCache
  /** Dropout is only at work when training; false unless given. */
  readonly training?: boolean
  /** Called with what the mixer shows. */
  readonly observe?: (seen: BlockObservation) => void
  /** Called with how the experts' tokens were shared out, if the block has experts. */
  readonly routed?: (routing: Routing) => void
}

/** What kind of block it is. */
export interface BlockOptions extends DeviceOption {
  /** 'attention' unless given. */
  readonly type?: LayerType
  /** Experts in place of the feed-forward, as the config's `experts` describes them; false unless given. */
  readonly experts?: boolean
}

export class Block extends Module {
  /** Over C, before the mixer. */
  readonly mixerNorm: RMSNorm
  /** null in a delta layer */
  readonly attention: GatedAttention | null
  /** null in an attention layer */
  readonly delta: GatedDeltaNet | null
  /** Over C, after the mixer; null unless the config's `norm` is 'sandwich'. */
  readonly mixerOutputNorm: RMSNorm | null
  /** Over C, before the feed-forward. */
  readonly feedForwardNorm: RMSNorm
  /** null with experts */
  readonly feedForward: FeedForward | null
  /** In place of the feed-forward; null without. */
  readonly experts: MixtureOfExperts | null
  /** Over C, after the feed-forward; null unless the config's `norm` is 'sandwich'. */
  readonly feedForwardOutputNorm: RMSNorm | null
  readonly #clip: number | null
  readonly #dropout: number

  /** A layer of the model that `config` describes; output projections start smaller by 1 / sqrt(2 layers). */
  constructor(config: TransformerConfig, { type = 'attention', experts = false, ...options }: BlockOptions = {}) {
    super()
    const { width, initStd: std, eps, zeroCentredNorm: zeroCentred } = config
    const outputStd = std / Math.sqrt(2 * config.layers)
    const norm = () => new RMSNorm(width, { ...options, eps, zeroCentred })
    const outputNorm = () => (config.norm === 'sandwich' ? norm() : null)
    this.mixerNorm = norm()
    this.attention = type === 'attention' ? attentionOf(config, outputStd, options) : null
    this.delta =
      type === 'delta' ? new GatedDeltaNet({ ...config.delta, width, eps, initStd: std, outputStd }, options) : null
    this.mixerOutputNorm = outputNorm()
    this.feedForwardNorm = norm()
    this.feedForward = null
    this.experts = null
    if (experts) this.experts = expertsOf(config, outputStd, options)
    else {
      const kind = config.feedForward
      this.feedForward = new FeedForward(width, config.feedForwardWidth, { ...options, kind, std, outputStd })
    }
    this.feedForwardOutputNorm = outputNorm()
    this.#clip = config.clip
    this.#dropout = config.dropout
  }

  /** What mixes the positions. */
  get type(): LayerType {
    return this.delta ? 'delta' : 'attention'
  }

  /** x [B, T, C] to [B, T, C]. */
  forward(x: Tensor, { cache, training = false, observe, routed, ...intervention }: BlockForwardOptions = {}): Tensor {
    let seen: MixerObservation | undefined
    const look = observe && ((of: MixerObservation) => void (seen = of))
    const mixed = this.#mixed(this.mixerNorm.forward(x), cache, look, intervention)
    const between = add(x, this.#branch(mixed, this.mixerOutputNorm, training))
    const normed = this.feedForwardNorm.forward(between)
    const fed = this.experts ? this.experts.forward(normed, { routed }) : this.feedForward!.forward(normed)
    const y = add(between, this.#branch(fed, this.feedForwardOutputNorm, training))
    if (observe && seen) observe({ ...seen, hidden: y.detach() })
    return y
  }

  #mixed(
    x: Tensor,
    cache: LayerCache | undefined,
    look: ((of: MixerObservation) => void) | undefined,
    intervention: AttentionIntervention,
  ): Tensor {
    if (cache && cache.type !== this.type) {
      throw new SluiceError('Block', `a layer of type '${this.type}' got a cache for '${cache.type}'`)
    }
    if (this.delta) {
      const observe = look && ((of: DeltaObservation) => look({ type: 'delta', ...of }))
      return this.delta.forward(x, { cache: cache as DeltaCache | undefined, observe })
    }
    const observe = look && ((of: AttentionObservation) => look({ type: 'attention', ...of }))
    return this.attention!.forward(x, { ...intervention, cache: cache as KeyValueCache | undefined, observe })
  }

  /** A branch as it is added to the residual stream. */
  #branch(y: Tensor, norm: RMSNorm | null, training: boolean): Tensor {
    const bounded = this.#clip === null ? y : clamp(y, -this.#clip, this.#clip)
    const normed = norm ? norm.forward(bounded) : bounded
    return training && this.#dropout > 0 ? dropout(normed, this.#dropout) : normed
  }
}

function attentionOf(config: TransformerConfig, outputStd: number, options: DeviceOption): GatedAttention {
  return new GatedAttention(
    {
      width: config.width,
      heads: config.heads,
      keyValueHeads: config.keyValueHeads,
      headWidth: config.headWidth,
      gate: config.gate,
      gateStd: config.gateStd,
      switchHead: config.switchHead,
      sdpaPost: config.sdpaPost,
      queryKeyNorm: config.queryKeyNorm,
      bias: config.bias,
      zeroCentredNorm: config.zeroCentredNorm,
      eps: config.eps,
      initStd: config.initStd,
      outputStd,
      rope: config.position === 'rope' ? config.rope : null,
    },
    options,
  )
}

function expertsOf(config: TransformerConfig, outputStd: number, options: DeviceOption): MixtureOfExperts {
  if (!config.experts) throw new SluiceError('Block', 'a block with experts needs them in the config')
  const { count, active, width, sharedWidth, normalise } = config.experts
  const settings = { modelWidth: config.width, count, active, width, sharedWidth, normalise }
  return new MixtureOfExperts({ ...settings, initStd: config.initStd, outputStd }, options)
}
