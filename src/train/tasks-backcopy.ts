/**
 * Bigram-Backcopy: a language in which some words call for memory and all others do not.
 *
 * A sequence begins with a start token. After an ordinary token the next one follows a fixed table of bigrams; after a
 * trigger it is the token before the trigger. Every next token is asked for.
 *
 *     inputs:  <s> a  c  !  c  d  b  ?  b          targets:  a  c  !  c  d  b  ?  b  ...
 *
 * An attention head that copies has nothing to do at ordinary tokens, and learns to look at the start token there: the
 * smallest known setting in which the attention sink forms. 0 is the start token, 1 to n are the triggers, the others ordinary.
 * Source: Guo et al., "Active-Dormant Attention Heads", arXiv 2410.13835, section 2.
 */
import { Generator } from '../tensor/random.ts'
import { defineTask } from './tasks-definition.ts'
import type { RandomSource } from './text.ts'

export type BigramBackcopyOptions = {
  readonly batchSize: number
  /** V, the start token and the triggers included. */
  readonly vocabularySize: number
  /** T */
  readonly sequenceLength: number
  /** n */
  readonly triggers: number
  /** How often a trigger follows an ordinary token, in percent. */
  readonly triggerPercent: number
  /** Of the table of bigrams: another number is another language. */
  readonly language: number
}

type Language = Pick<BigramBackcopyOptions, 'vocabularySize' | 'triggers' | 'triggerPercent' | 'language'>

/** Running sums of what follows each ordinary token, [V, V]; the last of a row is 1. */
type Table = Float64Array

const tables = new Map<string, Table>()
/** Kept at once: runs side by side share one, or have their own. */
const mostTables = 4
/** A language's table has V^2 chances. */
const mostWords = 2048

/**
 * What follows a token: each trigger equally often; the ordinary tokens in an order of its own, the one at rank r with a weight of 1 / r^2.
 */
function tableOf(settings: Language): Table {
  const { vocabularySize: V, triggers, triggerPercent, language } = settings
  const key = [V, triggers, triggerPercent, language].join()
  const known = tables.get(key)
  if (known) return known
  const random = new Generator(language)
  const ordinary = V - 1 - triggers
  const total = Array.from({ length: ordinary }, (_, r) => 1 / (r + 1) ** 2).reduce((a, b) => a + b)
  const table = new Float64Array(V * V)
  for (let token = triggers + 1; token < V; token++) {
    const row = table.subarray(token * V, (token + 1) * V)
    row.fill(triggerPercent / 100 / triggers, 1, triggers + 1)
    random.permutation(ordinary).forEach((next, r) => {
      row[triggers + 1 + next] = (1 - triggerPercent / 100) / (r + 1) ** 2 / total
    })
    for (let next = 1; next < V; next++) row[next]! += row[next - 1]!
    row[V - 1] = 1
  }
  if (tables.size === mostTables) tables.clear()
  tables.set(key, table)
  return table
}

const ordinaryNames = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'

/** The record of `bigramBackcopy`. */
export const bigramBackcopyTaskDefinition = defineTask<BigramBackcopyOptions>({
  name: 'bigramBackcopy',
  doc:
    'a start token, then a chain of bigrams in which some tokens are triggers: after a trigger comes the token before it. ' +
    'Every next token is asked for. Source: Active-Dormant Attention Heads (arXiv 2410.13835), section 2.',
  defaults: {
    batchSize: 32,
    vocabularySize: 64,
    sequenceLength: 64,
    triggers: 3,
    triggerPercent: 20,
    language: 0,
  },
  least: { batchSize: 1, vocabularySize: 4, sequenceLength: 2, triggers: 1, triggerPercent: 1, language: 0 },
  check({ vocabularySize, triggers, triggerPercent }, impossible) {
    if (vocabularySize > mostWords) impossible(`vocabularySize must be at most ${mostWords}, got ${vocabularySize}`)
    if (vocabularySize < triggers + 3) {
      impossible(
        `vocabularySize ${vocabularySize} is too small for ${triggers} triggers: with the start token and two ordinary tokens ${triggers + 3} are needed`,
      )
    }
    if (triggerPercent > 99) impossible(`triggerPercent must be at most 99, got ${triggerPercent}`)
  },
  vocabularySize: ({ vocabularySize }) => vocabularySize,
  token(id, { triggers }) {
    if (id === 0) return '<s>'
    return id <= triggers ? `!${id}` : (ordinaryNames[id - triggers - 1] ?? String(id))
  },
  columns: ({ sequenceLength }) => sequenceLength,
  row(random: RandomSource, options, inputs, targets) {
    const { vocabularySize: V, triggers, sequenceLength: T } = options
    const table = tableOf(options)
    const draws = random.uniform(T)
    const ordinary = V - 1 - triggers
    inputs[0] = 0
    // The first is ordinary, so that the start token is never what a trigger brings back.
    let token = triggers + 1 + Math.floor(draws[0]! * ordinary)
    for (let i = 0; i < T; i++) {
      targets[i] = token
      if (i + 1 === T) return
      inputs[i + 1] = token
      token = token <= triggers ? inputs[i]! : following(table.subarray(token * V, (token + 1) * V), draws[i + 1]!)
    }
  },
})

/** The first token whose running sum exceeds u in [0, 1). */
function following(sums: Float64Array, u: number): number {
  let low = 0
  let high = sums.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (sums[middle]! > u) high = middle
    else low = middle + 1
  }
  return low
}

/** A batch of Bigram-Backcopy. */
export const bigramBackcopy = bigramBackcopyTaskDefinition.generate
