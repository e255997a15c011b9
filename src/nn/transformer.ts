/**
 * The language model: embeddings, blocks, a norm, a head. Tokens [B, T] in, logits [B, T, V] out.
 */
import { noGrad } from '../autograd/tape.ts'
import { SluiceError, showShape } from '../errors.ts'
import { add, mul } from '../ops/elementwise.ts'
import { matmul } from '../ops/matmul.ts'
import { needRank } from '../ops/operands.ts'
import { slice } from '../ops/parts.ts'
import { dropout } from '../ops/sequence.ts'
import { crossEntropy } from '../ops/softmax.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { Block, type BlockObservation } from './block.ts'
import { TransformerCache } from './cache.ts'
import { hasExperts, type TransformerConfig, type TransformerConfigInput, transformerConfig } from './config.ts'
import { loadBalancingLoss, type Routing, routerZLoss } from './experts.ts'
import type { DeviceOption } from './initial.ts'
import { Embedding, Linear, RMSNorm } from './layers.ts'
import { Module } from './module.ts'
import { NextToken } from './next-token.ts'

/**
 * What a model shows to an observer, once a layer, by the type of the layer; see `AttentionObservation` for how long the
 * tensors live.
 */
export type LayerObservation = BlockObservation & {
  /** Index of the layer, from 0. */
  readonly layer: number
}

/** What a call of the model may take beside its tokens. */
export interface ForwardOptions {
  /** Earlier positions, from `createCache`; those of `tokens` are appended. Nothing is recorded on the tape then. */
  readonly cache?: TransformerCache
  /** Dropout is only at work when training; false unless given. */
  readonly training?: boolean
  /** Called once a layer with what it shows. */
  readonly observe?: (seen: LayerObservation) => void
  /** Called once for each layer with experts, with how its tokens were shared out. */
  readonly routed?: (routing: Routing) => void
  /**
   * Takes the scores of a layer's gate, activated, and gives those that are used in their place: what a trained gate does is seen
   * when it is held at 1, at its mean or at 0. Shapes as in `AttentionIntervention`.
   */
  readonly gateScores?: (scores: Tensor, layer: number) => Tensor
  /** Base of the rotary positions in place of the config's, for reading further than in training. */
  readonly ropeBase?: number
}

/** What a loss may take beside tokens and targets. */
export interface LossOptions extends Omit<ForwardOptions, 'cache'> {
  /** Positions with this target do not count. */
  readonly ignoreIndex?: number
}

export class Transformer extends Module {
  /** All settings, defaults included: JSON that builds the same model again. */
  readonly config: TransformerConfig
  /** [V, C] */
  readonly tokenEmbedding: Embedding
  /** [contextLength, C]; only with learned positions. */
  readonly positionEmbedding: Embedding | null
  /** In the order of the residual stream. */
  readonly layers: readonly Block[]
  /** Over C, before the head. */
  readonly norm: RMSNorm
  /** [V, C]; null when tied to `tokenEmbedding`. */
  readonly head: Linear | null
  /** Predicts the token after next, in training; null without multi-token prediction. */
  readonly nextToken: NextToken | null

  /**
   * @throws SluiceError for unknown or wrong settings
   *
   * @example
   * manualSeed(1)
   * const model = new Transformer({ vocabularySize: 65, width: 128, layers: 4, heads: 4, gate: 'elementwise' })
   * const loss = model.loss(tokens, targets)
   */
  constructor(settings: TransformerConfigInput, options: DeviceOption = {}) {
    super()
    const config = transformerConfig(settings)
    const { vocabularySize, width, initStd: std } = config
    this.config = config
    this.tokenEmbedding = new Embedding(vocabularySize, width, { ...options, std })
    this.positionEmbedding =
      config.position === 'learned' ? new Embedding(config.contextLength, width, { ...options, std }) : null
    this.layers = config.layerTypes.map(
      (type, layer) => new Block(config, { ...options, type, experts: hasExperts(config, layer) }),
    )
    this.norm = new RMSNorm(width, { ...options, eps: config.eps, zeroCentred: config.zeroCentredNorm })
    this.head = config.tied ? null : new Linear(width, vocabularySize, { ...options, std })
    this.nextToken = config.multiTokenPrediction ? new NextToken(config, options) : null
    this.namedTensors()
  }

  /**
   * Logits [B, T, V] of the tokens that follow.
   *
   * @param tokens int32 [B, T]
   * @throws SluiceError when the positions exceed the learned ones
   */
  forward(tokens: Tensor, options: ForwardOptions = {}): Tensor {
    return options.cache ? noGrad(() => this.#forward(tokens, options)) : this.#forward(tokens, options)
  }

  #forward(tokens: Tensor, options: ForwardOptions): Tensor {
    return this.#logits(this.norm.forward(this.#hidden(tokens, options)))
  }

  /** The residual stream after the last layer, [B, T, C]. */
  #hidden(tokens: Tensor, { cache, training = false, observe, routed, gateScores, ropeBase }: ForwardOptions): Tensor {
    needRank('Transformer', 'tokens', tokens, 2, 'B, T')
    this.#checkCache(cache)
    const p = training ? this.config.dropout : 0
    const embedded = this.#positioned(this.tokenEmbedding.forward(tokens), cache?.length ?? 0)
    let x = p > 0 ? dropout(embedded, p) : embedded
    this.layers.forEach((block, layer) => {
      x = block.forward(x, {
        cache: cache?.layers[layer],
        training,
        observe: observe && ((seen) => observe({ layer, ...seen })),
        routed,
        gateScores: gateScores && ((scores) => gateScores(scores, layer)),
        ropeBase,
      })
    })
    return x
  }

  #logits(normed: Tensor): Tensor {
    return this.head ? this.head.forward(normed) : matmul(normed, this.tokenEmbedding.weight, { transposeB: true })
  }

  #checkCache(cache: TransformerCache | undefined): void {
    if (!cache) return
    if (cache.layers.length !== this.layers.length) {
      throw new SluiceError(
        'Transformer',
        `the cache has ${cache.layers.length} layers, the model ${this.layers.length}; make it with model.createCache()`,
      )
    }
    const other = cache.layers.findIndex(({ type }, i) => type !== this.layers[i].type)
    if (other >= 0) {
      throw new SluiceError(
        'Transformer',
        `layer ${other} is '${this.layers[other].type}', the cache has '${cache.layers[other].type}' there; make it with model.createCache()`,
      )
    }
  }

  /** x [B, T, C] with the learned positions offset … offset + T - 1 added, if the model has them. */
  #positioned(x: Tensor, offset: number): Tensor {
    if (!this.positionEmbedding) return x
    const end = offset + x.shape[1]
    const { contextLength } = this.config
    if (end > contextLength) {
      throw new SluiceError(
        'Transformer',
        `${end} positions (${offset} cached, embeddings ${showShape(x.shape)}) exceed the contextLength of ${contextLength} learned ones; shorten the tokens, or use position 'rope'`,
      )
    }
    return add(x, slice(this.positionEmbedding.weight, [[offset, end]]))
  }

  /**
   * Mean cross-entropy in nats over all positions, of shape [].
   *
   * When training, a model with experts adds their load-balancing loss and z-loss, and one with multi-token prediction the
   * cross-entropy of the token after next, each times its coefficient in the config.
   *
   * @param tokens int32 [B, T]
   * @param targets int32 [B, T]: the token that follows each
   * @throws SluiceError for a single position when training with multi-token prediction: it has no token after next
   */
  loss(tokens: Tensor, targets: Tensor, { ignoreIndex, ...options }: LossOptions = {}): Tensor {
    if (!options.training) return crossEntropy(this.forward(tokens, options), targets, { ignoreIndex })
    const { experts, multiTokenPrediction: prediction } = this.config
    const routings: Routing[] = []
    const routed = (routing: Routing): void => {
      routings.push(routing)
      options.routed?.(routing)
    }
    const watched = { ...options, routed: experts || options.routed ? routed : undefined }
    const hidden = this.#hidden(tokens, watched)
    const terms = [crossEntropy(this.#logits(this.norm.forward(hidden)), targets, { ignoreIndex })]
    if (this.nextToken && prediction && prediction.weight > 0) {
      const logits = this.#afterNext(this.nextToken, tokens, hidden, watched)
      const later = slice(targets, [null, [1, targets.shape[1]]])
      terms.push(mul(crossEntropy(logits, later, { ignoreIndex }), prediction.weight))
    }
    if (experts && routings.length > 0) {
      if (experts.loadBalance > 0) terms.push(mul(loadBalancingLoss(routings), experts.loadBalance))
      if (experts.zLoss > 0) terms.push(mul(routerZLoss(routings), experts.zLoss))
    }
    return terms.reduce(add)
  }

  /** Logits [B, T - 1, V] of the token after next, at all positions that have a next token. */
  #afterNext(nextToken: NextToken, tokens: Tensor, hidden: Tensor, { training, routed }: ForwardOptions): Tensor {
    const T = tokens.shape[1]
    if (T < 2) {
      throw new SluiceError(
        'Transformer',
        `multiTokenPrediction needs at least 2 positions, got ${showShape(tokens.shape)}`,
      )
    }
    const next = this.tokenEmbedding.forward(slice(tokens, [null, [1, T]]))
    return this.#logits(nextToken.forward(next, slice(hidden, [null, [0, T - 1]]), { training, routed }))
  }

  /** Name of the device that holds the model. */
  get device(): string {
    return this.tokenEmbedding.weight.device
  }

  /** An empty cache for generation; dispose it, or make it inside a scope. */
  createCache(): TransformerCache {
    return new TransformerCache(this.config.layerTypes, this.tokenEmbedding.weight.device)
  }
}
