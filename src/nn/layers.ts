/** The small layers: Linear, LowRank, Embedding, RMSNorm. */
import type { Activation } from '../../kernels/fused-linear.ts'
import { embedding } from '../ops/indexing.ts'
import { linear } from '../ops/linear.ts'
import { rmsNorm } from '../ops/norm.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { constantParameter, type DeviceOption, normalParameter } from './initial.ts'
import { Module } from './module.ts'

/** How a linear layer starts, and whether it has a bias. */
export interface LinearOptions extends DeviceOption {
  /** Add a bias, 0 at the start; false unless given. */
  readonly bias?: boolean
  /** Standard deviation of the initial weight; 0.02 unless given. */
  readonly std?: number
}

/** x [..., inFeatures] to x W^T + b [..., outFeatures]. */
export class Linear extends Module {
  /** [outFeatures, inFeatures], as PyTorch lays it out; read transposed in place. */
  readonly weight: Tensor
  /** [outFeatures] */
  readonly bias: Tensor | null

  /**
   * @example
   * new Linear(64, 256).forward(randn([8, 64])).shape // [8, 256]
   */
  constructor(inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super()
    const { bias = false, std = 0.02 } = options
    this.weight = normalParameter([outFeatures, inFeatures], std, options)
    this.bias = bias ? constantParameter([outFeatures], 0, options) : null
  }

  /** x [..., inFeatures] to [..., outFeatures]. @param activation of the result, in the same launch where the device can; none unless given */
  forward(x: Tensor, activation: Activation = 'identity'): Tensor {
    return linear(x, this.weight, { bias: this.bias, activation })
  }
}

/** x [..., inFeatures] to (x D^T) U^T [..., outFeatures], through `rank` features: a map of low rank. */
export class LowRank extends Module {
  /** D [rank, inFeatures] */
  readonly down: Linear
  /** U [outFeatures, rank] */
  readonly up: Linear

  constructor(inFeatures: number, rank: number, outFeatures: number, options: Omit<LinearOptions, 'bias'> = {}) {
    super()
    this.down = new Linear(inFeatures, rank, options)
    this.up = new Linear(rank, outFeatures, options)
  }

  /** x [..., inFeatures] to [..., outFeatures]. @param activation of the result; none unless given */
  forward(x: Tensor, activation: Activation = 'identity'): Tensor {
    return this.up.forward(this.down.forward(x), activation)
  }
}

/** How a table starts. */
export interface EmbeddingOptions extends DeviceOption {
  /** Standard deviation of the initial rows; 0.02 unless given. */
  readonly std?: number
}

/** int32 indices [...] to rows of a table, [..., C]. */
export class Embedding extends Module {
  /** [V, C] */
  readonly weight: Tensor

  constructor(vocabularySize: number, width: number, options: EmbeddingOptions = {}) {
    super()
    this.weight = normalParameter([vocabularySize, width], options.std ?? 0.02, options)
  }

  /** int32 indices [...] to [..., C]. */
  forward(indices: Tensor): Tensor {
    return embedding(this.weight, indices)
  }
}

/** How a norm scales. */
export interface RMSNormOptions extends DeviceOption {
  /** 1e-6 unless given. */
  readonly eps?: number
  /** Scale by 1 + weight with the weight 0 at the start, as Qwen3-Next does; false unless given. */
  readonly zeroCentred?: boolean
}

/** x / sqrt(mean(x^2) + eps) times the weight (or 1 + weight), over the last axis: [..., C] to [..., C]. */
export class RMSNorm extends Module {
  /** [C], 1 at the start, or 0 when zero-centred. */
  readonly weight: Tensor
  /** Added to the mean square. */
  readonly eps: number
  /** Whether it scales by 1 + weight. */
  readonly zeroCentred: boolean

  constructor(width: number, options: RMSNormOptions = {}) {
    super()
    const { eps = 1e-6, zeroCentred = false } = options
    this.weight = constantParameter([width], zeroCentred ? 0 : 1, options)
    this.eps = eps
    this.zeroCentred = zeroCentred
  }

  /** x [..., C] to [..., C]. */
  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, { eps: this.eps, zeroCentred: this.zeroCentred })
  }
}
