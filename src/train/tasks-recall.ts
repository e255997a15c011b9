/**
 * Multi-query associative recall (MQAR): key-value pairs first, then each key once more, asking for its value.
 *
 *     inputs:  k1 v1 k2 v2 | .  .  k2 .  .  .  k1 .        targets: v2 at the second k2, v1 at the second k1
 *
 * N pairs, V the vocabulary size, T the sequence length. Keys are N different ones of [1, V/2), values N different
 * ones of [V/2, V), 0 is the filler. The queries stand at the even offsets 2 (i - 1) after the pairs, i different for
 * each, drawn without replacement with weights a i^(a - 1) for i = 1 to (T - 2 N) / 2: early places are the likely ones.
 * Source: Zoology (arXiv 2312.04927), `zoology/data/multiquery_ar.py` of HazyResearch/zoology.
 */

import { defineTask, distinctIntegers } from './tasks-definition.ts'
import type { RandomSource } from './text.ts'

/** `pairs` is N, `powerA` the exponent a. */
export type MultiQueryRecallOptions = {
  readonly batchSize: number
  readonly vocabularySize: number
  readonly sequenceLength: number
  readonly pairs: number
  readonly powerA: number
  /** Random ids of [0, V) instead of the filler 0. */
  readonly randomNonQueries: boolean
}

/**
 * `n` different places of 0 to `places` - 1, drawn one after another with weights a (place + 1)^(a - 1).
 *
 * Each place gets an exponential arrival time with its weight as the rate; the order of arrival is the order of such
 * draws (Efraimidis and Spirakis 2006).
 */
function powerLawPlaces(random: RandomSource, n: number, places: number, a: number): number[] {
  const arrival = Array.from(random.uniform(places), (u, place) => -Math.log1p(-u) * (place + 1) ** (1 - a))
  return arrival
    .map((_, place) => place)
    .sort((one, other) => arrival[one]! - arrival[other]!)
    .slice(0, n)
}

/** The record of `multiQueryRecall`. */
export const multiQueryRecallTaskDefinition = defineTask<MultiQueryRecallOptions>({
  name: 'multiQueryRecall',
  doc:
    'N key-value pairs, then every key once more at a power-law distance; its value is asked for at the position of ' +
    'that second key. Keys from [1, V/2), values from [V/2, V); other positions hold random ids, or 0 with ' +
    'randomNonQueries: false (as in the figure-2 runs: V 8192, (T, N) of (64, 4), (128, 8), (256, 16), (512, 64)). ' +
    'Source: Zoology (arXiv 2312.04927), multiquery_ar.py.',
  defaults: {
    batchSize: 64,
    vocabularySize: 256,
    sequenceLength: 64,
    pairs: 4,
    powerA: 0.01,
    randomNonQueries: true,
  },
  least: { batchSize: 1, vocabularySize: 4, sequenceLength: 4, pairs: 1 },
  check({ vocabularySize, sequenceLength, pairs }, impossible) {
    const keys = Math.floor(vocabularySize / 2) - 1
    if (pairs > keys) {
      impossible(`${pairs} pairs need ${pairs} different keys, vocabularySize ${vocabularySize} has ${keys}`)
    }
    if (sequenceLength % 2 !== 0) impossible(`sequenceLength must be even, got ${sequenceLength}`)
    if (sequenceLength < 4 * pairs) {
      impossible(
        `sequenceLength ${sequenceLength} is too short for ${pairs} pairs: they and their queries need ${4 * pairs}`,
      )
    }
  },
  vocabularySize: ({ vocabularySize }) => vocabularySize,
  columns: ({ sequenceLength }) => sequenceLength,
  row(random, { vocabularySize, sequenceLength, pairs, powerA, randomNonQueries }, inputs, targets) {
    const half = Math.floor(vocabularySize / 2)
    const keys = distinctIntegers(random, pairs, 1, half)
    const values = distinctIntegers(random, pairs, half, vocabularySize)
    const places = powerLawPlaces(random, pairs, sequenceLength / 2 - pairs, powerA)
    if (randomNonQueries) inputs.set(random.integers(sequenceLength, 0, vocabularySize))
    for (let pair = 0; pair < pairs; pair++) {
      const query = 2 * pairs + 2 * places[pair]!
      inputs[2 * pair] = keys[pair]!
      inputs[2 * pair + 1] = values[pair]!
      inputs[query] = keys[pair]!
      targets[query] = values[pair]!
    }
  },
})

/** A batch of multi-query associative recall. */
export const multiQueryRecall = multiQueryRecallTaskDefinition.generate
