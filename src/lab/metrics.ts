/**
 * What the paper measures on a trained model: the attention sink, the gate's scores, massive activations.
 *
 * A is the attention after softmax, [B, H, T, T] a layer; rows are queries i, columns keys j.
 */
import { noGrad } from '../autograd/tape.ts'
import { SluiceError } from '../errors.ts'
import type { Transformer } from '../nn/index.ts'
import { tensor } from '../tensor/create.ts'
import { scope, type Tensor } from '../tensor/tensor.ts'
import type { TokenBatch } from '../train/text.ts'

/** One layer's observation, read into host memory. */
export interface LayerReading {
  /** [B, H, T, T], row-major; undefined in a delta layer, which has no attention. */
  readonly weights: Float32Array | undefined
  /** Activated gate scores of attention, in any shape; undefined without a gate and in a delta layer. */
  readonly gateScores: Float32Array | undefined
  /** The layer's output, after both residual additions, [B, T, C]. */
  readonly output: Float32Array
  /** H, heads of attention; 0 in a delta layer. */
  readonly heads: number
}

/** Runs a model on a batch and reads what each layer shows. */
export async function readLayers(model: Transformer, { inputs, B, T }: TokenBatch): Promise<LayerReading[]> {
  const seen: { weights?: Tensor; gateScores?: Tensor | null; output: Tensor }[] = []
  // The observed tensors live as long as the scope around the call, so they are returned from it.
  scope(() =>
    noGrad(() => {
      model.forward(tensor(inputs, { shape: [B, T], device: model.device }), {
        observe: (layer) =>
          layer.type === 'attention'
            ? seen.push({ weights: layer.weights, gateScores: layer.gateScores, output: layer.hidden })
            : seen.push({ output: layer.hidden }),
      })
      return seen
    }),
  )
  const read = async (t: Tensor) => Float32Array.from(await t.data())
  const readings: LayerReading[] = []
  for (const { weights, gateScores, output } of seen) {
    readings.push({
      weights: weights && (await read(weights)),
      gateScores: gateScores ? await read(gateScores) : undefined,
      output: await read(output),
      heads: weights?.shape[1] ?? 0,
    })
    weights?.dispose()
    gateScores?.dispose()
    output.dispose()
  }
  return readings
}

export interface AttentionSink {
  /** Mean attention on the first token, by layer and head; an empty list for a delta layer. */
  readonly perLayerHead: number[][]
  /** The mean of these: F-Attn in the paper's table 4. */
  readonly mean: number
  /** What uniform causal attention gives: H_n / n, H_n the n-th harmonic number. */
  readonly uniform: number
  /** (mean - uniform) / (1 - uniform): 0 for uniform attention, 1 for all of it on the first token. */
  readonly corrected: number
}

/**
 * Attention on the first token, averaged over batch, queries, heads and layers.
 *
 * Gated Attention, NeurIPS 2025, section 4.3; the uniform share is subtracted because at short contexts it is not small
 * (0.074 at 64 tokens).
 *
 * @throws SluiceError when no layer has attention
 *
 * @example
 * const { mean, corrected } = await attentionSink(model, batch)
 */
export async function attentionSink(model: Transformer, batch: TokenBatch): Promise<AttentionSink> {
  return sinkOf(await readLayers(model, batch), batch)
}

/** What uniform causal attention over T positions gives the first: H_T / T, H_T the T-th harmonic number. */
export function uniformShare(T: number): number {
  let share = 0
  for (let i = 1; i <= T; i++) share += 1 / i / T
  return share
}

export function sinkOf(layers: readonly LayerReading[], { B, T }: { B: number; T: number }): AttentionSink {
  if (!layers.some(({ weights }) => weights)) {
    throw new SluiceError(
      'attentionSink',
      `none of the ${layers.length} layers has attention; there is no sink to measure`,
    )
  }
  const perLayerHead = layers.map(({ weights = new Float32Array(), heads }) =>
    Array.from({ length: heads }, (_, h) => {
      let sum = 0
      for (let b = 0; b < B; b++) {
        for (let i = 0; i < T; i++) sum += weights[((b * heads + h) * T + i) * T]
      }
      return sum / (B * T)
    }),
  )
  const all = perLayerHead.flat()
  const mean = all.reduce((a, b) => a + b, 0) / all.length
  const uniform = uniformShare(T)
  // One token attends to itself whatever happens: there is nothing to correct.
  const corrected = uniform < 1 ? (mean - uniform) / (1 - uniform) : 0
  return { perLayerHead, mean, uniform, corrected }
}

export interface GateScores {
  /** Counts of scores in equal bins on [0, 1], by layer that has a gate; scores outside go to the nearest bin. */
  readonly layers: { layer: number; counts: number[]; mean: number }[]
  readonly mean: number
  readonly shareBelowTenth: number
  readonly shareAboveNineTenths: number
}

/** The distribution of the gate's scores; undefined for a model without a gate. */
export async function gateScores(model: Transformer, batch: TokenBatch, bins = 20): Promise<GateScores | undefined> {
  return scoresOf(await readLayers(model, batch), bins)
}

export function scoresOf(layers: readonly LayerReading[], bins = 20): GateScores | undefined {
  if (!(Number.isInteger(bins) && bins >= 1)) {
    throw new SluiceError('gateScores', `bins must be a positive integer, got ${bins}`)
  }
  const scored = layers.flatMap(({ gateScores: scores }, layer) => (scores ? [{ layer, scores }] : []))
  if (scored.length === 0) return undefined
  const total = scored.reduce((n, { scores }) => n + scores.length, 0)
  const share = (test: (s: number) => boolean) =>
    scored.reduce((n, { scores }) => n + scores.reduce((k, s) => k + (test(s) ? 1 : 0), 0), 0) / total
  const perLayer = scored.map(({ layer, scores }) => {
    const counts = new Array<number>(bins).fill(0)
    let sum = 0
    for (const s of scores) {
      counts[Math.min(bins - 1, Math.max(0, Math.floor(s * bins)))]++
      sum += s
    }
    return { layer, counts, mean: sum / scores.length, sum }
  })
  return {
    layers: perLayer.map(({ layer, counts, mean }) => ({ layer, counts, mean })),
    mean: perLayer.reduce((a, { sum }) => a + sum, 0) / total,
    shareBelowTenth: share((s) => s < 0.1),
    shareAboveNineTenths: share((s) => s > 0.9),
  }
}

/** Largest absolute value of each layer's output, and their mean over layers: M-Act in the paper's table 4. */
export async function massiveActivation(
  model: Transformer,
  batch: TokenBatch,
): Promise<{ perLayer: number[]; mean: number }> {
  return activationOf(await readLayers(model, batch))
}

export function activationOf(layers: readonly LayerReading[]): { perLayer: number[]; mean: number } {
  const perLayer = layers.map(({ output }) => output.reduce((most, x) => Math.max(most, Math.abs(x)), 0))
  return { perLayer, mean: perLayer.reduce((a, b) => a + b, 0) / perLayer.length }
}
