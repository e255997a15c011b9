import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ArmChoice } from '../../docs/lab/src/plan.ts'
import {
  defaultState,
  initialTaskOptions,
  type LabState,
  readState,
  taskNames,
  taskProblem,
  writeState,
} from '../../docs/lab/src/state.ts'

const anArm = (): fc.Arbitrary<ArmChoice> =>
  fc.record({
    mixer: fc.constantFrom('attention', 'hybrid', 'gatedDelta', 'delta', 'kda'),
    gate: fc.constantFrom('none', 'G1', 'G2', 'G3', 'G4', 'G5'),
    grain: fc.constantFrom('elementwise', 'headwise'),
    activation: fc.constantFrom('sigmoid', 'nsSigmoid', 'silu', 'identity'),
  })

/** Options near those that the lab begins with, so that most of them are possible. */
const someOptions = (task: string): fc.Arbitrary<LabState['taskOptions']> =>
  fc
    .record(
      Object.fromEntries(
        Object.entries(initialTaskOptions(task)).map(([key, value]) => [
          key,
          typeof value === 'boolean'
            ? fc.boolean()
            : Number.isInteger(value)
              ? fc.integer({ min: Math.max(1, value - 3), max: value + 30 })
              : fc.double({ min: 0.001, max: 10, noNaN: true }),
        ]),
      ),
    )
    .filter((options) => taskProblem(task, options) === null)

const aState = (): fc.Arbitrary<LabState> =>
  fc.constantFrom(...taskNames, 'text').chain((task) =>
    fc.record({
      data: fc.constant(task),
      taskOptions: someOptions(task),
      text: fc.string({ unit: 'grapheme', maxLength: 200 }),
      arms: fc.tuple(anArm(), anArm()),
      layers: fc.integer({ min: 1, max: 8 }),
      width: fc.integer({ min: 8, max: 256 }),
      heads: fc.integer({ min: 1, max: 8 }),
      learningRate: fc.double({ min: 1e-6, max: 1, noNaN: true }),
      steps: fc.integer({ min: 1, max: 100_000 }),
      seed: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
      batchSize: fc.integer({ min: 1, max: 128 }),
      contextLength: fc.integer({ min: 2, max: 256 }),
      device: fc.constantFrom('auto', 'webgpu', 'cpu'),
      play: fc.boolean(),
      layer: fc.integer({ min: 0, max: 7 }),
      head: fc.integer({ min: 0, max: 7 }),
      position: fc.integer({ min: -1, max: 255 }),
      passage: fc.integer({ min: 0, max: 999 }),
      prompt: fc.string({ maxLength: 60 }),
    }),
  )

/** Pairs of a URL's keys and texts, of which some are known and most are not. */
const someHash = (): fc.Arbitrary<string> =>
  fc
    .array(
      fc.tuple(
        fc.oneof(
          fc.constantFrom('seed', 'layers', 'rate', 'data', 'device', 'play', 'a.gate', 'b.grain', 'o.triggers'),
          fc.string(),
        ),
        fc.oneof(
          fc.constantFrom('1', 'parity', 'G2', '-1', '1e3', '0x10', '', 'constructor', '__proto__'),
          fc.string(),
        ),
      ),
    )
    .map((pairs) => new URLSearchParams(pairs).toString())

describe('the state in the URL', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(aState(), (state) => {
        expect(readState(`#${writeState(state)}`)).toEqual({ state, problems: [] })
      }),
      { numRuns: 300 },
    )
  })

  test('is read from any text: a state that can be written, and a sentence for what was refused', () => {
    fc.assert(
      fc.property(fc.oneof(someHash(), fc.string()), (hash) => {
        const { state } = readState(hash)
        expect(readState(writeState(state))).toEqual({ state, problems: [] })
        expect(structuredClone(state)).toEqual(state)
      }),
      { numRuns: 300 },
    )
  })

  test('has only what differs from the default', () => {
    expect(writeState(defaultState)).toBe('')
    const [a, b] = defaultState.arms
    expect(writeState({ ...defaultState, seed: 7, arms: [a, { ...b, grain: 'headwise' }] })).toBe(
      'seed=7&b.grain=headwise',
    )
    expect(writeState({ ...defaultState, arms: [a, { ...b, gate: 'none' }] })).toBe('b.gate=none')
  })

  test('begins with the ungated and the gated model', () => {
    expect(defaultState.arms.map(({ gate }) => gate)).toEqual(['none', 'G1'])
  })

  test.each([
    ['seed=x', 'seed=x: expected an integer from 0 to 2147483647; 1 is used'],
    ['seed=1.5', 'seed=1.5: expected an integer from 0 to 2147483647; 1 is used'],
    ['rate=0x10', 'rate=0x10: expected a number from 0.000001 to 1; 0.01 is used'],
    ['b.gate=G9', 'b.gate=G9: expected one of none, G1, G2, G3, G4, G5; G1 is used'],
    ['sed=7', 'sed: there is no such key; it is left out'],
    ['data=parity&o.triggers=3', 'o.triggers: there is no such key; it is left out'],
    [
      'o.triggers=62',
      'bigramBackcopy: vocabularySize 64 is too small for 62 triggers: with the start token and two ordinary tokens 65 are needed' +
        "; the task's first options are used",
    ],
    [
      'o.sequenceLength=300',
      "bigramBackcopy: sequenceLength must be at most 256 here, got 300; the task's first options are used",
    ],
  ])('refuses %s by name', (hash, problem) => {
    const { state, problems } = readState(hash)
    expect(problems).toEqual([problem])
    expect(state.seed).toBe(1)
    expect(state.taskOptions).toEqual(initialTaskOptions(state.data))
  })
})
