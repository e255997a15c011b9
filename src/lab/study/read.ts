/** Settings and runs of a study out of files: whatever wrote them, report and tables may rely on what is in them. */
import { SluiceError } from '../../errors.ts'
import {
  type Check,
  checkRecord,
  count,
  everyOf,
  fieldsOf,
  finite,
  flag,
  listOf,
  needKeys,
  oneOf,
  orNull,
  positive,
  positiveInteger,
  record,
  text,
} from '../../nn/validate.ts'
import { trainConfig } from '../../train/config.ts'
import type { StudyRun } from '../study-report/data.ts'
import { jobConfig } from './job.ts'
import { jobName, type StudySettings } from './settings.ts'

/** Far beyond what is ever trained: a few lists in a file would otherwise be multiplied to more than memory holds. */
const mostJobs = 10_000

/** A size is part of a folder's name. */
const sizes: Check = (value) => {
  const wrong = record(value) ?? everyOf(record)(value)
  if (wrong !== null) return wrong
  const named = Object.keys(value as object).every((name) => /^\w[\w.-]*$/.test(name))
  return named ? null : "an object whose keys are names of letters, digits, '.', '_' and '-'"
}

const settingsSchema: Readonly<Record<keyof StudySettings, Check>> = {
  preset: text,
  title: text,
  data: record,
  batchSize: positiveInteger,
  contextLength: positiveInteger,
  optimizer: record,
  schedule: record,
  clip: orNull(positive),
  sizes,
  matchParameters: flag,
  main: fieldsOf({ variants: listOf(text), size: text, steps: count }),
  learningRate: positive,
  rates: fieldsOf({
    variants: listOf(text),
    learningRates: listOf(positive),
    size: text,
    steps: count,
    seeds: count,
  }),
  scaling: fieldsOf({ variants: listOf(text), sizes: listOf(text), steps: listOf(count), seeds: count }),
  seeds: listOf(count),
  evaluateEvery: positiveInteger,
  evaluationBatches: positiveInteger,
  checkpointEvery: positiveInteger,
}

/**
 * The settings of a study, from JSON.
 *
 * @throws SluiceError for unknown, missing and wrong keys, unknown variants and sizes, and settings that no run can have
 */
export function studySettings(json: unknown): StudySettings {
  const operation = 'study'
  checkRecord(operation, json, settingsSchema)
  needKeys(operation, json, Object.keys(settingsSchema))
  const settings = json as unknown as StudySettings
  const { main, rates, scaling, seeds, learningRate } = settings
  const jobs =
    seeds.length * main.variants.length +
    Math.min(seeds.length, rates.seeds) * rates.variants.length * rates.learningRates.length +
    Math.min(seeds.length, scaling.seeds) * scaling.variants.length * scaling.sizes.length * scaling.steps.length
  if (jobs > mostJobs) throw new SluiceError(operation, `the settings make ${jobs} runs, at most ${mostJobs} are taken`)
  const models = new Map<string, [size: string, variant: string]>()
  const add = (size: string, names: readonly string[]): void => {
    for (const variant of names) models.set(`${size} ${variant}`, [size, variant])
  }
  add(main.size, main.variants)
  add(rates.size, rates.variants)
  for (const size of scaling.sizes) add(size, scaling.variants)
  const [seed = 0] = seeds
  for (const [size, variant] of models.values()) {
    const job = { group: 'main' as const, variant, size, seed, learningRate, steps: main.steps }
    trainConfig(jobConfig(settings, job))
  }
  return settings
}

/** JSON has null for a number that is not finite. */
const measured = orNull(finite)
const sparsity = everyOf(measured)

const measures = fieldsOf({
  firstToken: orNull(
    fieldsOf({
      perLayerHead: listOf(listOf(measured)),
      mean: measured,
      uniform: measured,
      corrected: measured,
      withoutFirstFour: measured,
      withoutFirstFourCorrected: measured,
    }),
  ),
  sinkRate: orNull(fieldsOf({ ofFirst: measured, any: measured })),
  massiveActivation: fieldsOf({
    perLayer: listOf(measured),
    mean: measured,
    perLayerMedian: listOf(measured),
    massive: flag,
  }),
  gate: orNull(
    fieldsOf({
      layers: listOf(fieldsOf({ layer: count, counts: listOf(count), mean: measured, deviation: measured })),
      mean: measured,
      median: measured,
      shareBelowTenth: measured,
      shareAboveNineTenths: measured,
    }),
  ),
  attentionOutput: orNull(
    fieldsOf({
      before: measured,
      after: measured,
      layers: listOf(fieldsOf({ layer: count, before: measured, after: measured })),
      sparsityBefore: sparsity,
      sparsityAfter: sparsity,
      sparsityMeanGate: orNull(sparsity),
    }),
  ),
  clamp: orNull(fieldsOf({ none: measured, one: measured, mean: measured, zero: measured })),
})

const spikes = fieldsOf({ rate: everyOf(measured), count: everyOf(measured), maximum: measured })
const isWarmup = (value: unknown): boolean => {
  const { warmup } = value as StudyRun['spikes']
  return warmup === undefined || count(warmup) === null
}

const runSchema: Readonly<Record<keyof StudyRun, Check>> = {
  job: fieldsOf({
    group: oneOf('main', 'rates', 'scaling'),
    variant: text,
    seed: count,
    learningRate: positive,
    size: text,
    steps: count,
  }),
  name: text,
  parameters: count,
  tokens: count,
  seconds: finite,
  diverged: orNull(fieldsOf({ step: count, reason: text })),
  loss: measured,
  curve: fieldsOf({
    step: listOf(count),
    loss: listOf(measured),
    heldOut: listOf(fieldsOf({ step: count, loss: measured })),
    firstToken: listOf(fieldsOf({ step: count, mean: measured, corrected: measured })),
  }),
  spikes: (value) => spikes(value) ?? (isWarmup(value) ? null : 'an object whose warmup is an integer from 0 up'),
  measures: orNull(measures),
  length: orNull(listOf(fieldsOf({ length: count, loss: measured, rescaled: measured }))),
  inContext: orNull(fieldsOf({ early: measured, late: measured, prefixMatching: measured })),
  maps: orNull(fieldsOf({ tokens: listOf(text), layers: listOf(fieldsOf({ heads: listOf(listOf(measured)) })) })),
}

/**
 * A run of a study, from JSON.
 *
 * @param where it was read, for messages
 * @throws SluiceError naming the key that is missing or wrong
 */
export function studyRun(json: unknown, where: string): StudyRun {
  const operation = `study: ${where}`
  checkRecord(operation, json, runSchema)
  needKeys(operation, json, Object.keys(runSchema))
  const run = json as unknown as StudyRun
  if (run.name === jobName(run.job)) return run
  throw new SluiceError(operation, `the name is not that of its job, ${jobName(run.job)}`)
}
