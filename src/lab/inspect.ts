/**
 * A look into a model while it reads a text: per layer and head the attention on the first token, the gate's scores and
 * the largest activation. Layer by layer, so that a model larger than memory can be looked into as it streams.
 */
import { SluiceError } from '../errors.ts'
import type { LayerObservation } from '../nn/index.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { ReportRun } from '../train/report/data.ts'
import { activationOf, type LayerReading, scoresOf, sinkOf, uniformShare } from './metrics.ts'

/** What is kept of a layer when its tensors are gone. */
export interface LayerSummary {
  readonly type: LayerObservation['type']
  /** Mean attention on the first token, by head; none in a delta layer. */
  readonly firstToken: readonly number[]
  /** Scores of the gate: their mean by head that it acts on, and over all how they are spread. */
  readonly gate?: {
    readonly perHead: readonly number[]
    readonly mean: number
    /** Standard deviation over all. */
    readonly deviation: number
    readonly counts: readonly number[]
    readonly shareBelowTenth: number
    readonly shareAboveNineTenths: number
    readonly size: number
  }
  /** Largest absolute value of the layer's output. */
  readonly largest: number
  /** Attention by head among the first tokens of the first row, row-major. */
  readonly maps: readonly Float32Array[]
}

/** Positions whose attention is kept as a map. */
export const mapTokens = 48

const read = (t: Tensor): Float32Array => Float32Array.from(t.dataNow())

/**
 * The summary of what one layer shows.
 *
 * @throws SluiceError on a device that cannot be read at once: its tensors would be gone before the values came
 */
export function summariseLayer(seen: LayerObservation): LayerSummary {
  const { hidden } = seen
  if (!['cpu', 'reference'].includes(hidden.device)) {
    throw new SluiceError('summariseLayer', `the model is on ${hidden.device}; look into it on cpu or reference`)
  }
  const [B, T] = hidden.shape
  const isAttention = seen.type === 'attention'
  const scores = isAttention ? seen.gateScores : null
  const reading: LayerReading = {
    weights: isAttention ? read(seen.weights) : undefined,
    gateScores: scores ? read(scores) : undefined,
    output: read(hidden),
    heads: isAttention ? seen.weights.shape[1] : 0,
  }
  return {
    type: seen.type,
    firstToken: isAttention ? sinkOf([reading], { B, T }).perLayerHead[0] : [],
    gate: scores ? gateSummary(reading.gateScores!, scores.shape) : undefined,
    largest: activationOf([reading]).perLayer[0],
    maps: reading.weights ? firstMaps(reading.weights, reading.heads, T) : [],
  }
}

/** @param shape [B, T, heads, width] */
function gateSummary(scores: Float32Array, shape: readonly number[]): LayerSummary['gate'] {
  const [, , heads, width] = shape
  const sums = new Float64Array(heads)
  for (let i = 0; i < scores.length; i++) sums[Math.floor(i / width) % heads] += scores[i]
  const reading = { weights: undefined, gateScores: scores, output: new Float32Array(), heads }
  const { layers, mean, shareBelowTenth, shareAboveNineTenths } = scoresOf([reading])!
  return {
    perHead: Array.from(sums, (sum) => (sum * heads) / scores.length),
    mean,
    deviation: layers[0].deviation,
    counts: layers[0].counts,
    shareBelowTenth,
    shareAboveNineTenths,
    size: scores.length,
  }
}

function firstMaps(weights: Float32Array, heads: number, T: number): Float32Array[] {
  const n = Math.min(T, mapTokens)
  return Array.from({ length: heads }, (_, h) => {
    const map = new Float32Array(n * n)
    for (let i = 0; i < n; i++) map.set(weights.subarray((h * T + i) * T, (h * T + i) * T + n), i * n)
    return map
  })
}

/** One model and what it showed. */
export interface Inspection {
  readonly name: string
  readonly parameters: number
  /** Mean cross-entropy on the text, in nats a token. */
  readonly loss: number
  /** T, the length of each sequence read. */
  readonly length: number
  /** The first tokens as text, `mapTokens` at most. */
  readonly tokens: readonly string[]
  readonly layers: readonly LayerSummary[]
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

/** The figures of a model over all its layers; of attention undefined where no layer has any. */
export function totals({ layers, length }: Inspection) {
  const heads = layers.flatMap(({ firstToken }) => firstToken)
  const uniform = uniformShare(length)
  const first = heads.length > 0 ? mean(heads) : undefined
  const gates = layers.flatMap(({ gate }) => gate ?? [])
  const size = gates.reduce((sum, gate) => sum + gate.size, 0)
  const over = (of: (gate: (typeof gates)[number]) => number) =>
    gates.reduce((sum, gate) => sum + of(gate) * gate.size, 0) / size
  return {
    uniform,
    firstToken: first,
    corrected: first === undefined || uniform >= 1 ? undefined : (first - uniform) / (1 - uniform),
    gate:
      gates.length === 0
        ? undefined
        : {
            mean: over((gate) => gate.mean),
            shareBelowTenth: over((gate) => gate.shareBelowTenth),
            shareAboveNineTenths: over((gate) => gate.shareAboveNineTenths),
          },
    largest: Math.max(...layers.map(({ largest }) => largest)),
    meanLargest: mean(layers.map(({ largest }) => largest)),
  }
}

/** The same as a run of the report. */
export function inspectedRun(seen: Inspection): ReportRun {
  const { layers } = seen
  const { firstToken, corrected = 0, uniform, gate } = totals(seen)
  return {
    name: seen.name,
    parameters: seen.parameters,
    trainLoss: [],
    heldOutLoss: [],
    finalHeldOutLoss: seen.loss,
    attention: {
      tokens: [...seen.tokens],
      layers: layers.map(({ maps }) => ({ heads: [...maps] })),
    },
    firstToken:
      firstToken === undefined
        ? undefined
        : { perLayerHead: layers.map(({ firstToken: heads }) => [...heads]), mean: firstToken, corrected, uniform },
    gateScores: gate && {
      layers: layers.flatMap(({ gate: scores }, layer) =>
        scores ? [{ layer, counts: [...scores.counts], mean: scores.mean, deviation: scores.deviation }] : [],
      ),
      ...gate,
    },
    maximumActivation: layers.map(({ largest }) => largest),
  }
}
