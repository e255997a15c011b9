/** From what one chooses on the page to two runs: always valid, and the same but for what the arms differ in. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ArmChoice, type Choice, mixerKeys, plansOf } from '../../docs/lab/src/plan.ts'
import { armFieldsOf, defaultState, initialTaskOptions, taskNames } from '../../docs/lab/src/state.ts'
import { transformerConfig } from '../../src/nn/index.ts'
import { trainConfig } from '../../src/train/config.ts'

const { mixer, gate, grain, activation } = armFieldsOf[0]
const arms: fc.Arbitrary<ArmChoice> = fc.record({
  mixer: fc.constantFrom(...mixer.values),
  gate: fc.constantFrom(...gate.values),
  grain: fc.constantFrom(...grain.values),
  activation: fc.constantFrom(...activation.values),
})

const choices: fc.Arbitrary<Choice> = fc
  .record({
    data: fc.constantFrom('text', ...taskNames),
    width: fc.integer({ min: 8, max: 256 }),
    layers: fc.integer({ min: 1, max: 8 }),
    heads: fc.integer({ min: 1, max: 8 }),
    learningRate: fc.double({ min: 1e-6, max: 1, noNaN: true }),
    seed: fc.nat(),
    steps: fc.integer({ min: 1, max: 100_000 }),
    batchSize: fc.integer({ min: 1, max: 128 }),
    contextLength: fc.integer({ min: 2, max: 256 }),
    arms: fc.tuple(arms, arms),
  })
  .map((choice) => ({ ...choice, taskOptions: initialTaskOptions(choice.data) }))

const modelOf = (config: Readonly<Record<string, unknown>>) => config.model as Record<string, unknown>

test('whatever is chosen, both runs are valid, and differ in name and mixing alone', () => {
  fc.assert(
    fc.property(choices, (choice) => {
      const plans = plansOf(choice, 'a text')
      for (const { config, text } of plans) {
        expect(trainConfig(config)).toMatchObject(JSON.parse(JSON.stringify(config)))
        const model = transformerConfig({ ...modelOf(config), vocabularySize: 10 })
        expect(model.layers).toBe(choice.layers)
        expect(text).toBe(choice.data === 'text' ? 'a text' : undefined)
      }
      const [a, b] = plans.map(({ config: { name: _, ...config } }) => {
        const model = { ...modelOf(config) }
        for (const key of mixerKeys) delete model[key]
        return { ...config, model }
      })
      expect(a).toEqual(b)
      expect(plans[0].config.name).not.toBe(plans[1].config.name)
    }),
    { numRuns: 300 },
  )
})

const arm = { mixer: 'attention', gate: 'none', grain: 'elementwise', activation: 'sigmoid' } as const

test.each<[ArmChoice, Record<string, unknown>, string]>([
  [arm, { gate: 'none' }, 'a-attention'],
  [
    { ...arm, gate: 'G2', grain: 'headwise', activation: 'nsSigmoid' },
    { gate: { position: 'G2', grain: 'headwise', act: 'nsSigmoid' } },
    'a-attention-g2-headwise-ns-sigmoid',
  ],
  [
    { ...arm, mixer: 'hybrid', gate: 'G1' },
    {
      gate: { position: 'G1', grain: 'elementwise', act: 'sigmoid' },
      fullAttentionInterval: 2,
      delta: { rule: 'gatedDelta' },
    },
    'a-hybrid-g1-elementwise-sigmoid',
  ],
  [
    // Without attention there is nothing to gate.
    { ...arm, mixer: 'gatedDelta', gate: 'G1' },
    { gate: 'none', fullAttentionInterval: 0, delta: { rule: 'gatedDelta' } },
    'a-gated-delta',
  ],
  [{ ...arm, mixer: 'kda' }, { gate: 'none', fullAttentionInterval: 0, delta: { rule: 'kda' } }, 'a-kda'],
])('%o becomes %o', (chosen, mixing, name) => {
  const [{ config }] = plansOf({ ...defaultState, arms: [chosen, arm] })
  const model = modelOf(config)
  expect(Object.fromEntries(mixerKeys.filter((key) => key in model).map((key) => [key, model[key]]))).toEqual(mixing)
  expect(config.name).toBe(name)
})

test('heads are at least 32 wide, and of even width', () => {
  const widthOf = (width: number, heads: number) =>
    modelOf(plansOf({ ...defaultState, width, heads })[0].config).headWidth
  expect([widthOf(64, 2), widthOf(64, 4), widthOf(8, 1), widthOf(100, 3)]).toEqual([32, 32, 32, 34])
})
