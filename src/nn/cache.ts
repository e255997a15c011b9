/** What layers remember between steps of generation. */
import { concat } from '../ops/parts.ts'
import { zeros } from '../tensor/create.ts'
import { liveWith } from '../tensor/lifetime.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** Keys (after their norm and rotary positions) and values of one attention layer, [B, S, KV, D] each, without history. */
export class KeyValueCache {
  /** The type of layer that it belongs to. */
  readonly type = 'attention'
  #keys: Tensor | null = null
  #values: Tensor | null = null
  /** Holds the place of the cache among lifetimes: what is appended inside a scope lives as long as this. */
  readonly #anchor: Tensor

  constructor(device?: string) {
    this.#anchor = zeros([0], { device })
  }

  /** S, the number of positions held. */
  get length(): number {
    return this.#keys?.shape[1] ?? 0
  }

  /** Adds the next positions, [B, T, KV, D] each, and gives all, [B, S, KV, D]. The tensors belong to the cache. */
  append(keys: Tensor, values: Tensor): { keys: Tensor; values: Tensor } {
    this.#keys = this.#joined(this.#keys, keys)
    this.#values = this.#joined(this.#values, values)
    return { keys: this.#keys, values: this.#values }
  }

  #joined(old: Tensor | null, next: Tensor): Tensor {
    const joined = old ? concat([old, next], 1).detach() : next.detach()
    liveWith(joined, this.#anchor)
    old?.dispose()
    return joined
  }

  /** Frees its tensors. */
  dispose(): void {
    this.#keys?.dispose()
    this.#values?.dispose()
    this.#keys = this.#values = null
    this.#anchor.dispose()
  }
}

/** What one delta layer remembers: its memory and the last inputs of its convolution. Its size does not grow with time. */
export class DeltaCache {
  /** The type of layer that it belongs to. */
  readonly type = 'delta'
  #length = 0
  #state: Tensor | null = null
  #inputs: readonly Tensor[] = []
  /** As in `KeyValueCache`. */
  readonly #anchor: Tensor

  constructor(device?: string) {
    this.#anchor = zeros([0], { device })
  }

  /** The number of positions that went in. */
  get length(): number {
    return this.#length
  }

  /** The memory, [B, Hv, K, V]; null before the first position. */
  get state(): Tensor | null {
    return this.#state
  }

  /** The last W - 1 inputs of the convolution of queries, keys and values, [B, W - 1, channels] each; empty at first. */
  get inputs(): readonly Tensor[] {
    return this.#inputs
  }

  /** Takes over `state` and `inputs`, of the shapes above, after `steps` more positions. The cache keeps tensors of its own. */
  advance(steps: number, state: Tensor, inputs: readonly Tensor[]): void {
    const old = [this.#state, ...this.#inputs]
    this.#state = this.#kept(state)
    this.#inputs = inputs.map((t) => this.#kept(t))
    this.#length += steps
    for (const t of old) t?.dispose()
  }

  #kept(t: Tensor): Tensor {
    const own = t.detach()
    liveWith(own, this.#anchor)
    return own
  }

  /** Frees its tensors. */
  dispose(): void {
    for (const t of [this.#state, ...this.#inputs]) t?.dispose()
    this.#state = null
    this.#inputs = []
    this.#anchor.dispose()
  }
}

/** What one layer remembers in generation, by its type. */
export type LayerCache = KeyValueCache | DeltaCache

/** One cache a layer, of the layer's type. */
export class TransformerCache {
  /** In the order of the model's layers. */
  readonly layers: readonly LayerCache[]

  constructor(layerTypes: readonly LayerCache['type'][], device?: string) {
    this.layers = layerTypes.map((type) => (type === 'delta' ? new DeltaCache(device) : new KeyValueCache(device)))
  }

  /** Number of positions held. */
  get length(): number {
    return this.layers[0]?.length ?? 0
  }

  /** Frees the tensors of all layers. */
  dispose(): void {
    for (const layer of this.layers) layer.dispose()
  }
}
