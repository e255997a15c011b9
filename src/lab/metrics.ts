/** What the paper measures on a trained model, and what may be said of a few runs; a file each in `metrics/`. */
export { activationOf, type MassiveActivation, massiveActivation } from './metrics/activation.ts'
export {
  type AttentionOutput,
  attentionOutput,
  outputOf,
  type Sparsity,
  sparsityThresholds,
} from './metrics/attention-output.ts'
export { type ClampValue, clampGate, clampLosses } from './metrics/clamp.ts'
export { type GateScores, gateScores, type LayerScores, scoresOf } from './metrics/gate.ts'
export {
  type InContext,
  inContext,
  inContextOf,
  type PrefixMatching,
  type PrefixMatchingOptions,
  prefixMatching,
  prefixMatchingOf,
  repeatedTokens,
} from './metrics/in-context.ts'
export { type LengthLoss, type LengthOptions, lengthCurve, lengthLoss, rescaledBase } from './metrics/length.ts'
export { batchLoss } from './metrics/loss.ts'
export { type MeasureOptions, type ModelMeasures, measureModel } from './metrics/model.ts'
export { type LayerReading, readLayers } from './metrics/readings.ts'
export {
  type AttentionSink,
  attentionSink,
  type SinkRate,
  type SinkRateOptions,
  sinkOf,
  sinkRate,
  sinkRateOf,
  uniformShare,
} from './metrics/sink.ts'
export { type Excess, excesses, type SpikeOptions, type Spikes, spikes } from './metrics/spikes.ts'
export {
  fitPowerLaw,
  largestStableRate,
  type MeanInterval,
  meanInterval,
  type PairedDifference,
  type PowerLaw,
  pairedDifference,
  type RateRun,
  type StableRate,
} from './metrics/statistics.ts'
export { studentQuantile } from './metrics/student.ts'
