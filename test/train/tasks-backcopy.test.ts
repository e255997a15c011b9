import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Generator } from '../../src/tensor/random.ts'
import { type BigramBackcopyOptions, bigramBackcopy } from '../../src/train/tasks.ts'

/** The sentences of a batch, each with the token after its last. */
function sentences(seed: number, options: Partial<BigramBackcopyOptions>): number[][] {
  const { inputs, targets, B, T } = bigramBackcopy(new Generator(seed), options)
  return Array.from({ length: B }, (_, b) => [...inputs.subarray(b * T, (b + 1) * T), targets[(b + 1) * T - 1]!])
}

const options = fc.record({
  batchSize: fc.constant(4),
  vocabularySize: fc.integer({ min: 8, max: 40 }),
  sequenceLength: fc.integer({ min: 2, max: 40 }),
  triggers: fc.integer({ min: 1, max: 5 }),
  triggerPercent: fc.integer({ min: 1, max: 99 }),
  language: fc.integer({ min: 0, max: 100 }),
})

test('a sequence begins with the start token, asks for every next token, and copies after triggers', () => {
  fc.assert(
    fc.property(fc.nat(), options, (seed, given) => {
      const { inputs, targets, T, B } = bigramBackcopy(new Generator(seed), given)
      for (let b = 0; b < B; b++) {
        expect(targets.subarray(b * T, (b + 1) * T - 1)).toEqual(inputs.subarray(b * T + 1, (b + 1) * T))
      }
      for (const sentence of sentences(seed, given)) {
        expect(sentence[0]).toBe(0)
        expect(sentence[1]).toBeGreaterThan(given.triggers)
        for (let i = 1; i < sentence.length; i++) {
          expect(sentence[i]).toBeGreaterThan(0)
          expect(sentence[i]).toBeLessThan(given.vocabularySize)
          const isTrigger = (token: number) => token >= 1 && token <= given.triggers
          if (i > 1 && isTrigger(sentence[i - 1]!)) expect(sentence[i]).toBe(sentence[i - 2])
        }
      }
    }),
    { numRuns: 300 },
  )
})

/** How often each token follows `token` where the chain is free: not after triggers. */
function followers(batch: readonly number[][], token: number, V: number): number[] {
  const counts = new Array<number>(V).fill(0)
  for (const sentence of batch) {
    for (let i = 1; i + 1 < sentence.length; i++) if (sentence[i] === token) counts[sentence[i + 1]!]!++
  }
  return counts
}

test('bigrams are as stated: 1 / r^2 by rank, triggers equally often', () => {
  const settings = { batchSize: 2000, vocabularySize: 12, triggers: 2, triggerPercent: 30, sequenceLength: 32 }
  const batch = sentences(1, settings)
  const total = [1, 2, 3, 4, 5, 6, 7, 8, 9].reduce((sum, r) => sum + 1 / r ** 2, 0)
  const ranks = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((r) => 0.7 / r ** 2 / total)
  for (let token = 3; token < 12; token++) {
    const counts = followers(batch, token, 12)
    const n = counts.reduce((a, b) => a + b)
    // Five standard deviations of a binomial share; 9 x 11 comparisons pass by chance but for one in 10^4.
    const near = (count: number, share: number) =>
      expect(Math.abs(count / n - share)).toBeLessThan(5 * Math.sqrt((share * (1 - share)) / n))
    for (const trigger of [1, 2]) near(counts[trigger]!, 0.15)
    // Sorting favours the lucky among equals, so only the ranks that stand well apart are compared in order.
    const ordinary = counts.slice(3).sort((a, b) => b - a)
    for (const [r, share] of ranks.slice(0, 4).entries()) near(ordinary[r]!, share)
  }
})

test('the language does not depend on the seed of the batch, and `language` chooses it', () => {
  const favourite = (seed: number, language: number): number[] => {
    const batch = sentences(seed, { batchSize: 400, vocabularySize: 12, triggers: 2, language })
    return [3, 4, 5, 6, 7, 8].map((token) => {
      const counts = followers(batch, token, 12).with(1, 0).with(2, 0)
      return counts.indexOf(Math.max(...counts))
    })
  }
  expect(favourite(1, 0)).toEqual(favourite(2, 0))
  expect(favourite(1, 0)).not.toEqual(favourite(1, 1))
})

test('sizes that admit no sequence are refused', () => {
  expect(() => bigramBackcopy(new Generator(1), { vocabularySize: 5, triggers: 3 })).toThrow(
    'bigramBackcopy: vocabularySize 5 is too small for 3 triggers: with the start token and two ordinary tokens 6 are needed',
  )
  expect(() => bigramBackcopy(new Generator(1), { triggerPercent: 100 })).toThrow('triggerPercent must be at most 99')
})
