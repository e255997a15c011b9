/** The toy tasks: what is asked in their tests, what the mixers are, and the table. */
import { describe, expect, test } from 'vitest'
import { mixerNamed, mixers } from '../../src/lab/mixers.ts'
import { toyTable } from '../../src/lab/toy-table.ts'
import { runToyTask, type ToyResult, toyTaskNamed, toyTasks, toyTestBatches } from '../../src/lab/toy-tasks.ts'
import { Transformer, transformerConfig } from '../../src/nn/index.ts'

describe('toy tasks', () => {
  test.each(toyTasks.map((task) => [task.name, task] as const))(
    '%s asks where it counts, and differs by seed',
    (_, task) => {
      const [batches, same, other] = [1, 1, 2].map((seed) => toyTestBatches(task, seed))
      expect(batches).toHaveLength(task.testBatches)
      expect(same).toEqual(batches)
      expect(other).not.toEqual(batches)
      for (const { targets, T } of batches) {
        const asked = [...targets].flatMap((target, i) => (target >= 0 ? [i % T] : []))
        expect(asked.length).toBeGreaterThan(0)
        expect(Math.min(...asked)).toBeGreaterThanOrEqual(task.countFrom)
      }
    },
  )

  test('what is longer in the test than in training counts beyond the lengths of training', () => {
    for (const name of ['parity', 'modular']) {
      const { countFrom, training, test: tested } = toyTaskNamed(name)
      expect(countFrom).toBe(training.maxLength)
      expect(tested.maxLength).toBeGreaterThan(training.maxLength as number)
    }
  })

  test('a run gives its score, the same again, and another from another seed', async () => {
    const run = (seed: number) => runToyTask('parity', 'delta-net-negative', seed, { steps: 2 })
    const [first, again, other] = [await run(1), await run(1), await run(2)]
    const { seconds: _, ...result } = first
    expect(again).toMatchObject(result)
    expect(result).toMatchObject({ task: 'parity', mixer: 'delta-net-negative', seed: 1, steps: 2 })
    expect(other.score).not.toBe(first.score)
    // Of 2 classes, after 2 steps: about as good as guessing.
    expect(Math.abs(first.score)).toBeLessThan(0.5)
  })

  test('a run that is stopped is an error', async () => {
    const stop = new AbortController()
    const onStep = (step: number) => step === 2 && stop.abort()
    const run = runToyTask('mqar', 'attention', 1, { steps: 5, onStep, signal: stop.signal })
    await expect(run).rejects.toThrow('runToyTask: stopped after step 2 of 5')
  })
})

describe('mixers', () => {
  test('are configurations of models that differ in what mixes', () => {
    const types = Object.keys(mixers).map((name) => {
      const given = { vocabularySize: 8, width: 16, layers: 2, heads: 2, ...mixerNamed(name).model }
      const model = new Transformer(transformerConfig(given))
      const { layerTypes, delta } = model.config
      model.dispose()
      return [name, layerTypes.join(), delta.rule, delta.negativeEigenvalues]
    })
    expect(types).toEqual([
      ['attention', 'attention,attention', 'gatedDelta', false],
      ['delta-net', 'delta,delta', 'delta', false],
      ['delta-net-negative', 'delta,delta', 'delta', true],
      ['gated-delta-net', 'delta,delta', 'gatedDelta', false],
      ['hybrid', 'delta,attention', 'gatedDelta', false],
    ])
  })
})

test('the table has a row for each mixer that was run, with mean and range', () => {
  const result = (mixer: string, seed: number, score: number, steps: number): ToyResult => {
    return { task: 'parity', mixer, seed, score, trained: 1, steps, seconds: 1, parameters: 99 }
  }
  const results = [result('hybrid', 1, 0.5, 100), result('attention', 2, 0.02, 300), result('attention', 1, 0.04, 200)]
  const table = toyTable(results)
  expect(table).toContain('0 is guessing (50.0 % right)')
  expect(table.split('\n').filter((line) => line.startsWith('| '))).toEqual([
    '| mixer | test, % | as trained, % | steps | parameters | seeds |',
    '| attention | 3.0 (2.0 to 4.0) | 100.0 (100.0 to 100.0) | 200 to 300 | 99 | 1, 2 |',
    '| hybrid | 50.0 | 100.0 | 100 | 99 | 1 |',
  ])
})
