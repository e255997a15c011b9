import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SluiceError } from '../../src/errors.ts'
import { Generator } from '../../src/tensor/random.ts'
import {
  copy,
  ignoredTarget,
  modularArithmetic,
  multiQueryRecall,
  parity,
  selectiveCopy,
  type TaskBatch,
  tasks,
} from '../../src/train/tasks.ts'
import { testRandom } from './random-source.ts'

interface Row {
  readonly inputs: readonly number[]
  readonly targets: readonly number[]
}

/** The rows of a batch, after checking what holds for every task. */
function rows({ inputs, targets, B, T, vocabularySize }: TaskBatch): Row[] {
  expect([inputs.length, targets.length]).toEqual([B * T, B * T])
  expect(inputs.every((id) => id >= 0 && id < vocabularySize)).toBe(true)
  expect(targets.every((id) => id === ignoredTarget || (id >= 0 && id < vocabularySize))).toBe(true)
  return Array.from({ length: B }, (_, b) => ({
    inputs: [...inputs.subarray(b * T, (b + 1) * T)],
    targets: [...targets.subarray(b * T, (b + 1) * T)],
  }))
}

/** The positions at which something is asked. */
const asked = ({ targets }: Row): number[] => targets.flatMap((target, t) => (target === ignoredTarget ? [] : [t]))

const seeds = fc.integer()

test('the registry: every task has its source, its defaults work, a seed gives one batch', () => {
  const names = ['copy', 'selectiveCopy', 'multiQueryRecall', 'parity', 'modularArithmetic', 'bigramBackcopy']
  expect(Object.keys(tasks)).toEqual(names)
  for (const [name, task] of Object.entries(tasks)) {
    expect(task.name).toBe(name)
    expect(task.doc).toMatch(/Sources?: .*arXiv \d{4}\.\d{5}/)
    const batch = task.generate(new Generator(5))
    expect(batch.B).toBe(task.defaults.batchSize)
    expect(batch.vocabularySize).toBe(task.vocabularySize())
    for (const row of rows(batch)) expect(asked(row).length).toBeGreaterThan(0)
    expect(task.generate(new Generator(5))).toEqual(batch)
    expect(task.generate(new Generator(6)).inputs).not.toEqual(batch.inputs)
  }
})

test('the registry: every token is written as one word of its own', () => {
  for (const task of Object.values(tasks)) {
    const sizes = 'vocabularySize' in task.defaults ? [{}, { vocabularySize: 200 }] : [{}]
    for (const options of sizes) {
      const tokens = task.tokens(options)
      expect(tokens).toHaveLength(task.vocabularySize(options))
      expect(new Set(tokens).size).toBe(tokens.length)
      expect(tokens.filter((token) => !/^\S{1,4}$/.test(token))).toEqual([])
    }
  }
  expect(tasks.copy!.tokens({ vocabularySize: 4 })).toEqual(['0', '1', '·', '→'])
  expect(tasks.modularArithmetic!.tokens({ modulus: 3 }).join(' ')).toBe('0 1 2 + - * ( ) = ·')
  expect(tasks.bigramBackcopy!.tokens({ triggers: 2, vocabularySize: 6 })).toEqual(['<s>', '!1', '!2', 'a', 'b', 'c'])
})

test('the registry: defaults are those of the sources', () => {
  expect(tasks.selectiveCopy!.defaults).toMatchObject({ vocabularySize: 16, sequenceLength: 256, copyLength: 16 })
  expect(tasks.multiQueryRecall!.defaults).toMatchObject({ powerA: 0.01, randomNonQueries: true })
  expect(tasks.modularArithmetic!.defaults).toMatchObject({ modulus: 5, minLength: 3, maxLength: 40 })
  expect(tasks.parity!.vocabularySize({ maxLength: 256 })).toBe(3)
  expect(tasks.modularArithmetic!.vocabularySize({ modulus: 7 })).toBe(14)
  expect(tasks.copy!.vocabularySize({ vocabularySize: 32 })).toBe(32)
})

test('options: unknown names, other types and impossible values are SluiceErrors that name the task', () => {
  const random = testRandom(0)
  for (const [name, task] of Object.entries(tasks)) {
    for (const [options, message] of [
      [{ lenght: 3 }, /unknown option lenght; the options are batchSize, /],
      [{ __proto__: null, toString: 3 }, /unknown option toString/],
      [{ batchSize: true }, /option batchSize must be a number, got true/],
      [{ batchSize: 0 }, /option batchSize must be at least 1, got 0/],
      [{ batchSize: 1.5 }, /option batchSize must be an integer, got 1.5/],
      [{ batchSize: Number.NaN }, /option batchSize must be an integer, got NaN/],
      [{ batchSize: 2 ** 40 }, /a batch of 1099511627776 rows of \d+ tokens is too large; at most 4194304/],
    ] as const) {
      const generate = () => task.generate(random, options as object)
      expect(generate).toThrow(SluiceError)
      expect(generate).toThrow(message)
      expect(generate).toThrow(new RegExp(`^${name}: `))
    }
    expect(() => task.vocabularySize({ nothing: 1 })).toThrow(/unknown option nothing/)
    expect(task.generate(random, { batchSize: undefined }).B).toBe(task.defaults.batchSize)
  }
  expect(() => copy(random, { sequenceLength: 32 })).toThrow(/sequenceLength 32 is too short to copy 16 .* need 33/)
  expect(() => copy(random, { vocabularySize: 2 })).toThrow(/vocabularySize must be at least 3/)
  expect(() => multiQueryRecall(random, { vocabularySize: 9 })).toThrow(/4 pairs need 4 .* vocabularySize 9 has 3/)
  expect(() => multiQueryRecall(random, { sequenceLength: 15 })).toThrow(/must be even, got 15/)
  expect(() => multiQueryRecall(random, { sequenceLength: 14 })).toThrow(/14 is too short for 4 pairs: .* need 16/)
  expect(() => multiQueryRecall(random, { powerA: 0 })).toThrow(/powerA must be a positive number, got 0/)
  expect(() => parity(random, { minLength: 41 })).toThrow(/minLength 41 is above maxLength 40/)
  expect(() => modularArithmetic(random, { minLength: 50 })).toThrow(/minLength 50 is above maxLength 40/)
  expect(() => modularArithmetic(random, { minLength: 1 })).toThrow(/minLength must be at least 2/)
  expect(() => modularArithmetic(random, { modulus: 2 ** 27 })).toThrow(/above 2\^26/)
})

const copySizes = fc
  .record({
    copyLength: fc.integer({ min: 1, max: 6 }),
    blanks: fc.nat(12),
    vocabularySize: fc.integer({ min: 3, max: 9 }),
  })
  .map(({ copyLength, blanks, vocabularySize }) => ({
    copyLength,
    vocabularySize,
    sequenceLength: 2 * copyLength + 1 + blanks,
    batchSize: 3,
  }))

test.each([
  ['copy', copy],
  ['selectiveCopy', selectiveCopy],
])('%s: what is asked is the letters before the copy token, in order', (name, generate) => {
  fc.assert(
    fc.property(copySizes, seeds, (options, seed) => {
      const { copyLength: n, vocabularySize: V, sequenceLength: T } = options
      for (const row of rows(generate(testRandom(seed), options))) {
        const mark = row.inputs.indexOf(V - 1)
        expect(mark).toBe(T - n - 1)
        const letters = row.inputs.slice(0, mark).filter((id) => id < V - 2)
        expect(row.targets.slice(mark + 1)).toEqual(letters)
        expect(letters.length).toBe(n)
        expect(asked(row)).toEqual(Array.from({ length: n }, (_, i) => mark + 1 + i))
        expect(row.inputs.slice(mark + 1)).toEqual(new Array(n).fill(V - 2))
        if (name === 'copy') expect(row.inputs.slice(0, n)).toEqual(letters)
      }
    }),
    { numRuns: 300 },
  )
})

test('selectiveCopy: a blank falls before each of the n letters with probability 1 / n', () => {
  // 4000 rows of 10 blanks and n = 4: each place has mean 10000 and standard deviation sqrt(40000 * 3 / 16) = 87.
  const options = { copyLength: 4, sequenceLength: 19, vocabularySize: 5, batchSize: 4000 }
  const before = [0, 0, 0, 0, 0]
  for (const { inputs } of rows(selectiveCopy(testRandom(1), options))) {
    let letters = 0
    for (const id of inputs.slice(0, inputs.indexOf(4))) id === 3 ? before[letters]!++ : letters++
  }
  expect(before[4]).toBe(0)
  for (const count of before.slice(0, 4)) expect(Math.abs(count - 10_000)).toBeLessThan(5 * 87)
})

const recallSizes = fc
  .record({
    pairs: fc.integer({ min: 1, max: 6 }),
    moreVocabulary: fc.nat(40),
    moreLength: fc.nat(10),
    randomNonQueries: fc.boolean(),
    powerA: fc.constantFrom(0.01, 0.5, 1, 2),
  })
  .map(({ pairs, moreVocabulary, moreLength, randomNonQueries, powerA }) => ({
    pairs,
    randomNonQueries,
    powerA,
    vocabularySize: 2 * pairs + 2 + moreVocabulary,
    sequenceLength: 4 * pairs + 2 * moreLength,
    batchSize: 4,
  }))

test('multiQueryRecall: every label is the value stored with the key at its position', () => {
  fc.assert(
    fc.property(recallSizes, seeds, (options, seed) => {
      const { pairs, vocabularySize: V, randomNonQueries } = options
      for (const row of rows(multiQueryRecall(testRandom(seed), options))) {
        const stored = new Map<number, number>()
        for (let at = 0; at < 2 * pairs; at += 2) {
          const [key, value] = [row.inputs[at]!, row.inputs[at + 1]!]
          expect(key >= 1 && key < Math.floor(V / 2)).toBe(true)
          expect(value >= Math.floor(V / 2) && value < V).toBe(true)
          stored.set(key, value)
        }
        expect(stored.size).toBe(pairs)
        expect(new Set(stored.values()).size).toBe(pairs)
        const places = asked(row)
        expect(new Set(places.map((t) => row.inputs[t]))).toEqual(new Set(stored.keys()))
        expect(places.length).toBe(pairs)
        for (const t of places) {
          expect(row.targets[t]).toBe(stored.get(row.inputs[t]!))
          expect(t % 2).toBe(0)
          expect(t).toBeGreaterThanOrEqual(2 * pairs)
        }
        const others = row.inputs.filter((_, t) => t >= 2 * pairs && !places.includes(t))
        if (!randomNonQueries) expect(others.every((id) => id === 0)).toBe(true)
      }
    }),
    { numRuns: 300 },
  )
})

test('multiQueryRecall: filler is random over the whole vocabulary unless switched off', () => {
  // 64 rows of 48 fillers over 32 ids: an id is missed with probability 32 (31/32)^3072 < 1e-40.
  const batch = multiQueryRecall(testRandom(2), { vocabularySize: 32, batchSize: 64, sequenceLength: 64 })
  const filler = rows(batch).flatMap((row) => row.inputs.filter((_, t) => t >= 8 && row.targets[t] === ignoredTarget))
  expect(new Set(filler).size).toBe(32)
})

test('multiQueryRecall: query places follow the power law, one after another without replacement', () => {
  // T = 12 with 2 pairs leaves places 1 to 4; P(first at i, second at j) = p_i p_j / (1 - p_i), p_i as i^(a - 1).
  const draws = 30_000
  const sizes = { pairs: 2, sequenceLength: 12, vocabularySize: 8, powerA: 0.01, randomNonQueries: false }
  const counts = new Map<string, number>()
  for (const row of rows(multiQueryRecall(testRandom(3), { ...sizes, batchSize: draws }))) {
    const outcome = [0, 2].map((pair) => (row.inputs.indexOf(row.inputs[pair]!, 4) - 4) / 2 + 1).join()
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
  }
  const weights = [1, 2, 3, 4].map((i) => 0.01 * i ** (0.01 - 1))
  const p = weights.map((weight) => weight / weights.reduce((sum, other) => sum + other))
  for (let i = 0; i < 4; i++) {
    for (let j = 0; j < 4; j++) {
      if (i === j) continue
      const expected = (p[i]! * p[j]!) / (1 - p[i]!)
      const found = (counts.get([i + 1, j + 1].join()) ?? 0) / draws
      // Five standard deviations of a binomial share.
      expect(Math.abs(found - expected)).toBeLessThan(5 * Math.sqrt((expected * (1 - expected)) / draws))
    }
  }
})

test('parity: every label is the number of ones so far, modulo 2', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), fc.nat(20), seeds, (minLength, more, seed) => {
      const maxLength = minLength + more
      for (const row of rows(parity(testRandom(seed), { minLength, maxLength, batchSize: 5 }))) {
        const length = row.inputs.includes(2) ? row.inputs.indexOf(2) : maxLength
        expect(length).toBeGreaterThanOrEqual(minLength)
        row.inputs.forEach((bit, t) => {
          const ones = row.inputs.slice(0, t + 1).filter((id) => id === 1).length
          expect(row.targets[t]).toBe(t < length ? ones % 2 : ignoredTarget)
          if (t >= length) expect(bit).toBe(2)
        })
      }
    }),
    { numRuns: 300 },
  )
})

test('parity: all lengths and both bits occur, equally often', () => {
  const batch = rows(parity(testRandom(4), { minLength: 3, maxLength: 6, batchSize: 8000 }))
  for (let length = 3; length <= 6; length++) {
    // 2000 of 8000 each, standard deviation sqrt(8000 * 3 / 16) = 39.
    expect(Math.abs(batch.filter((row) => asked(row).length === length).length - 2000)).toBeLessThan(5 * 39)
  }
  // The first bits are 8000 fair ones, standard deviation 45.
  expect(Math.abs(batch.filter((row) => row.inputs[0] === 1).length - 4000)).toBeLessThan(5 * 45)
})

/** The exact value of an expression, by recursive descent over its text, in integers of any size. */
function evaluate(text: readonly string[]): bigint {
  let at = 0
  const factor = (): bigint => {
    const token = text[at++]
    if (token === '-') return -factor()
    if (token !== '(') return BigInt(token!)
    const value = sum()
    if (text[at++] !== ')') throw new Error(`no closing bracket in ${text.join('')}`)
    return value
  }
  const product = (): bigint => {
    let value = factor()
    while (text[at] === '*') {
      at++
      value *= factor()
    }
    return value
  }
  const sum = (): bigint => {
    let value = product()
    while (text[at] === '+' || text[at] === '-') value = text[at++] === '+' ? value + product() : value - product()
    return value
  }
  const value = sum()
  if (at !== text.length) throw new Error(`${text.join('')} goes on after its end`)
  return value
}

test('the evaluator of the next test knows precedence, signs and brackets', () => {
  expect(evaluate([...'2-3*4-1'])).toBe(-11n)
  expect(evaluate([...'(2--3)'])).toBe(5n)
  expect(evaluate([...'((-1)*(4-2))'])).toBe(-2n)
  expect(() => evaluate([...'(1+2'])).toThrow()
})

test.each([false, true])(
  'modularArithmetic, brackets %s: the label at the equals sign is the value modulo m',
  (brackets) => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(
        fc.record({
          modulus: fc.integer({ min: 2, max: 11 }),
          multiplication: fc.boolean(),
          minLength: fc.integer({ min: 2, max: 10 }),
          more: fc.nat(60),
        }),
        seeds,
        ({ modulus, multiplication, minLength, more }, seed) => {
          const maxLength = minLength + more
          const options = { modulus, multiplication, brackets, minLength, maxLength, batchSize: 3 }
          for (const row of rows(modularArithmetic(testRandom(seed), options))) {
            const text = row.inputs.map((id) => (id < modulus ? String(id) : '+-*()= '[id - modulus]!))
            const equals = text.indexOf('=')
            for (const token of text) seen.add(token)
            expect(asked(row)).toEqual([equals])
            expect(text.slice(equals + 1).every((token) => token === ' ')).toBe(true)
            const m = BigInt(modulus)
            expect(row.targets[equals]).toBe(Number(((evaluate(text.slice(0, equals)) % m) + m) % m))
            // One shorter where the length drawn leaves an even number of tokens to an expression without brackets.
            expect(equals + 1).toBeGreaterThanOrEqual(brackets ? minLength : minLength - 1)
            if (!brackets) expect(equals % 2).toBe(1)
            if (!multiplication) expect(text).not.toContain('*')
            if (!brackets) expect(text).not.toContain('(')
          }
        },
      ),
      { numRuns: 300 },
    )
    expect([...'+-*='].every((token) => seen.has(token))).toBe(true)
    expect(seen.has('(')).toBe(brackets)
  },
)

test('modularArithmetic: every length occurs, with brackets all of them', () => {
  const lengths = (brackets: boolean): number[] => {
    const batch = rows(modularArithmetic(testRandom(5), { brackets, minLength: 2, maxLength: 9, batchSize: 400 }))
    return [...new Set(batch.map((row) => asked(row)[0]! + 1))].sort((a, b) => a - b)
  }
  expect(lengths(true)).toEqual([2, 3, 4, 5, 6, 7, 8, 9])
  expect(lengths(false)).toEqual([2, 4, 6, 8])
})

test('modularArithmetic: the left part of a bracket takes every length, equally often', () => {
  // 8 tokens and the equals sign: (left operator right) leaves 1 to 4 tokens to the left.
  const batch = modularArithmetic(testRandom(6), { brackets: true, minLength: 9, maxLength: 9, batchSize: 4000 })
  const lengths = rows(batch).map(({ inputs }) => {
    // Of these lengths the left part is d, -d, (d) or (-d): it ends at its digit, or at the bracket after that.
    const digit = inputs.findIndex((id) => id < 5)
    return inputs[1] === 8 ? digit + 1 : digit
  })
  for (const length of [1, 2, 3, 4]) {
    // 1000 of 4000, standard deviation sqrt(4000 * 3 / 16) = 27.
    expect(Math.abs(lengths.filter((found) => found === length).length - 1000)).toBeLessThan(5 * 27)
  }
})
