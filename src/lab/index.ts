/** Looking into trained models, with the paper's measures. */
import '../ops/methods.ts'

export { type Claim, claims } from './claims.ts'
export {
  type AttentionOutput,
  type AttentionSink,
  attentionOutput,
  attentionSink,
  batchLoss,
  type ClampValue,
  clampGate,
  clampLosses,
  type Excess,
  excesses,
  fitPowerLaw,
  type GateScores,
  gateScores,
  type InContext,
  inContext,
  type LayerReading,
  type LengthLoss,
  type LengthOptions,
  largestStableRate,
  lengthCurve,
  lengthLoss,
  type MassiveActivation,
  type MeanInterval,
  type MeasureOptions,
  type ModelMeasures,
  massiveActivation,
  meanInterval,
  measureModel,
  type PairedDifference,
  type PowerLaw,
  type PrefixMatching,
  type PrefixMatchingOptions,
  pairedDifference,
  prefixMatching,
  type RateRun,
  readLayers,
  rescaledBase,
  type SinkRate,
  type SinkRateOptions,
  type SpikeOptions,
  type Spikes,
  type StableRate,
  sinkRate,
  spikes,
  studentQuantile,
} from './metrics.ts'
export { type PaperModel, type PaperRun, type PaperScores, paperModels, paperRuns } from './paper-runs.ts'
export { type MeasuredRun, type ReportOptions, reportData } from './report.ts'
export { gatherRuns, studyData } from './study/gather.ts'
export { runStudyJob, type StudyJobOptions } from './study/job.ts'
export { studyPreset, studyPresets } from './study/presets.ts'
export { type StudySettings, studyJobs } from './study/settings.ts'
export { type StudyOptions, study } from './study/study.ts'
export type { StudyData, StudyJob, StudyRun } from './study-report/data.ts'
export {
  type ModelSettings,
  matchParameters,
  type PaperNumbers,
  type Variant,
  variantNamed,
  variants,
} from './variants.ts'
