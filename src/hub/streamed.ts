/**
 * Models larger than memory: the forward pass layer by layer, with one layer's weights at a time on the device.
 *
 *   x = rows of the embedding, for the tokens that occur;   x = layer(x), each loaded, used and freed;
 *   logits of a block of the vocabulary = norm(x) W_block^T
 *
 * B batch, T time, C width, V vocabulary. Every pass reads the files once; what is in memory is one layer or one block.
 */
import { noGrad } from '../autograd/tape.ts'
import { defaultDevice, findDevice } from '../device/registry.ts'
import { SluiceError } from '../errors.ts'
import { Block, type BlockObservation } from '../nn/block.ts'
import { hasExperts, type TransformerConfig } from '../nn/config.ts'
import { type DeviceOption, withoutDrawing } from '../nn/initial.ts'
import { RMSNorm } from '../nn/layers.ts'
import type { LayerObservation } from '../nn/transformer.ts'
import { gather } from '../ops/indexing.ts'
import { linear } from '../ops/linear.ts'
import { matmul } from '../ops/matmul.ts'
import { needRank } from '../ops/operands.ts'
import { concat } from '../ops/parts.ts'
import { logsumexp } from '../ops/reduce.ts'
import { tensor } from '../tensor/create.ts'
import { sizeOf } from '../tensor/shape.ts'
import { fromData, scope, type Tensor } from '../tensor/tensor.ts'
import { type Checkpoint, fill, type LeftOut, openCheckpoint } from './checkpoint.ts'
import { allWeights } from './families/decoder.ts'

/** Where a streamed model computes, and how much it holds at once. */
export interface OpenPretrainedOptions extends DeviceOption {
  /** 'visual': leave out the weights of a part that sees images. Those of multi-token prediction are never read here. */
  readonly ignore?: readonly LeftOut[]
  /**
   * Rows of the vocabulary that are on the device at once; 4096 unless given. Other numbers may give logits that differ in
   * their last bits, where a block's last columns are added up in another order.
   */
  readonly vocabularyBlock?: number
}

export interface StreamedForwardOptions {
  readonly observe?: (seen: LayerObservation) => void
}

/**
 * Opens a model in a folder, as `loadPretrained` takes it, without loading it.
 *
 * @throws SluiceError as `loadPretrained` does
 *
 * @example
 * const model = await openPretrained('Qwen3-8B')
 * const loss = await model.loss(tokens, targets)
 * await model.close()
 */
export async function openPretrained(
  folder: string,
  options: OpenPretrainedOptions = {},
): Promise<StreamedTransformer> {
  const { ignore = [], vocabularyBlock = 4096, device = defaultDevice().name } = options
  if (!Number.isInteger(vocabularyBlock) || vocabularyBlock < 1) {
    throw new SluiceError('openPretrained', `vocabularyBlock must be an integer from 1, got ${vocabularyBlock}`)
  }
  findDevice(device)
  const checkpoint = await openCheckpoint('openPretrained', folder, [...ignore, 'mtp'])
  return new StreamedTransformer(checkpoint, device, vocabularyBlock)
}

/** A model whose weights stay in their files. Nothing is recorded on the tape. */
export class StreamedTransformer {
  /** All settings of the model. */
  readonly config: TransformerConfig
  /** Name of the device that computes. */
  readonly device: string
  readonly #checkpoint: Checkpoint
  readonly #vocabularyBlock: number

  /** Made by `openPretrained`. */
  constructor(checkpoint: Checkpoint, device: string, vocabularyBlock: number) {
    this.config = checkpoint.config
    this.device = device
    this.#checkpoint = checkpoint
    this.#vocabularyBlock = vocabularyBlock
  }

  /**
   * Logits [B, T, V] of the tokens that follow; they are the caller's to dispose.
   *
   * @param tokens int32 [B, T]
   * @throws SluiceError for a token outside the vocabulary
   */
  async forward(tokens: Tensor, options: StreamedForwardOptions = {}): Promise<Tensor> {
    const hidden = await this.#hidden(tokens, options)
    const blocks: Tensor[] = []
    try {
      await this.#eachBlock(hidden, (logits) => void blocks.push(logits))
      return scope(() => concat(blocks, -1))
    } finally {
      for (const t of [hidden, ...blocks]) t.dispose()
    }
  }

  /**
   * Mean cross-entropy in nats over all positions, without all logits in memory.
   *
   * @param tokens int32 [B, T]
   * @param targets int32 [B, T]: the token that follows each
   * @param options `ignoreIndex`: positions with this target do not count; NaN when none is left
   * @throws SluiceError when the shapes of tokens and targets differ, and for a token outside the vocabulary
   */
  async loss(
    tokens: Tensor,
    targets: Tensor,
    options: StreamedForwardOptions & { readonly ignoreIndex?: number } = {},
  ): Promise<number> {
    const { vocabularySize: V } = this.config
    const wanted = await targets.data()
    const isCounted = (target: number): boolean => target !== options.ignoreIndex
    const wrong = wanted.findIndex((target: number) => isCounted(target) && !(target >= 0 && target < V))
    if (targets.shape.join() !== tokens.shape.join() || wrong >= 0) {
      throw new SluiceError(
        'StreamedTransformer',
        wrong >= 0
          ? `target ${wanted[wrong]} at position ${wrong} is out of range; expected 0 to ${V - 1}`
          : `expected targets of the shape of tokens, [${tokens.shape.join(', ')}], got [${targets.shape.join(', ')}]`,
      )
    }
    const hidden = await this.#hidden(tokens, options)
    // log of the sum of exponentials so far, and the target's logit, in double precision on the host.
    const total = new Float64Array(wanted.length).fill(Number.NEGATIVE_INFINITY)
    const chosen = new Float64Array(wanted.length)
    try {
      await this.#eachBlock(hidden, async (logits, begin, end) => {
        const inside = (target: number): boolean => target >= begin && target < end
        const places = Int32Array.from(wanted, (target) => (inside(target) ? target - begin : 0))
        const [sums, picked] = scope(() => {
          const at = tensor(places, { shape: [...targets.shape, 1], device: this.device })
          return [logsumexp(logits, { axis: -1 }), gather(logits, at, -1)]
        })
        const [sumValues, pickedValues] = [await sums.data(), await picked.data()]
        for (const t of [logits, sums, picked]) t.dispose()
        for (let i = 0; i < wanted.length; i++) {
          const most = Math.max(total[i], sumValues[i])
          total[i] = most + Math.log(Math.exp(total[i] - most) + Math.exp(sumValues[i] - most))
          if (inside(wanted[i])) chosen[i] = pickedValues[i]
        }
      })
    } finally {
      hidden.dispose()
    }
    let [sum, count] = [0, 0]
    for (let i = 0; i < wanted.length; i++) {
      if (!isCounted(wanted[i])) continue
      sum += total[i] - chosen[i]
      count++
    }
    return sum / count
  }

  /** Number of values in the weights, as `Transformer` counts them; those for the token after next are left out. */
  get parameterCount(): number {
    return allWeights({ ...this.#checkpoint.weights, nextToken: [] })
      .flatMap(({ file }) => file)
      .reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  }

  /** Closes the files. */
  close(): Promise<void> {
    return this.#checkpoint.reader.close()
  }

  /** What the head reads, [B, T, C]. */
  async #hidden(tokens: Tensor, { observe }: StreamedForwardOptions): Promise<Tensor> {
    needRank('StreamedTransformer', 'tokens', tokens, 2, 'B, T')
    let x = await this.#embedded(tokens)
    for (const layer of this.config.layerTypes.keys()) {
      const look = observe && ((seen: BlockObservation) => observe({ layer, ...seen }))
      x = await this.#through(
        x,
        () => this.#block(layer),
        this.#checkpoint.weights.layers[layer],
        `layers.${layer}.`,
        (block, x) => block.forward(x, { observe: look }),
      )
    }
    const { width, eps, zeroCentredNorm: zeroCentred } = this.config
    const norm = () => new RMSNorm(width, { device: this.device, eps, zeroCentred })
    return this.#through(x, norm, [this.#checkpoint.weights.norm], 'norm.', (norm, x) => norm.forward(x))
  }

  #block(layer: number): Block {
    const { config, device } = this
    return new Block(config, { device, type: config.layerTypes[layer], experts: hasExperts(config, layer) })
  }

  /** Makes a module, loads it, gives it x, and frees both. */
  async #through<M extends Block | RMSNorm>(
    x: Tensor,
    make: () => M,
    maps: Parameters<typeof fill>[2],
    prefix: string,
    forward: (module: M, x: Tensor) => Tensor,
  ): Promise<Tensor> {
    const module = withoutDrawing(make)
    try {
      const targets = new Map([...module.namedTensors()].map(([name, t]) => [prefix + name, t]))
      await fill('StreamedTransformer', targets, maps, this.#checkpoint.reader)
      return scope(() => noGrad(() => forward(module, x)))
    } finally {
      module.dispose()
      x.dispose()
    }
  }

  /** Rows of the embedding [B, T, C]; of the table only those are read that occur. */
  async #embedded(tokens: Tensor): Promise<Tensor> {
    const { vocabularySize: V, width: C } = this.config
    const { reader, weights } = this.#checkpoint
    const [{ name }] = weights.embedding.file
    const ids = await tokens.data()
    const wrong = ids.findIndex((id: number) => !(id >= 0 && id < V))
    if (wrong >= 0) {
      throw new SluiceError(
        'StreamedTransformer',
        `token ${ids[wrong]} at position ${wrong} is out of range; expected 0 to ${V - 1}`,
      )
    }
    const places = new Map<number, number[]>()
    ids.forEach((id: number, at: number) => {
      const list = places.get(id)
      if (list) list.push(at)
      else places.set(id, [at])
    })
    const values = new Float64Array(ids.length * C)
    for (const [id, list] of places) {
      const { data } = await reader.read(name, { rows: [id, id + 1] })
      for (const at of list) values.set(data, at * C)
    }
    const device = findDevice(this.device)
    return fromData(values, [...tokens.shape, C], device.floatType, device)
  }

  /** Calls `use` with the logits [B, T, end - begin] of the vocabulary's rows from `begin` to `end`, block after block. */
  async #eachBlock(
    hidden: Tensor,
    use: (logits: Tensor, begin: number, end: number) => void | Promise<void>,
  ): Promise<void> {
    const { vocabularySize: V, width: C, tied } = this.config
    const { reader, weights } = this.#checkpoint
    const [{ name }] = (weights.head ?? weights.embedding).file
    const device = findDevice(this.device)
    for (let begin = 0; begin < V; begin += this.#vocabularyBlock) {
      const end = Math.min(V, begin + this.#vocabularyBlock)
      const { data } = await reader.read(name, { rows: [begin, end] })
      const logits = scope(() =>
        noGrad(() => {
          const rows = fromData(data, [end - begin, C], device.floatType, device)
          // The same operation as the model's own head, for the same bits.
          return tied ? matmul(hidden, rows, { transposeB: true }) : linear(hidden, rows)
        }),
      )
      await use(logits, begin, end)
    }
  }
}
