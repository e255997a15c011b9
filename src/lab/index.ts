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
export { type MeasuredRun, type ReportOptions, reportData } from './report.ts'
