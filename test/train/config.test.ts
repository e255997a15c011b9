/** The configuration of a run: defaults, what is refused and in which words, what resuming may change. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SluiceError } from '../../src/errors.ts'
import { nearest } from '../../src/nearest.ts'
import { defaultTrainConfig, resumedConfig, type TrainConfig, trainConfig } from '../../src/train/config.ts'

const refusal = (given: unknown): string => {
  try {
    trainConfig(given)
  } catch (error) {
    expect(error).toBeInstanceOf(SluiceError)
    return (error as Error).message
  }
  throw new Error(`${JSON.stringify(given)} was taken`)
}

describe('defaults', () => {
  it('are what an empty object gives, as a copy', () => {
    const config = trainConfig({})
    expect(config).toEqual(defaultTrainConfig)
    config.optimizer.learningRate = 7
    config.data.taskOptions.extra = 1
    expect(trainConfig({})).toEqual(defaultTrainConfig)
    expect(defaultTrainConfig.optimizer.learningRate).toBe(3e-3)
  })

  it('stand beside what is given, at every level', () => {
    const config = trainConfig({
      steps: 7,
      optimizer: { name: 'sgd' },
      schedule: { warmup: 3 },
      data: { text: 'a.txt' },
    })
    expect(config).toEqual({
      ...defaultTrainConfig,
      steps: 7,
      optimizer: { ...defaultTrainConfig.optimizer, name: 'sgd' },
      schedule: { ...defaultTrainConfig.schedule, warmup: 3 },
      data: { ...defaultTrainConfig.data, text: 'a.txt' },
    })
  })

  it('take the place of undefined', () => {
    expect(trainConfig({ steps: undefined, clip: undefined, data: undefined, optimizer: { eps: undefined } })).toEqual(
      defaultTrainConfig,
    )
  })

  it('pass their own checks', () => {
    // Every value given, so that every default goes through its check.
    expect(trainConfig(structuredClone(defaultTrainConfig))).toEqual(defaultTrainConfig)
  })
})

describe('unknown keys', () => {
  it.each([
    [{ stesp: 3 }, 'stesp', 'steps'],
    [{ Steps: 3 }, 'Steps', 'steps'],
    [{ data: { tokenzier: 'byte' } }, 'data.tokenzier', 'tokenizer'],
    [{ optimizer: { learningrate: 1 } }, 'optimizer.learningrate', 'learningRate'],
    [{ schedule: { warmpu: 1 } }, 'schedule.warmpu', 'warmup'],
    [{ evaluateevry: 1 }, 'evaluateevry', 'evaluateEvery'],
    [{ toString: 1 }, 'toString', ''],
    [JSON.parse('{"__proto__": {"steps": 1}}'), '__proto__', ''],
  ])('%j names the key and the nearest', (given, key, near) => {
    expect(refusal(given)).toContain(`trainConfig: unknown key ${key}; the nearest is ${near}`)
  })

  it('with one slip are told the key that was meant', () => {
    const keys = Object.keys(defaultTrainConfig)
    fc.assert(
      fc.property(fc.constantFrom(...keys), fc.nat(), fc.constantFrom('drop', 'double'), (key, place, slip) => {
        const at = place % key.length
        const typed = key.slice(0, at) + (slip === 'double' ? key[at].repeat(2) : '') + key.slice(at + 1)
        fc.pre(!keys.includes(typed) && typed !== '')
        expect(refusal({ [typed]: 1 })).toContain(`; the nearest is ${key}`)
      }),
      { numRuns: 200 },
    )
  })

  it('have the first of equally near names', () => {
    expect(nearest('x', ['a', 'b'])).toBe('a')
  })
})

describe('wrong values', () => {
  it.each<[unknown, string]>([
    [null, 'the configuration must be an object, got null'],
    [[], 'the configuration must be an object, got []'],
    ['steps', 'the configuration must be an object, got "steps"'],
    [{ data: 'book.txt' }, 'data must be an object, got "book.txt"'],
    [{ data: null }, 'data must be an object, got null'],
    [{ optimizer: 'adamw' }, 'optimizer must be an object, got "adamw"'],
    [{ model: [] }, 'model must be an object, got []'],
    [{ model: null }, 'model must be an object, got null'],
    [{ data: { taskOptions: 3 } }, 'data.taskOptions must be an object, got 3'],
    [{ data: { text: 3 } }, 'data.text must be a text, got 3'],
    [{ data: { tokenizer: 'word' } }, "data.tokenizer must be one of 'character', 'byte', got \"word\""],
    [{ optimizer: { name: 'adam' } }, "optimizer.name must be one of 'adamw', 'muon', 'sgd', got \"adam\""],
    [{ schedule: { name: 1 } }, "schedule.name must be one of 'cosine', 'linear', 'constant', got 1"],
    [{ steps: '10' }, 'steps must be an integer from 0 up, got "10"'],
    [{ steps: null }, 'steps must be an integer from 0 up, got null'],
    [{ steps: 1.5 }, 'steps must be an integer from 0 up, got 1.5'],
    [{ steps: -1 }, 'steps must be an integer from 0 up, got -1'],
    [{ batchSize: 0 }, 'batchSize must be a positive integer, got 0'],
    [{ contextLength: 0.5 }, 'contextLength must be a positive integer, got 0.5'],
    [{ evaluateEvery: 0 }, 'evaluateEvery must be a positive integer, got 0'],
    [{ evaluationBatches: Number.POSITIVE_INFINITY }, 'evaluationBatches must be a positive integer, got Infinity'],
    [{ checkpointEvery: -5 }, 'checkpointEvery must be a positive integer, got -5'],
    [{ seed: -1 }, 'seed must be an integer from 0 to 2^51 - 1, got -1'],
    [{ seed: 2 ** 51 }, `seed must be an integer from 0 to 2^51 - 1, got ${2 ** 51}`],
    [{ optimizer: { learningRate: Number.NaN } }, 'optimizer.learningRate must be a number above 0, got NaN'],
    [{ optimizer: { learningRate: 0 } }, 'optimizer.learningRate must be a number above 0, got 0'],
    [{ optimizer: { beta1: 1 } }, 'optimizer.beta1 must be a probability in [0, 1), got 1'],
    [{ optimizer: { momentum: -0.1 } }, 'optimizer.momentum must be a probability in [0, 1), got -0.1'],
    [{ optimizer: { weightDecay: -1 } }, 'optimizer.weightDecay must be a number from 0 up, got -1'],
    [{ schedule: { floor: 1.1 } }, 'schedule.floor must be a number from 0 to 1, got 1.1'],
    [{ schedule: { warmup: 0.5 } }, 'schedule.warmup must be an integer from 0 up, got 0.5'],
    [{ clip: 0 }, 'clip must be a number above 0, or null, got 0'],
    [{ clip: '1' }, 'clip must be a number above 0, or null, got "1"'],
    [{ data: { heldOutShare: 0 } }, 'data.heldOutShare must be a number between 0 and 1, got 0'],
    [{ data: { heldOutShare: 1 } }, 'data.heldOutShare must be a number between 0 and 1, got 1'],
    [{ data: { text: 'a.txt', task: 'copy' } }, 'data has both a text and a task; give one of them'],
    [{ model: { contextLength: 8 } }, 'model.contextLength cannot be set: it comes from contextLength, beside model'],
    [{ model: { vocabularySize: 8 } }, 'model.vocabularySize cannot be set: it comes from the data'],
  ])('%j is refused', (given, message) => {
    expect(refusal(given)).toContain(`trainConfig: ${message}`)
  })

  it('are what a clip of null, 0 steps and the greatest seed are not', () => {
    const config = trainConfig({ clip: null, steps: 0, seed: 2 ** 51 - 1, schedule: { floor: 0, warmup: 0 } })
    expect([config.clip, config.steps, config.seed]).toEqual([null, 0, 2 ** 51 - 1])
  })

  it('are names that would leave the runs folder, or hide in it', () => {
    for (const name of ['', '.', '..', '../x', 'a/b', 'a\\b', '/etc', '.hidden', '-rf', 'a b', 'a\n', 'a\0', 'é', 7]) {
      expect(refusal({ name })).toContain('name must be a name for a folder')
    }
    for (const name of ['run', 'Run_2', 'a..b', '3.1-x']) expect(trainConfig({ name }).name).toBe(name)
  })
})

const configuration: fc.Arbitrary<Partial<TrainConfig>> = fc.record(
  {
    name: fc.stringMatching(/^\w[\w.-]{0,10}$/),
    batchSize: fc.integer({ min: 1, max: 100 }),
    steps: fc.nat(),
    seed: fc.maxSafeNat().map((seed) => seed % 2 ** 51),
    clip: fc.oneof(fc.constant(null), fc.double({ min: 0, minExcluded: true, max: 10, noNaN: true })),
    model: fc.dictionary(fc.constantFrom('width', 'heads', 'gate'), fc.oneof(fc.nat(), fc.string())),
    optimizer: fc.record({
      name: fc.constantFrom('adamw', 'muon', 'sgd'),
      learningRate: fc.double({ min: 0, minExcluded: true, max: 10, noNaN: true }),
      beta1: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      beta2: fc.constant(0.95),
      eps: fc.constant(1e-8),
      weightDecay: fc.double({ min: 0, max: 1, noNaN: true }),
      momentum: fc.constant(0.9),
    }),
  },
  { requiredKeys: [] },
)

it('comes back from JSON as it was', () => {
  fc.assert(
    fc.property(configuration, (given) => {
      const config = trainConfig(given)
      const read = trainConfig(JSON.parse(JSON.stringify(config)))
      // JSON has no -0.
      expect(JSON.stringify(read)).toBe(JSON.stringify(config))
      expect(Object.keys(read)).toEqual(Object.keys(config))
    }),
    { numRuns: 200 },
  )
})

describe('a resumed configuration', () => {
  const saved = trainConfig({ steps: 10, model: { width: 16, gate: { position: 'G2' } }, optimizer: { name: 'muon' } })

  it('is the saved one, with other steps when they are given', () => {
    expect(resumedConfig(saved, undefined)).toEqual(saved)
    expect(resumedConfig(saved, {})).toEqual(saved)
    expect(resumedConfig(saved, { steps: undefined })).toEqual(saved)
    expect(resumedConfig(saved, { steps: 20 })).toEqual({ ...saved, steps: 20 })
    expect(resumedConfig(saved, { ...saved, steps: 20 })).toEqual({ ...saved, steps: 20 })
  })

  it.each([
    [{ seed: 2 }, 'seed differs'],
    [{ optimizer: { name: 'sgd' } }, 'optimizer.name differs'],
    [{ model: { width: 32 } }, 'model.width differs'],
    [{ model: { gate: { position: 'G1' } } }, 'model.gate.position differs'],
    [{ model: { gate: 'none' } }, 'model.gate differs'],
    [{ data: { text: 'other.txt' } }, 'data.text differs'],
    [{ sede: 1 }, 'unknown key sede'],
    [{ steps: -1 }, 'steps must be'],
    [null, 'the configuration must be an object'],
  ])('refuses %j', (given, message) => {
    expect(() => resumedConfig(saved, given)).toThrow(message)
  })
})
