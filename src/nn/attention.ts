/**
 * Gated attention as a layer: project, gate where the settings say, normalise, turn, attend, gate, project.
 *
 * Order: q, k, v = projections of x (k and v through the maps that each token chooses, with `switchHead`); a gate at G4, G3, G2
 * on them; RMSNorm of q and k over D; rotary positions; Y = softmax(q k^T / sqrt(D)) v per head; `sdpaPost` on Y; a gate at G1;
 * output projection; a gate at G5.
 * B batch, T time, C width, H heads, KV key-value heads, D head width.
 */
import { noGrad } from '../autograd/tape.ts'
import { SluiceError, showShape } from '../errors.ts'
import { applyGate, attention, attentionWeights, type GateOptions } from '../ops/attention.ts'
import { silu } from '../ops/functions.ts'
import { expand, reshape } from '../ops/movement.ts'
import { needShape } from '../ops/operands.ts'
import { rope } from '../ops/sequence.ts'
import { zeros } from '../tensor/create.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { KeyValueCache } from './cache.ts'
import { type AttentionConfig, type AttentionConfigInput, attentionConfig } from './config.ts'
import { type GateConfig, type GatePosition, gatedShape, gateOptions } from './gate.ts'
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
  /** The same after both, [B, T, H, D]: what the output projection reads. */
  readonly gated: Tensor
}

/** What changes the layer for one call. */
export interface AttentionIntervention {
  /**
   * Takes the gate's scores after activation, [B, T, heads, D] or [B, T, heads, 1] as in `AttentionObservation`, and gives those that
   * are used in their place: of the same shape, or one that broadcasts to it. Not called without a gate.
   */
  readonly gateScores?: (scores: Tensor) => Tensor
  /** Base of the rotary positions in place of the config's; without rotary positions it changes nothing. */
  readonly ropeBase?: number
}

/** What a call of the layer may take beside its input. */
export interface AttentionForwardOptions extends AttentionIntervention {
  /** Keys and values of earlier positions; those of `x` are appended. Nothing is recorded on the tape then. */
  readonly cache?: KeyValueCache
  /** Called with weights and scores, which are computed for it alone. */
  readonly observe?: (seen: AttentionObservation) => void
}

/** A gate at work on one input: what `applyGate` takes beside what it gates. */
interface Gate {
  readonly logits: Tensor
  readonly options: GateOptions
}

export class GatedAttention extends Module {
  /** All settings, defaults included. */
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
  /** Over D; null without `queryKeyNorm`. */
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

  #forward(x: Tensor, { cache, observe, gateScores, ropeBase }: AttentionForwardOptions): Tensor {
    const { width: C, heads: H, keyValueHeads: KV, headWidth: D, causal } = this.config
    const [B, T] = x.shape
    needShape('GatedAttention', 'x', x, [B, T, C], 'B, T, C')
    const gate = this.#gate(x, gateScores)
    const split = (projection: Linear | SwitchHead, heads: number) => reshape(projection.forward(x), [B, T, heads, D])
    const q = this.#turned(this.#gatedAt('G4', split(this.queryProjection, H), gate), this.queryNorm, cache, ropeBase)
    let k = this.#turned(this.#gatedAt('G3', split(this.keyProjection, KV), gate), this.keyNorm, cache, ropeBase)
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

  /** The gate of x, with `replace` at work on its scores; null without a gate. */
  #gate(x: Tensor, replace: ((scores: Tensor) => Tensor) | undefined): Gate | null {
    const { gate: settings } = this.config
    if (settings === 'none') return null
    const [B, T] = x.shape
    const gate = { logits: this.#gateLogits(x, settings), options: gateOptions(settings) }
    return replace ? this.#replaced(gate, replace, B, T) : gate
  }

  /** Scores before activation, in a shape that `applyGate` takes. */
  #gateLogits(x: Tensor, gate: GateConfig): Tensor {
    if (this.gateLogits) return this.gateLogits
    const [B, T] = x.shape
    const [heads, width] = gatedShape(gate, this.config)
    return reshape(this.gateProjection!.forward(x), gate.grain === 'headwise' ? [B, T, heads] : [B, T, heads, width])
  }

  /** A gate of other scores: they are activated, and shared, already. */
  #replaced(gate: Gate, replace: (scores: Tensor) => Tensor, B: number, T: number): Gate {
    const scores = this.#scores(gate, B, T)!
    const logits = replace(scores)
    if (logits.rank !== 4 || logits.shape.some((n, axis) => n !== 1 && n !== scores.shape[axis])) {
      throw new SluiceError(
        'GatedAttention',
        `gateScores must give ${showShape(scores.shape)}, or what broadcasts to it, got ${showShape(logits.shape)}`,
      )
    }
    return { logits, options: { act: 'identity', op: gate.options.op } }
  }

  /** `y` [B, T, heads, width], gated if this is the gate's position. */
  #gatedAt(position: GatePosition, y: Tensor, gate: Gate | null): Tensor {
    return gate && this.#gateIsAt(position) ? applyGate(y, gate.logits, gate.options) : y
  }

  /** Queries or keys, normed and turned to their positions. */
  #turned(x: Tensor, norm: RMSNorm | null, cache: KeyValueCache | undefined, base: number | undefined): Tensor {
    const normed = norm ? norm.forward(x) : x
    const { rope: settings } = this.config
    if (!settings) return normed
    return rope(normed, { dims: settings.dims, base: base ?? settings.base, offset: cache?.length ?? 0 })
  }

  /** Attention's output with `sdpaPost` and a gate at G1, [B, T, H, D]. */
  #attended(q: Tensor, k: Tensor, v: Tensor, gate: Gate | null): Tensor {
    const { sdpaPost, causal } = this.config
    if (gate && this.#gateIsAt('G1') && sdpaPost === 'none') {
      const { act, op, shared } = gate.options
      return attention(q, k, v, { causal, gate: gate.logits, gateAct: act, gateOp: op, gateShared: shared })
    }
    const y = attention(q, k, v, { causal })
    const post = this.headNorm ? this.headNorm.forward(y) : sdpaPost === 'silu' ? silu(y) : y
    return this.#gatedAt('G1', post, gate)
  }

  /** The activated scores: a gate added to zeros. */
  #scores(gate: Gate | null, B: number, T: number): Tensor | null {
    const { gate: settings } = this.config
    if (!gate || settings === 'none') return null
    const [heads, width] = gatedShape(settings, this.config)
    const shape = [B, T, heads, settings.grain === 'headwise' ? 1 : width]
    const blank = expand(zeros([1, 1, 1, 1], { device: gate.logits.device }), shape)
    return applyGate(blank, gate.logits, { ...gate.options, op: 'add' })
  }
}
