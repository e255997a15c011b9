/**
 * What a model shows of its layers, read into host memory once, for all measures.
 *
 * B batch, T time, H heads, D head width, C model width; A is the attention after softmax, rows are queries i, columns keys j.
 */
import { noGrad } from '../../autograd/tape.ts'
import { SluiceError } from '../../errors.ts'
import type { LayerObservation, Transformer } from '../../nn/index.ts'
import { tensor } from '../../tensor/create.ts'
import { scope, type Tensor } from '../../tensor/tensor.ts'
import type { TokenBatch } from '../../train/text.ts'

/** One layer's observation, read into host memory. */
export interface LayerReading {
  /** A, [B, H, T, T], row-major; undefined in a delta layer, which has no attention. */
  readonly weights: Float32Array | undefined
  /** Activated gate scores of attention, in any shape; undefined without a gate and in a delta layer. */
  readonly gateScores: Float32Array | undefined
  /** The layer's output, after both residual additions, [B, T, C]. */
  readonly output: Float32Array
  /** H, heads of attention; 0 in a delta layer. */
  readonly heads: number
  /** Y, attention's output before a gate at G1, [B, T, H, D]; undefined in a delta layer, or when it was not read. */
  readonly attended?: Float32Array
  /** Y', the same after it: what the output projection reads. */
  readonly gated?: Float32Array
  /** What a delta layer shows instead; undefined in an attention layer. */
  readonly delta?: DeltaReading
}

/** `DeltaObservation`, read into host memory. */
export interface DeltaReading {
  /** [B, T, Hv] */
  readonly beta: Float32Array
  /** [B, T, Hv], with rule 'kda' [B, T, Hv, K]; undefined with rule 'delta'. */
  readonly decay: Float32Array | undefined
  /** After the last step, [B, Hv, K, V]. */
  readonly state: Float32Array
  /** [Hv, K, V] */
  readonly shape: readonly [heads: number, keys: number, values: number]
}

/** What a model made of a batch: all layers, and what it holds likely to follow. */
export interface ModelReading {
  readonly layers: LayerReading[]
  /** [B, T, V] */
  readonly logits: Float32Array
}

/**
 * Runs a model on a batch and reads what each layer shows.
 *
 * @example
 * const layers = await readLayers(model, batch)
 * layers.length // 2, one a layer
 */
export async function readLayers(model: Transformer, batch: TokenBatch): Promise<LayerReading[]> {
  const { seen, logits } = observe(model, batch)
  logits.dispose()
  return readAll(seen)
}

/**
 * The same with the logits.
 *
 * @example
 * const { layers, logits } = await readModel(model, batch)
 */
export async function readModel(model: Transformer, batch: TokenBatch): Promise<ModelReading> {
  const { seen, logits } = observe(model, batch)
  const layers = await readAll(seen)
  return { layers, logits: await take(logits) }
}

/** The observed tensors live as long as the scope around the call, so they are returned from it. */
function observe(model: Transformer, { inputs, B, T }: TokenBatch): { seen: LayerObservation[]; logits: Tensor } {
  return scope(() =>
    noGrad(() => {
      const seen: LayerObservation[] = []
      const tokens = tensor(inputs, { shape: [B, T], device: model.device })
      const logits = model.forward(tokens, { observe: (layer) => seen.push(layer) })
      return { seen, logits }
    }),
  )
}

async function readAll(seen: readonly LayerObservation[]): Promise<LayerReading[]> {
  const readings: LayerReading[] = []
  for (const layer of seen) readings.push(await readLayer(layer))
  return readings
}

async function readLayer(layer: LayerObservation): Promise<LayerReading> {
  if (layer.type === 'delta') {
    const { beta, decay, state, hidden } = layer
    const [, heads, keys, values] = state.shape
    const delta: DeltaReading = {
      beta: await take(beta),
      decay: decay ? await take(decay) : undefined,
      state: await take(state),
      shape: [heads, keys, values],
    }
    return { weights: undefined, gateScores: undefined, output: await take(hidden), heads: 0, delta }
  }
  const { weights, gateScores, attended, gated, hidden } = layer
  return {
    heads: weights.shape[1],
    weights: await take(weights),
    gateScores: gateScores ? await take(gateScores) : undefined,
    output: await take(hidden),
    attended: await take(attended),
    gated: await take(gated),
  }
}

/** The values of a tensor, which is freed. */
async function take(t: Tensor): Promise<Float32Array> {
  const values = Float32Array.from(await t.data())
  t.dispose()
  return values
}

/** The layers with attention. @throws SluiceError when there are none */
export function needAttention(
  operation: string,
  layers: readonly LayerReading[],
): (LayerReading & { readonly weights: Float32Array })[] {
  const found = layers.filter((layer) => layer.weights !== undefined)
  if (found.length > 0) return found as (LayerReading & { readonly weights: Float32Array })[]
  throw new SluiceError(operation, `none of the ${layers.length} layers has attention; there is nothing to measure`)
}
