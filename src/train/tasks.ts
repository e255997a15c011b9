/**
 * The registry of generated tasks: small problems whose right answers are known, for seeing what a model can learn.
 *
 * @example
 * const { inputs, targets, B, T, vocabularySize } = tasks.parity!.generate(generator, { maxLength: 20 })
 */

import { SluiceError } from '../errors.ts'
import { noSuch } from '../nearest.ts'
import { bigramBackcopyTaskDefinition } from './tasks-backcopy.ts'
import { copyTaskDefinition, selectiveCopyTaskDefinition } from './tasks-copy.ts'
import type { TaskDefinition } from './tasks-definition.ts'
import { modularArithmeticTaskDefinition } from './tasks-modular.ts'
import { parityTaskDefinition } from './tasks-parity.ts'
import { multiQueryRecallTaskDefinition } from './tasks-recall.ts'

export { type BigramBackcopyOptions, bigramBackcopy } from './tasks-backcopy.ts'
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
    bigramBackcopyTaskDefinition,
  ].map((task): [string, TaskDefinition] => [task.name, task]),
)

/** What the literature calls some of them. */
const otherNames: Readonly<Record<string, string>> = {
  mqar: 'multiQueryRecall',
  modular: 'modularArithmetic',
  backcopy: 'bigramBackcopy',
}

/**
 * The task of that name: one of `tasks`, written `selectiveCopy` or `selective-copy`, or `mqar`, `modular`, `backcopy`.
 *
 * @throws SluiceError naming the nearest one
 */
export function taskNamed(name: string): TaskDefinition {
  const camelCase = name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
  for (const key of [camelCase, Object.hasOwn(otherNames, name) ? otherNames[name] : '']) {
    if (Object.hasOwn(tasks, key)) return tasks[key]!
  }
  const known = [...Object.keys(tasks), ...Object.keys(otherNames)]
  throw new SluiceError('train', noSuch('task', name, known))
}
