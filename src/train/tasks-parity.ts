/**
 * Parity: random bits, and at every bit the parity of the bits so far, target[t] = bit[0] xor ... xor bit[t].
 *
 * The length of each row is uniform in [minLength, maxLength]; shorter rows are filled with token 2, where nothing is
 * asked. Source: the state-tracking tasks of arXiv 2411.12537 (after arXiv 2207.02098), trained on lengths 3 to 40 and
 * tested on 40 to 256, here with the answer asked at every position.
 */

import { defineTask, integer } from './tasks-definition.ts'

/** Lengths in bits, both ends included. */
export type ParityOptions = {
  readonly batchSize: number
  readonly minLength: number
  readonly maxLength: number
}

const filler = 2

/** The record of `parity`. */
export const parityTaskDefinition = defineTask<ParityOptions>({
  name: 'parity',
  doc:
    'Random bits of random length; at every bit the parity of all bits so far is asked for. Length generalisation: ' +
    'train on 3 to 40, test on 40 to 256. Source: arXiv 2411.12537 (regular languages after arXiv 2207.02098).',
  defaults: { batchSize: 64, minLength: 3, maxLength: 40 },
  least: { batchSize: 1, minLength: 1, maxLength: 1 },
  check({ minLength, maxLength }, impossible) {
    if (minLength > maxLength) impossible(`minLength ${minLength} is above maxLength ${maxLength}`)
  },
  vocabularySize: () => 3,
  token: (id) => (id === filler ? '·' : String(id)),
  columns: ({ maxLength }) => maxLength,
  row(random, { minLength, maxLength }, inputs, targets) {
    const length = integer(random, minLength, maxLength + 1)
    inputs.fill(filler)
    inputs.set(random.integers(length, 0, 2))
    let parity = 0
    for (let t = 0; t < length; t++) targets[t] = parity ^= inputs[t]!
  },
})

/** A batch of running parity. */
export const parity = parityTaskDefinition.generate
