/** The report's data, measured on trained models. */
import type { ReportData, ReportRun } from '../train/report/data.ts'
import type { TokenBatch } from '../train/text.ts'
import type { Tokenizer } from '../train/tokenizer.ts'
import type { TrainResult } from '../train/trainer.ts'
import { activationOf, readLayers, scoresOf, sinkOf } from './metrics.ts'

/** A trained run that goes into a report. */
export interface MeasuredRun {
  /** As the report calls it. */
  readonly name: string
  /** What `train` gave. */
  readonly result: TrainResult
  /** What the model went on with after the prompt. */
  readonly sample?: string
}

/** What a report shows beside its runs. */
export interface ReportOptions {
  /** The text that the samples go on from. */
  readonly prompt?: string
  /** What the text is called. */
  readonly textName?: string
  /** Losses to compare with, on the same held-out text. */
  readonly baselines?: ReportData['baselines']
}

/** At most this many rows of a held-out batch are read for the averages: enough, and the weights stay small. */
const ROWS = 8

/** Measures each run on the same held-out rows and gathers what `renderReport` draws. */
export async function reportData(
  title: string,
  runs: readonly MeasuredRun[],
  { prompt, textName, baselines = [] }: ReportOptions = {},
): Promise<ReportData> {
  const [{ result: first }] = runs
  const { data, config } = first
  return {
    title,
    createdAt: createdNow(),
    configuration: { ...config, model: first.model.config },
    text: data.text && {
      name: textName ?? config.data.text ?? 'text',
      characters: data.text.characters,
      vocabularySize: data.vocabularySize,
    },
    baselines,
    lossUnit: lossUnit(first),
    runs: await Promise.all(runs.map((run) => measure(run, prompt))),
  }
}

/** The time as a report shows it. */
export const createdNow = (): string => `${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC`

function lossUnit({ data, config }: TrainResult): string {
  if (!data.tokenizer) return 'nats per answer'
  return config.data.tokenizer === 'byte' ? 'nats per byte' : 'nats per character'
}

async function measure({ name, result, sample }: MeasuredRun, prompt: string | undefined): Promise<ReportRun> {
  const { model, data, log, step, seconds, tokensPerSecond } = result
  const batch = firstRows(data.heldOut[0], ROWS)
  const layers = await readLayers(model, batch)
  const held = log.flatMap(({ step, heldOutLoss }) => (heldOutLoss === undefined ? [] : [{ step, loss: heldOutLoss }]))
  const activation = activationOf(layers)
  return {
    name,
    parameters: model.parameterCount,
    steps: step,
    seconds,
    tokensPerSecond,
    trainLoss: log.map(({ step, loss }) => ({ step, loss })),
    heldOutLoss: held,
    finalHeldOutLoss: result.heldOut?.loss ?? held.at(-1)?.loss ?? Number.NaN,
    learningRate: log.map(({ step, learningRate }) => ({ step, value: learningRate })),
    sample,
    prompt,
    attention: {
      tokens: showTokens(batch, data.tokenizer),
      // The maps show the first row alone: an average over texts has no tokens to name.
      layers: layers.map(({ weights = new Float32Array(), heads }) => ({
        heads: Array.from({ length: heads }, (_, h) => weights.slice(h * batch.T ** 2, (h + 1) * batch.T ** 2)),
      })),
    },
    firstToken: layers.some(({ weights }) => weights) ? sinkOf(layers, batch) : undefined,
    gateScores: scoresOf(layers),
    maximumActivation: activation.perLayer,
  }
}

/** The first sequences of a batch, at most `rows`. */
export function firstRows({ inputs, targets, B, T }: TokenBatch, rows: number): TokenBatch {
  const kept = Math.min(B, rows)
  return { inputs: inputs.slice(0, kept * T), targets: targets.slice(0, kept * T), B: kept, T }
}

/** What each token of the first sequence stands for; its number where there is no tokenizer. */
export function showTokens({ inputs, T }: TokenBatch, tokenizer: Tokenizer | undefined): string[] {
  return Array.from(inputs.subarray(0, T), (id) => (tokenizer ? tokenizer.decode(Int32Array.of(id)) : String(id)))
}
