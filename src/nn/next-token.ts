/**
 * Multi-token prediction: one more block that predicts the token after next from the hidden state and the next token.
 *
 *   h' = block(projection [embeddingNorm(embedding of t_{i+1}) ; hiddenNorm(h_i)]),    logits of t_{i+2} = head(norm(h'))
 *
 * (DeepSeek-V3, arXiv 2412.19437, section 2.2; the embedding first, as in Qwen3-Next's checkpoints.) h is the residual stream
 * after the last layer, before the model's final norm; embedding and head are the model's own.
 */
import { concat } from '../ops/parts.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { Block, type BlockForwardOptions } from './block.ts'
import type { TransformerConfig } from './config.ts'
import type { DeviceOption } from './initial.ts'
import { Linear, RMSNorm } from './layers.ts'
import { Module } from './module.ts'

export class NextToken extends Module {
  /** Over C, of the next token's embedding. */
  readonly embeddingNorm: RMSNorm
  /** Over C, of the hidden state. */
  readonly hiddenNorm: RMSNorm
  /** [C, 2 C] */
  readonly projection: Linear
  /** Attention, with experts if the model has any. */
  readonly block: Block
  /** Over C, before the head. */
  readonly norm: RMSNorm

  constructor(config: TransformerConfig, options: DeviceOption = {}) {
    super()
    const { width, eps, zeroCentredNorm: zeroCentred } = config
    const norm = () => new RMSNorm(width, { ...options, eps, zeroCentred })
    this.embeddingNorm = norm()
    this.hiddenNorm = norm()
    this.projection = new Linear(2 * width, width, { ...options, std: config.initStd })
    this.block = new Block(config, { ...options, experts: config.experts !== null })
    this.norm = norm()
  }

  /** What the head reads, [B, T, C], from embeddings of the next tokens and hidden states, [B, T, C] each. */
  forward(embedded: Tensor, hidden: Tensor, options: Omit<BlockForwardOptions, 'cache'> = {}): Tensor {
    const joined = concat([this.embeddingNorm.forward(embedded), this.hiddenNorm.forward(hidden)], -1)
    return this.norm.forward(this.block.forward(this.projection.forward(joined), options))
  }
}
