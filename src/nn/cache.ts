/** What attention remembers between steps of generation. */
import { concat } from '../ops/parts.ts'
import { zeros } from '../tensor/create.ts'
import { liveWith } from '../tensor/lifetime.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** Keys (after their norm and rotary positions) and values of one layer, [B, S, KV, D] each, without history. */
export class KeyValueCache {
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

  /** Adds the next positions and gives all. The tensors belong to the cache. */
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

  dispose(): void {
    this.#keys?.dispose()
    this.#values?.dispose()
    this.#keys = this.#values = null
    this.#anchor.dispose()
  }
}

/** One cache a layer. */
export class TransformerCache {
  readonly layers: readonly KeyValueCache[]

  constructor(layers: number, device?: string) {
    this.layers = Array.from({ length: layers }, () => new KeyValueCache(device))
  }

  /** Number of positions held. */
  get length(): number {
    return this.layers[0]?.length ?? 0
  }

  dispose(): void {
    for (const layer of this.layers) layer.dispose()
  }
}
