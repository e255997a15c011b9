/** The position-wise layer of a block: SwiGLU, W_down (silu(W_gate x) ⊙ W_up x), or GELU, W_down gelu(W_up x). */
import { mul } from '../ops/elementwise.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { DeviceOption } from './initial.ts'
import { Linear } from './layers.ts'
import { Module } from './module.ts'

/** What kind of feed-forward it is, and how it starts. */
export interface FeedForwardOptions extends DeviceOption {
  /** 'swiglu' unless given (Shazeer 2020, equation 6). */
  readonly kind?: 'swiglu' | 'gelu'
  /** Standard deviation of initial weights; 0.02 unless given. */
  readonly std?: number
  /** The same of the last projection; `std` unless given. */
  readonly outputStd?: number
}

/** x [..., width] to [..., width], through [..., hidden]. */
export class FeedForward extends Module {
  /** down(silu(gate x) ⊙ up x), or down(gelu(up x)). */
  readonly kind: 'swiglu' | 'gelu'
  /** [hidden, width]; only in SwiGLU. */
  readonly gateProjection: Linear | null
  /** [hidden, width] */
  readonly upProjection: Linear
  /** [width, hidden] */
  readonly downProjection: Linear

  constructor(width: number, hidden: number, options: FeedForwardOptions = {}) {
    super()
    const { kind = 'swiglu', std = 0.02, outputStd = std, device } = options
    this.kind = kind
    this.gateProjection = kind === 'swiglu' ? new Linear(width, hidden, { device, std }) : null
    this.upProjection = new Linear(width, hidden, { device, std })
    this.downProjection = new Linear(hidden, width, { device, std: outputStd })
  }

  /** x [..., width] to [..., width]. */
  forward(x: Tensor): Tensor {
    const up = this.upProjection.forward(x, this.gateProjection ? 'identity' : 'gelu')
    return this.downProjection.forward(this.gateProjection ? mul(this.gateProjection.forward(x, 'silu'), up) : up)
  }
}
