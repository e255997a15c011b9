/** Looking into trained models, with the paper's measures. */
import '../ops/methods.ts'

export {
  type AttentionSink,
  attentionSink,
  type GateScores,
  gateScores,
  massiveActivation,
  readLayers,
} from './metrics.ts'
export { type PaperModel, type PaperRun, type PaperScores, paperModels, paperRuns } from './paper-runs.ts'
export { type MeasuredRun, type ReportOptions, reportData } from './report.ts'
export {
  type ModelSettings,
  matchParameters,
  type PaperNumbers,
  type Variant,
  variantNamed,
  variants,
} from './variants.ts'
