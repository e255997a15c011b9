/** Small studies by hand, for tests: what a run measured is said, the rest is the same for all. */
import type { ModelMeasures, StudyData, StudyJob, StudyRun } from '../../../src/lab/study-report/data.ts'

/** What a test says of a run. */
export interface Made {
  job?: Partial<StudyJob>
  loss?: number | null
  /** Of attention on the first token, beyond uniform; null for a model without attention. */
  sink?: number | null
  activation?: number
  gate?: number | null
  changes?: Partial<StudyRun>
  measures?: Partial<ModelMeasures>
}

export function made({
  job = {},
  loss = 2,
  sink = 0.3,
  activation = 50,
  gate = null,
  changes,
  measures,
}: Made): StudyRun {
  const whole: StudyJob = {
    group: 'main',
    variant: 'baseline',
    seed: 1,
    learningRate: 0.002,
    size: 'base',
    steps: 100,
    ...job,
  }
  const { group, variant, seed, learningRate, size, steps } = whole
  const step = Array.from({ length: steps }, (_, index) => index + 1)
  return {
    job: whole,
    name: [group, variant, size, learningRate, steps, seed].join('-'),
    parameters: 1000,
    tokens: steps * 64,
    seconds: 10,
    diverged: loss === null ? { step: 40, reason: 'the loss is not finite' } : null,
    loss,
    curve: {
      step,
      loss: step.map((at) => (loss ?? 2) + 2 * Math.exp(-at / 20)),
      heldOut: [{ step: steps, loss }],
      firstToken: [
        { step: 0, mean: 0.1, corrected: 0 },
        { step: steps, mean: 0.4, corrected: sink ?? 0 },
      ],
    },
    spikes: {
      rate: { '0.1': 0, '0.2': 0, '0.5': 0 },
      count: { '0.1': 0, '0.2': 0, '0.5': 0 },
      maximum: 0.05,
    },
    measures: {
      firstToken:
        sink === null
          ? null
          : {
              mean: sink * 0.9 + 0.1,
              corrected: sink,
              withoutFirstFour: sink * 0.9,
              withoutFirstFourCorrected: sink,
              uniform: 0.1,
              perLayerHead: [
                [sink, sink],
                [sink, sink],
              ],
            },
      sinkRate: sink === null ? null : { ofFirst: 0.5, any: 0.5 },
      massiveActivation: {
        mean: activation,
        perLayer: [activation / 2, activation * 1.5],
        perLayerMedian: [0.5, 0.6],
        massive: false,
      },
      gate:
        gate === null
          ? null
          : {
              mean: gate,
              median: gate / 2,
              shareBelowTenth: 0.25,
              shareAboveNineTenths: 0.01,
              layers: [
                { layer: 0, counts: [30, 10, 5, 5], mean: gate, deviation: 0.1 },
                { layer: 1, counts: [20, 10, 10, 10], mean: gate, deviation: 0.1 },
              ],
            },
      attentionOutput: null,
      clamp: null,
      ...measures,
    },
    length: null,
    inContext: null,
    maps: null,
    ...changes,
  }
}

/** Seeds 1, 2, ... of one arm, a value of each. */
export function seeds(values: readonly number[], of: (value: number) => Made): StudyRun[] {
  return values.map((value, index) => {
    const { job, ...rest } = of(value)
    return made({ ...rest, job: { ...job, seed: index + 1 } })
  })
}

export function study(runs: StudyRun[], changes: Partial<StudyData> = {}): StudyData {
  return {
    title: 'A small study',
    createdAt: '2026-11-24',
    preset: 'smoke',
    machine: 'two cores',
    settings: { steps: 100 },
    runs,
    ...changes,
  }
}
