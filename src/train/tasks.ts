/**
 * The registry of generated tasks: small problems whose right answers are known, for seeing what a model can learn.
 *
 * @example
 * const { inputs, targets, B, T, vocabularySize } = tasks.parity!.generate(generator, { maxLength: 20 })
 */

import { copyTaskDefinition, selectiveCopyTaskDefinition } from './tasks-copy.ts'
import type { TaskDefinition } from './tasks-definition.ts'
import { modularArithmeticTaskDefinition } from './tasks-modular.ts'
import { parityTaskDefinition } from './tasks-parity.ts'
import { multiQueryRecallTaskDefinition } from './tasks-recall.ts'

export { type CopyOptions, copy, selectiveCopy } from './tasks-copy.ts'
export { ignoredTarget, type TaskBatch, type TaskDefinition, type TaskOptions } from './tasks-definition.ts'
export { type ModularArithmeticOptions, modularArithmetic } from './tasks-modular.ts'
export { type ParityOptions, parity } from './tasks-parity.ts'
export { type MultiQueryRecallOptions, multiQueryRecall } from './tasks-recall.ts'

/** Every task by its name. */
export const tasks: Readonly<Record<string, TaskDefinition>> = Object.fromEntries(
  [
    copyTaskDefinition,
    selectiveCopyTaskDefinition,
    multiQueryRecallTaskDefinition,
    parityTaskDefinition,
    modularArithmeticTaskDefinition,
  ].map((task): [string, TaskDefinition] => [task.name, task]),
)
