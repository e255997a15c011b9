/** Proofs of gradients and of devices: finite differences, properties of every operation, parity. Needs fast-check. */
import '../ops/methods.ts'

import '../index.ts'

export {
  type Accuracy,
  accuracy,
  everyFloat32,
  float32Inputs,
  oneArgument,
  pairsOfFloat32,
  twoArguments,
} from './accuracy.ts'
export { type AttentionInputs, arb, type DeltaRuleInputs } from './arbitraries.ts'
export { type CheckAllOptions, type CheckKind, type CheckRow, checkAll, checkOp, searchKind } from './check-op.ts'
export type { DifferenceOptions } from './differences.ts'
export { drawFrom } from './draw.ts'
export { type GradcheckResult, gradcheck, gradgradcheck } from './gradcheck.ts'
export { type ParityStatistics, parity } from './parity.ts'
export type { Program } from './program.ts'
export type { Failure, Outcome, SearchOptions } from './search.ts'
export { formatTable } from './table.ts'
