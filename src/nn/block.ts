/**
 * One layer of a transformer on its residual stream x [B, T, C]: x += attention(norm x); x += feedForward(norm x).
 *
 * With sandwich norm each branch is normalised again before it is added (Ding et al. 2021); `clip` bounds it before that.
 */
import { add } from '../ops/elementwise.ts'
import { clamp } from '../ops/functions.ts'
import { dropout } from '../ops/sequence.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type AttentionObservation, GatedAttention } from './attention.ts'
import type { KeyValueCache } from './cache.ts'
import type { TransformerConfig } from './config.ts'
import { FeedForward } from './feed-forward.ts'
import type { DeviceOption } from './initial.ts'
import { RMSNorm } from './layers.ts'
import { Module } from './module.ts'

/** What a block shows to an observer; see `AttentionObservation` for how long the tensors live. */
export interface BlockObservation extends AttentionObservation {
  /** The residual stream after the block, [B, T, C]. */
  readonly hidden: Tensor
}

export interface BlockForwardOptions {
  readonly cache?: KeyValueCache
  /** Dropout is only at work when training; false unless given. */
  readonly training?: boolean
  readonly observe?: (seen: BlockObservation) => void
}

export class Block extends Module {
  readonly attentionNorm: RMSNorm
  readonly attention: GatedAttention
  readonly attentionOutputNorm: RMSNorm | null
  readonly feedForwardNorm: RMSNorm
  readonly feedForward: FeedForward
  readonly feedForwardOutputNorm: RMSNorm | null
  readonly #clip: number | null
  readonly #dropout: number

  /** A layer of the model that `config` describes; output projections start smaller by 1 / sqrt(2 layers). */
  constructor(config: TransformerConfig, options: DeviceOption = {}) {
    super()
    const { width, initStd: std, eps, zeroCentredNorm: zeroCentred } = config
    const outputStd = std / Math.sqrt(2 * config.layers)
    const norm = () => new RMSNorm(width, { ...options, eps, zeroCentred })
    const outputNorm = () => (config.norm === 'sandwich' ? norm() : null)
    this.attentionNorm = norm()
    this.attention = new GatedAttention(
      {
        width,
        heads: config.heads,
        keyValueHeads: config.keyValueHeads,
        headWidth: config.headWidth,
        gate: config.gate,
        gateStd: config.gateStd,
        sdpaPost: config.sdpaPost,
        queryKeyNorm: config.queryKeyNorm,
        zeroCentredNorm: zeroCentred,
        eps,
        initStd: std,
        outputStd,
        rope: config.position === 'rope' ? config.rope : null,
      },
      options,
    )
    this.attentionOutputNorm = outputNorm()
    this.feedForwardNorm = norm()
    this.feedForward = new FeedForward(width, config.feedForwardWidth, {
      ...options,
      kind: config.feedForward,
      std,
      outputStd,
    })
    this.feedForwardOutputNorm = outputNorm()
    this.#clip = config.clip
    this.#dropout = config.dropout
  }

  /** x [B, T, C] to [B, T, C]. */
  forward(x: Tensor, { cache, training = false, observe }: BlockForwardOptions = {}): Tensor {
    let seen: AttentionObservation | undefined
    const look = observe && ((of: AttentionObservation) => void (seen = of))
    const attended = this.attention.forward(this.attentionNorm.forward(x), { cache, observe: look })
    const between = add(x, this.#branch(attended, this.attentionOutputNorm, training))
    const fed = this.feedForward.forward(this.feedForwardNorm.forward(between))
    const y = add(between, this.#branch(fed, this.feedForwardOutputNorm, training))
    if (observe && seen) observe({ ...seen, hidden: y.detach() })
    return y
  }

  /** A branch as it is added to the residual stream. */
  #branch(y: Tensor, norm: RMSNorm | null, training: boolean): Tensor {
    const bounded = this.#clip === null ? y : clamp(y, -this.#clip, this.#clip)
    const normed = norm ? norm.forward(bounded) : bounded
    return training && this.#dropout > 0 ? dropout(normed, this.#dropout) : normed
  }
}
