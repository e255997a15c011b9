/**
 * Copying: n letters, blanks, a copy token, then n blanks at which the letters are asked for in order.
 *
 * The letters are 0 to V - 3, the blank is V - 2, the copy token V - 1; V the vocabulary size, T the sequence length.
 * Source: MAD (arXiv 2403.17844), `mad/data/instances.py` of athms/mad-lab, whose base task is V 16, T 256, n 16.
 */

import { defineTask, type TaskDefinition } from './tasks-definition.ts'
import type { RandomSource } from './text.ts'

/** `copyLength` is n. */
export type CopyOptions = {
  readonly batchSize: number
  readonly vocabularySize: number
  readonly sequenceLength: number
  readonly copyLength: number
}

/** How many blanks come before each of the n letters and, last, after all of them: n + 1 counts. */
type BlankPlacement = (random: RandomSource, n: number, blanks: number) => Int32Array

function copyTask(name: string, doc: string, place: BlankPlacement): TaskDefinition<CopyOptions> {
  return defineTask<CopyOptions>({
    name,
    doc,
    defaults: { batchSize: 64, vocabularySize: 16, sequenceLength: 256, copyLength: 16 },
    least: { batchSize: 1, vocabularySize: 3, sequenceLength: 3, copyLength: 1 },
    check({ sequenceLength, copyLength }, impossible) {
      const needed = 2 * copyLength + 1
      if (sequenceLength < needed) {
        impossible(
          `sequenceLength ${sequenceLength} is too short to copy ${copyLength} letters: they, the copy token and ` +
            `the ${copyLength} answers need ${needed}`,
        )
      }
    },
    vocabularySize: ({ vocabularySize }) => vocabularySize,
    token: (id, { vocabularySize: V }) => ['·', '→'][id - V + 2] ?? String(id),
    columns: ({ sequenceLength }) => sequenceLength,
    row(random, { vocabularySize, sequenceLength, copyLength }, inputs, targets) {
      const copyToken = vocabularySize - 1
      const answersAt = sequenceLength - copyLength
      const letters = random.integers(copyLength, 0, vocabularySize - 2)
      const blanks = place(random, copyLength, answersAt - copyLength - 1)
      inputs.fill(vocabularySize - 2)
      let at = 0
      letters.forEach((letter, index) => {
        at += blanks[index]!
        inputs[at++] = letter
      })
      inputs[answersAt - 1] = copyToken
      targets.set(letters, answersAt)
    },
  })
}

/** The record of `copy`. */
export const copyTaskDefinition = copyTask(
  'copy',
  'n random letters, then blanks, a copy token and n blanks; at each of those last n positions the next letter is ' +
    'asked for. Source: MAD (arXiv 2403.17844), the copying task that selective copying is made from.',
  (_random, n, blanks) => {
    const counts = new Int32Array(n + 1)
    counts[n] = blanks
    return counts
  },
)

/** The record of `selectiveCopy`. */
export const selectiveCopyTaskDefinition = copyTask(
  'selectiveCopy',
  'As copy, but the blanks are scattered among the letters, so the model must skip them: each blank falls before one ' +
    'of the n letters, all equally likely (none after the last, as in the source). Source: MAD (arXiv 2403.17844), ' +
    'base task V 16, T 256, n 16.',
  (random, n, blanks) => {
    const counts = new Int32Array(n + 1)
    for (const before of random.integers(blanks, 0, n)) counts[before]!++
    return counts
  },
)

/** A batch of plain copying. */
export const copy = copyTaskDefinition.generate

/** A batch of selective copying. */
export const selectiveCopy = selectiveCopyTaskDefinition.generate
