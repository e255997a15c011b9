/** Optimizers, clipping and schedules. */
import '../ops/methods.ts'

export { AdamW, type AdamWOptions } from './adamw.ts'
export { clipGradNorm } from './clip.ts'
export { decayGroups, type HasParameters, muonGroups } from './groups.ts'
export { Muon, type MuonOptions, orthogonalise } from './muon.ts'
export { Optimizer, type OptimizerParameters, type ParameterGroup, type Slot } from './optimizer.ts'
export {
  constantSchedule,
  cosineSchedule,
  type DecayOptions,
  linearSchedule,
  type Schedule,
  type WarmupOptions,
} from './schedule.ts'
export { SGD, type SGDOptions } from './sgd.ts'
