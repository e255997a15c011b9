/** What a study runs: plain JSON, from which every job follows. */
import type { DataConfig, OptimizerConfig, ScheduleConfig } from '../../train/config.ts'
import type { StudyJob } from '../study-report/data.ts'
import type { ModelSettings } from '../variants.ts'

/** A study: what is trained, in which sizes, with which seeds. */
export interface StudySettings {
  /** Name of the preset that these settings began as. */
  readonly preset: string
  /** Heading of the report. */
  readonly title: string
  /** A text, or a generated task; as in a training configuration. */
  readonly data: Partial<DataConfig>
  /** Sequences a step. */
  readonly batchSize: number
  /** T of a text; a task brings its own. */
  readonly contextLength: number
  /** As in a training configuration. */
  readonly optimizer: Partial<OptimizerConfig>
  /** The same for every arm. */
  readonly schedule: ScheduleConfig
  /** Largest global norm of the gradient; null for none. */
  readonly clip: number | null
  /** The baseline's model, by the name of its size. */
  readonly sizes: Readonly<Record<string, ModelSettings>>
  /** Whether each variant's feed-forward layers are made as much narrower as its parameters are more than the baseline's. */
  readonly matchParameters: boolean
  /** The table of variants: one run a variant and seed. */
  readonly main: { readonly variants: readonly string[]; readonly size: string; readonly steps: number }
  /** Learning rate of the main group and of scaling. */
  readonly learningRate: number
  /** The sweep of learning rates. */
  readonly rates: {
    readonly variants: readonly string[]
    readonly learningRates: readonly number[]
    readonly size: string
    readonly steps: number
    /** The first so many of `seeds`. */
    readonly seeds: number
  }
  /** Runs at several sizes and numbers of steps. */
  readonly scaling: {
    readonly variants: readonly string[]
    readonly sizes: readonly string[]
    readonly steps: readonly number[]
    /** The first so many of `seeds`. */
    readonly seeds: number
  }
  /** Each cell is run once a seed. */
  readonly seeds: readonly number[]
  /** Steps between looks at held-out loss and first-token attention. */
  readonly evaluateEvery: number
  /** Held-out batches that a model is measured on. */
  readonly evaluationBatches: number
  /** Steps between checkpoints, from which a killed run goes on. */
  readonly checkpointEvery: number
}

/** A name for the job's folder and files, the same for the same job. */
export function jobName({ group, variant, seed, learningRate, size, steps }: StudyJob): string {
  return [group, variant, size, `rate-${String(learningRate).replace('+', '')}`, `steps-${steps}`, `seed-${seed}`].join(
    '_',
  )
}

/**
 * Every run of a study, those first that the most depends on: seed by seed, so that a study which is stopped has whole seeds.
 */
export function studyJobs(settings: StudySettings): StudyJob[] {
  const { main, rates, scaling, learningRate, seeds } = settings
  const jobs: StudyJob[] = []
  seeds.forEach((seed, index) => {
    for (const variant of main.variants) {
      jobs.push({ group: 'main', variant, seed, learningRate, size: main.size, steps: main.steps })
    }
    if (index < rates.seeds) {
      for (const variant of rates.variants) {
        for (const rate of rates.learningRates) {
          jobs.push({ group: 'rates', variant, seed, learningRate: rate, size: rates.size, steps: rates.steps })
        }
      }
    }
    if (index < scaling.seeds) {
      for (const variant of scaling.variants) {
        for (const size of scaling.sizes) {
          for (const steps of scaling.steps) jobs.push({ group: 'scaling', variant, seed, learningRate, size, steps })
        }
      }
    }
  })
  return jobs
}

/** The jobs of shard `index` of `count`, counted from 1: every count-th, so that shards are alike. */
export function shardOf<Job>(jobs: readonly Job[], index: number, count: number): Job[] {
  return jobs.filter((_, i) => i % count === index - 1)
}
