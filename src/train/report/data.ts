/**
 * What a training report is drawn from: plain data, no tensors, so that it can be saved, sent and drawn again.
 *
 * T time (positions read), H heads. Losses are means of -ln p, in `lossUnit`. Layers and heads are counted from 0,
 * as in the names of the weights.
 */
import { SluiceError } from '../../errors.ts'

export interface LossPoint {
  step: number
  loss: number
}

/** The attention of one run on one text: `heads[h]` is [T, T], row-major, rows are queries, after the softmax. */
export interface ReportAttention {
  tokens: string[]
  layers: { heads: Float32Array[] }[]
}

/** Attention on the first token (F-Attn), averaged over a held-out set, per layer and head and over all of them. A delta layer has no heads. */
export interface ReportFirstToken {
  perLayerHead: number[][]
  mean: number
  /** (mean - uniform) / (1 - uniform): 0 is what uniform attention gives, 1 is all attention on the first token. */
  corrected: number
  /** What uniform causal attention gives over n positions: (1 + 1/2 + ... + 1/n) / n. */
  uniform: number
}

/** Gate scores after the activation; `counts` are of equal bins on [0, 1]. */
export interface ReportGateScores {
  /** `layer` is the layer's index; the place in the list unless given. */
  layers: { layer?: number; counts: number[]; mean: number }[]
  mean: number
  shareBelowTenth: number
  shareAboveNineTenths: number
}

/** One model; what was not measured is left out, and the report leaves out its figure. */
export interface ReportRun {
  /** As the report calls it. */
  name: string
  /** Number of weights. */
  parameters: number
  /** Of training; a model that came trained has none. */
  steps?: number
  /** Time spent training. */
  seconds?: number
  /** Tokens trained on, a second. */
  tokensPerSecond?: number
  /** By step. */
  trainLoss: LossPoint[]
  /** By step. */
  heldOutLoss: LossPoint[]
  /** Of the trained model. */
  finalHeldOutLoss: number
  /** By step. */
  learningRate?: { step: number; value: number }[]
  /** What the model went on with after the prompt. */
  sample?: string
  /** What it was given. */
  prompt?: string
  /** Attention maps on one text. */
  attention?: ReportAttention
  /** Attention on the first token. */
  firstToken?: ReportFirstToken
  /** The gates' scores. */
  gateScores?: ReportGateScores
  /** Largest absolute value of each layer's output, after both residual additions. */
  maximumActivation?: number[]
}

/** A report: what was trained, on what, and the runs. */
export interface ReportData {
  /** The heading. */
  title: string
  /** A line below it. */
  subtitle?: string
  /** ISO 8601. */
  createdAt: string
  /** Settings that the report lists. */
  configuration: Record<string, unknown>
  /** The text that was learnt. */
  text?: { name: string; characters: number; vocabularySize: number }
  /** Losses of models without training to compare with, such as a bigram's, on the same held-out text. */
  baselines: { name: string; loss: number }[]
  /** What the losses count: nats per character unless given. */
  lossUnit?: string
  /** In the order in which they are shown. */
  runs: ReportRun[]
}

/** The runs that have a gate: those with gate scores, and any named `gated`. */
export function hasGate(run: ReportRun): boolean {
  return run.gateScores !== undefined || run.name === 'gated'
}

/** Throws a SluiceError for data that no honest report can be drawn from; numbers that are not finite are allowed. */
export function checkReportData(data: ReportData): void {
  if (data.runs.length === 0) throw new SluiceError('renderReport', 'runs is empty: expected at least one trained run')
  for (const run of data.runs) {
    if (run.attention) checkAttention(run.name, run.attention)
    for (const layer of run.gateScores?.layers ?? []) {
      if (layer.counts.length === 0) {
        throw new SluiceError(
          'renderReport',
          `run '${run.name}': gateScores counts are empty: expected at least one bin`,
        )
      }
    }
  }
}

function checkAttention(name: string, { tokens, layers }: ReportAttention): void {
  const size = tokens.length * tokens.length
  layers.forEach(({ heads }, layer) => {
    heads.forEach((weights, head) => {
      if (weights.length === size) return
      throw new SluiceError(
        'renderReport',
        `run '${name}', layer ${layer}, head ${head}: attention has ${weights.length} weights, expected ` +
          `${size} = ${tokens.length} x ${tokens.length}, one for each pair of the ${tokens.length} tokens`,
      )
    })
  })
}
