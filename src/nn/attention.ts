/**
 * Gated attention as a layer: project, gate where the settings say, normalise, turn, attend, gate, project.
 *
 * Order: q, k, v = projections of x (k and v through the maps that each token chooses, with `switchHead`); a gate at G4, G3, G2
 * on them; RMSNorm of q and k over D; rotary positions; Y = softmax(q k^T / sqrt(D)) v per head; `sdpaPost` on Y; a gate at G1;
 * output projection; a gate at G5.
 * B batch, T time, C width, H heads, KV key-value heads, D head width.
 */
import { noGrad } from '../autograd/tape.ts'
import { applyGate, attention, attentionWeights } from '../ops/attention.ts'
import { silu } from '../ops/functions.ts'
import { expand, reshape } from '../ops/movement.ts'
import { needShape } from '../ops/operands.ts'
import { rope } from '../ops/sequence.ts'
import { zeros } from '../tensor/create.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { KeyValueCache } from './cache.ts'
import { type AttentionConfig, type AttentionConfigInput, attentionConfig } from './config.ts'
import { type GatePosition, gatedShape, gateOptions } from './gate.ts'
import { constantParameter, type DeviceOption } from './initial.ts'
import { Linear, RMSNorm } from './layers.ts'
import { Module } from './module.ts'
import { SwitchHead } from './switch-head.ts'

/** What a layer shows to an observer. The tensors have no history and live no longer than the scope around the call. */
export interface AttentionObservation {
  /** Attention weights after softmax, [B, H, T, S]. */
  readonly weights: Tensor
  /**
   * The gate's scores after its activation: [B, T, heads, D] or, headwise, [B, T, heads, 1], with the heads that it acts
   * on (KV at G2 and G3, 1 at G5); null without a gate.
   */
  readonly gateScores: Tensor | null
  /** Attention's output Y before `sdpaPost` and a gate at G1, [B, T, H, D]. */
  readonly attended: Tensor
  /** The same after both: what the output projection reads. */
  readonly gated: Tensor
}

export interface AttentionForwardOptions {
  /** Keys and values of earlier positions; those of `x` are appended. Nothing is recorded on the tape then. */
  readonly cache?: KeyValueCache
  /** Called with weights and scores, which are computed for it alone. */
  readonly observe?: (seen: AttentionObservation) => void
}

export class GatedAttention extends Module {
  readonly config: AttentionConfig
  /** [H D, C] */
  readonly queryProjection: Linear
  /** [KV D, C]; with `switchHead` for keys, maps and a router. */
  readonly keyProjection: Linear | SwitchHead
  /** [KV D, C]; with `switchHead`, maps and a router. */
  readonly valueProjection: Linear | SwitchHead
  /** [heads D, C] elementwise, [heads, C] headwise, for the heads that the gate acts on. */
  readonly gateProjection: Linear | null
  /** Scores of a gate without input, before activation: [heads, D] or [heads, 1], 0 at the start. */
  readonly gateLogits: Tensor | null
  /** Over D. */
  readonly queryNorm: RMSNorm | null
  readonly keyNorm: RMSNorm | null
  /** `sdpaPost: 'headRmsNorm'`: over D, one weight for all heads. */
  readonly headNorm: RMSNorm | null
  /** [C, H D] */
  readonly outputProjection: Linear

  /**
   * @throws SluiceError for unknown or wrong settings
   *
   * @example
   * const layer = new GatedAttention({ width: 64, heads: 4, keyValueHeads: 2, gate: 'headwise' })
   * layer.forward(randn([2, 10, 64])).shape // [2, 10, 64]
   */
  constructor(settings: AttentionConfigInput, options: DeviceOption = {}) {
    super()
    const config = attentionConfig(settings)
    const { width: C, heads: H, keyValueHeads: KV, headWidth: D, gate, bias, initStd: std, eps } = config
    const headNorm = () => new RMSNorm(D, { ...options, eps, zeroCentred: config.zeroCentredNorm })
    this.config = config
    this.queryProjection = new Linear(C, H * D, { ...options, bias, std })
    const { switchHead, gateStd: routerStd } = config
    const keyOrValue = (isSwitched: boolean) =>
      switchHead && isSwitched
        ? new SwitchHead({ width: C, heads: KV, headWidth: D, ...switchHead }, { ...options, bias, std, routerStd })
        : new Linear(C, KV * D, { ...options, bias, std })
    this.keyProjection = keyOrValue(switchHead?.maps === 'keyValue')
    this.valueProjection = keyOrValue(switchHead !== null)
    this.gateProjection = null
    this.gateLogits = null
    if (gate !== 'none') {
      const [heads, wide] = gatedShape(gate, config)
      const each = gate.grain === 'headwise' ? 1 : wide
      if (gate.input === 'none') this.gateLogits = constantParameter([heads, each], 0, options)
      else this.gateProjection = new Linear(C, heads * each, { ...options, bias, std: config.gateStd })
    }
    this.queryNorm = config.queryKeyNorm ? headNorm() : null
    this.keyNorm = config.queryKeyNorm ? headNorm() : null
    this.headNorm = config.sdpaPost === 'headRmsNorm' ? headNorm() : null
    this.outputProjection = new Linear(H * D, C, { ...options, bias, std: config.outputStd })
  }

  /** x [B, T, C] to [B, T, C]; x is the normed input, which the gate reads too. */
  forward(x: Tensor, options: AttentionForwardOptions = {}): Tensor {
    return options.cache ? noGrad(() => this.#forward(x, options)) : this.#forward(x, options)
  }

  #forward(x: Tensor, { cache, observe }: AttentionForwardOptions): Tensor {
    const { width: C, heads: H, keyValueHeads: KV, headWidth: D, causal } = this.config
    const [B, T] = x.shape
    needShape('GatedAttention', 'x', x, [B, T, C], 'B, T, C')
    const gate = this.#gate(x)
    const split = (projection: Linear | SwitchHead, heads: number) => reshape(projection.forward(x), [B, T, heads, D])
    const q = this.#turned(this.#gatedAt('G4', split(this.queryProjection, H), gate), this.queryNorm, cache)
    let k = this.#turned(this.#gatedAt('G3', split(this.keyProjection, KV), gate), this.keyNorm, cache)
    let v = this.#gatedAt('G2', split(this.valueProjection, KV), gate)
    if (cache) ({ keys: k, values: v } = cache.append(k, v))
    const gated = this.#attended(q, k, v, gate)
    if (observe) {
      noGrad(() =>
        observe({
          weights: attentionWeights(q, k, { causal }),
          gateScores: this.#scores(gate, B, T),
          attended: attention(q, k, v, { causal }),
          gated: gated.detach(),
        }),
      )
    }
    const y = this.outputProjection.forward(reshape(gated, [B, T, H * D]))
    if (!this.#gateIsAt('G5')) return y
    return reshape(this.#gatedAt('G5', reshape(y, [B, T, 1, C]), gate), [B, T, C])
  }

  #gateIsAt(position: GatePosition): boolean {
    return this.config.gate !== 'none' && this.config.gate.position === position
  }

  /** Scores before activation, in a shape that `applyGate` takes; null without a gate. */
  #gate(x: Tensor): Tensor | null {
    if (this.gateLogits) return this.gateLogits
    const { gate } = this.config
    if (gate === 'none' || !this.gateProjection) return null
    const [B, T] = x.shape
    const [heads, width] = gatedShape(gate, this.config)
    return reshape(this.gateProjection.forward(x), gate.grain === 'headwise' ? [B, T, heads] : [B, T, heads, width])
  }

  /** `y` [B, T, heads, width], gated if this is the gate's position. */
  #gatedAt(position: GatePosition, y: Tensor, gate: Tensor | null): Tensor {
    const { gate: settings } = this.config
    if (!gate || settings === 'none' || settings.position !== position) return y
    return applyGate(y, gate, gateOptions(settings))
  }

  /** Queries or keys, normed and turned to their positions. */
  #turned(x: Tensor, norm: RMSNorm | null, cache: KeyValueCache | undefined): Tensor {
    const normed = norm ? norm.forward(x) : x
    const { rope: settings } = this.config
    return settings ? rope(normed, { ...settings, offset: cache?.length ?? 0 }) : normed
  }

  /** Attention's output with `sdpaPost` and a gate at G1, [B, T, H, D]. */
  #attended(q: Tensor, k: Tensor, v: Tensor, gate: Tensor | null): Tensor {
    const { gate: settings, sdpaPost, causal } = this.config
    if (gate && settings !== 'none' && settings.position === 'G1' && sdpaPost === 'none') {
      const { act, op, shared } = settings
      return attention(q, k, v, { causal, gate, gateAct: act, gateOp: op, gateShared: shared })
    }
    const y = attention(q, k, v, { causal })
    const post = this.headNorm ? this.headNorm.forward(y) : sdpaPost === 'silu' ? silu(y) : y
    return this.#gatedAt('G1', post, gate)
  }

  /** The activated scores: a gate added to zeros. */
  #scores(gate: Tensor | null, B: number, T: number): Tensor | null {
    const { gate: settings } = this.config
    if (!gate || settings === 'none') return null
    const [heads, width] = gatedShape(settings, this.config)
    const shape = [B, T, heads, settings.grain === 'headwise' ? 1 : width]
    const blank = expand(zeros([1, 1, 1, 1], { device: gate.device }), shape)
    return applyGate(blank, gate, { ...gateOptions(settings), op: 'add' })
  }
}
