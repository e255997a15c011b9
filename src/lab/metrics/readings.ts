/**
 * What a model shows of its layers, read into host memory once, for all measures.
 *
 * B batch, T time, H heads, D head width, C model width; A is the attention after softmax, rows are queries i, columns keys j.
 */
import { noGrad } from '../../autograd/tape.ts'
import { SluiceError } from '../../errors.ts'
import type { Transformer } from '../../nn/index.ts'
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
}

/** The tensors of one layer that are read; each under the name that it has in the reading. */
type Shown = Partial<Record<'weights' | 'gateScores' | 'output' | 'attended' | 'gated', Tensor>>

/**
 * Runs a model on a batch and reads what each layer shows.
 *
 * @example
 * const layers = await readLayers(model, batch)
 * sinkOf(layers, batch).mean
 */
export async function readLayers(model: Transformer, { inputs, B, T }: TokenBatch): Promise<LayerReading[]> {
  const seen: Shown[] = []
  // The observed tensors live as long as the scope around the call, so they are returned from it.
  scope(() =>
    noGrad(() => {
      model.forward(tensor(inputs, { shape: [B, T], device: model.device }), {
        observe: (layer) => {
          if (layer.type === 'delta') return void seen.push({ output: layer.hidden })
          const { weights, gateScores, attended, gated, hidden: output } = layer
          seen.push({ weights, gateScores: gateScores ?? undefined, attended, gated, output })
        },
      })
      return seen
    }),
  )
  const readings: LayerReading[] = []
  for (const shown of seen) {
    const read = async (name: keyof Shown) => {
      const t = shown[name]
      if (!t) return undefined
      const values = Float32Array.from(await t.data())
      t.dispose()
      return values
    }
    const heads = shown.weights?.shape[1] ?? 0
    readings.push({
      weights: await read('weights'),
      gateScores: await read('gateScores'),
      output: (await read('output'))!,
      heads,
      attended: await read('attended'),
      gated: await read('gated'),
    })
  }
  return readings
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
