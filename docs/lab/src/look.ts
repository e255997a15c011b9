/** What the page shows of a model: read from it while it reads one passage. */

import { type DeltaReading, readLayers, readModel } from '../../../src/lab/metrics/readings.ts'
import { activationOf, type LayerReading, scoresOf, sinkOf } from '../../../src/lab/metrics.ts'
import { gatedShape } from '../../../src/nn/gate.ts'
import type { Transformer, TransformerConfig } from '../../../src/nn/index.ts'
import type { RunData } from '../../../src/train/data.ts'
import { ignoredTarget } from '../../../src/train/tasks.ts'
import type { TokenBatch } from '../../../src/train/text.ts'
import type { ArmLook, DeltaLook, LayerSummary } from './protocol.ts'

/** Most likely tokens that are told of a position. */
const guesses = 3

/** Bins of the histogram of gate scores. */
const bins = 20

/** Held-out sequences that are measured for the curves. */
const measuredRows = 4

/**
 * What one arm shows of a passage, at its step.
 *
 * @param passage one row; targets of -100 are not asked for
 * @param asked index of the layer to show whole
 */
export async function lookAt(model: Transformer, passage: TokenBatch, asked: number, step: number): Promise<ArmLook> {
  const { T } = passage
  const { layers, logits } = await readModel(model, passage)
  const layer = Math.min(asked, layers.length - 1)
  const shown = layers[layer]!
  const gateHeads = shown.gateScores ? gateHeadsOf(model.config) : 0
  return {
    step,
    layers: layers.map((reading) => summaryOf(reading, passage)),
    ...predictions(logits, passage),
    layer,
    attention: shown.weights,
    gate: shown.gateScores && byHead(shown.gateScores, T, gateHeads),
    gateHeads,
    histogram: shown.gateScores && scoresOf([shown], bins)!.layers[0]!.counts,
    state: shown.delta && deltaLook(shown.delta, T),
  }
}

/** What is measured for the curves, on a few held-out sequences. */
export async function measure(model: Transformer, data: RunData): Promise<Record<string, number>> {
  const batch = rows(data.heldOut[0]!, 0, measuredRows)
  const layers = await readLayers(model, batch)
  const found: Record<string, number> = { largestActivation: Math.max(...activationOf(layers).perLayer) }
  const attending = layers.filter(({ weights }) => weights)
  if (attending.length > 0) {
    const { mean, uniform } = sinkOf(attending, batch)
    Object.assign(found, { firstToken: mean, firstTokenUniform: uniform })
  }
  const scores = scoresOf(layers, bins)
  if (scores) found.gate = scores.mean
  return found
}

/** Heads that the gate acts on. */
function gateHeadsOf(config: TransformerConfig): number {
  return config.gate === 'none' ? 0 : gatedShape(config.gate, config)[0]
}

/** Rows `from` to `from + count` of a batch, or as many as there are. */
export function rows({ inputs, targets, B, T }: TokenBatch, from: number, count: number): TokenBatch {
  const end = Math.min(B, from + count)
  return { inputs: inputs.slice(from * T, end * T), targets: targets.slice(from * T, end * T), B: end - from, T }
}

function summaryOf(reading: LayerReading, passage: TokenBatch): LayerSummary {
  const activation = activationOf([reading])
  return {
    type: reading.delta ? 'delta' : 'attention',
    firstToken: reading.weights && sinkOf([reading], passage).perLayerHead[0],
    gate: scoresOf([reading], bins)?.mean,
    largestActivation: activation.perLayer[0]!,
    medianActivation: activation.perLayerMedian[0]!,
  }
}

function deltaLook({ beta, decay, state, shape }: DeltaReading, T: number): DeltaLook {
  const [heads] = shape
  return { values: state, shape, beta: byHead(beta, T, heads), decay: decay && byHead(decay, T, heads) }
}

/** Values [T, heads, n] as means over n, [heads, T]. */
function byHead(values: Float32Array, T: number, heads: number): Float32Array {
  const n = values.length / (T * heads)
  const result = new Float32Array(heads * T)
  values.forEach((value, i) => {
    const place = Math.floor(i / n)
    result[(place % heads) * T + Math.floor(place / heads)]! += value / n
  })
  return result
}

/** Losses, and what the model holds likely, from logits [T, V]. */
function predictions(logits: Float32Array, { targets, T }: TokenBatch) {
  const V = logits.length / T
  const losses = new Float32Array(T).fill(Number.NaN)
  const likeliest = new Int32Array(T * guesses)
  const probabilities = new Float32Array(T * guesses)
  let [sum, asked] = [0, 0]
  for (let t = 0; t < T; t++) {
    const row = logits.subarray(t * V, (t + 1) * V)
    const largest = row.reduce((a, b) => Math.max(a, b))
    const logTotal = largest + Math.log(row.reduce((total, x) => total + Math.exp(x - largest), 0))
    const order = Array.from(row.keys()).sort((a, b) => row[b]! - row[a]! || a - b)
    for (let k = 0; k < guesses; k++) {
      // A vocabulary may have fewer tokens than are told: the last one again, with probability 0.
      likeliest[t * guesses + k] = order[Math.min(k, V - 1)]!
      probabilities[t * guesses + k] = k < V ? Math.exp(row[order[k]!]! - logTotal) : 0
    }
    const target = targets[t]!
    if (target === ignoredTarget) continue
    losses[t] = logTotal - row[target]!
    sum += losses[t]!
    asked++
  }
  return { loss: asked > 0 ? sum / asked : Number.NaN, losses, guesses: likeliest, guessProbabilities: probabilities }
}
