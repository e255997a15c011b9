/**
 * A fuzzer guided by coverage: inputs that reach new blocks are kept, and changed further.
 *
 * Written here, since the one that is kept for JavaScript brings a native part that needs a newer system library than ours.
 */
import fc from 'fast-check'
import { mutate, mutations } from '../../../test/hub/mutations.ts'
import { Coverage } from './coverage.ts'
import { bytesOf, type Target } from './target.ts'
import { Loss, processorTime, type Trial } from './trial.ts'

/** Of one look at the coverage, which costs as much as reading some small files. */
const batch = 16
const longest = 2 ** 17

type Mutator = (bytes: Uint8Array, other: Uint8Array) => Uint8Array

const joined = (...parts: Uint8Array[]): Uint8Array => Buffer.concat(parts)

/** Replaces `length` bytes at `place`, a share of the whole. */
function replaced(bytes: Uint8Array, place: number, length: number, by: Uint8Array): Uint8Array {
  const at = Math.floor(place * (bytes.length + 1))
  return joined(bytes.subarray(0, at), by, bytes.subarray(at + length))
}

function mutators(words: readonly string[]): fc.Arbitrary<Mutator> {
  const share = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
  const pieces = [
    '"',
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    '\\',
    '0',
    '-',
    '1e999',
    '99999999999',
    '"__proto__":',
    '../',
    '\0',
    '\n',
  ]
  const word = fc.constantFrom(...words, ...pieces).map(bytesOf)
  return fc.oneof(
    {
      weight: 3,
      arbitrary: mutations.map(
        (steps): Mutator =>
          (bytes) =>
            mutate(bytes, steps),
      ),
    },
    {
      weight: 3,
      arbitrary: fc.tuple(share, fc.nat(6), word).map(
        ([place, length, by]): Mutator =>
          (bytes) =>
            replaced(bytes, place, length, by),
      ),
    },
    fc.tuple(share, share, fc.nat(200)).map(
      ([place, from, length]): Mutator =>
        (bytes, other) => {
          const begin = Math.floor(from * other.length)
          return replaced(bytes, place, length, other.subarray(begin, begin + length))
        },
    ),
    fc.tuple(share, fc.nat(40), fc.constantFrom(2, 10, 1000)).map(
      ([place, length, times]): Mutator =>
        (bytes) => {
          const at = Math.floor(place * bytes.length)
          const piece = bytes.subarray(at, at + length + 1)
          return replaced(bytes, place, 0, joined(...Array.from({ length: times }, () => piece)))
        },
    ),
    fc.tuple(share, fc.constantFrom(1, 2, 4, 8), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)).map(
      ([place, length, value]): Mutator =>
        (bytes) =>
          replaced(bytes, place, length, new Uint8Array(length).fill(value)),
    ),
  )
}

export interface Fuzzed {
  readonly losses: readonly Loss[]
  readonly kept: number
  readonly blocks: number
}

/** Fuzzes for so many milliseconds of the processor; stops at the first loss. */
export async function fuzz(target: Target, trial: Trial, seed: number, milliseconds: number): Promise<Fuzzed> {
  const coverage = new Coverage()
  const corpus = [...target.valid]
  const steps = fc.tuple(mutators(target.words), fc.nat(), fc.nat())
  const end = processorTime() + milliseconds
  const losses: Loss[] = []
  const attempt = async (input: Uint8Array): Promise<void> => {
    try {
      await trial.attempt('coverage-guided', input)
    } catch (error) {
      if (!(error instanceof Loss)) throw error
      losses.push(error)
    }
  }
  for (const input of target.valid) await attempt(input)
  coverage.learn(coverage.take())
  for (let round = 0; processorTime() < end && losses.length === 0; round++) {
    const inputs = fc
      .sample(steps, { numRuns: batch, seed: seed + round })
      .map(([change, one, other]) =>
        change(corpus[one % corpus.length]!, corpus[other % corpus.length]!).subarray(0, longest),
      )
    for (const input of inputs) await attempt(input)
    const together = coverage.take()
    if (!coverage.isNews(together)) continue
    // Which of them it was is seen when each runs alone.
    for (const input of inputs) {
      await attempt(input)
      const alone = coverage.take()
      if (coverage.isNews(alone)) corpus.push(input)
      coverage.learn(alone)
    }
    coverage.learn(together)
  }
  coverage.stop()
  return { losses, kept: corpus.length - target.valid.length, blocks: coverage.size }
}
