import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jobConfig, jobModel } from '../../../src/lab/study/job.ts'
import { studyPreset, studyPresets } from '../../../src/lab/study/presets.ts'
import { jobName, shardOf, studyJobs } from '../../../src/lab/study/settings.ts'
import { parameterCount, transformerConfig } from '../../../src/nn/index.ts'
import { trainConfig } from '../../../src/train/config.ts'

const presets = Object.values(studyPresets)

describe('jobs', () => {
  it.each(presets)(
    'of $preset: every one has a name of its own, a configuration and a model that can be built',
    (settings) => {
      const jobs = studyJobs(settings)
      expect(new Set(jobs.map(jobName)).size).toBe(jobs.length)
      for (const job of jobs) {
        const config = trainConfig(jobConfig(settings, job))
        expect(config.steps).toBe(job.steps)
        expect(config.optimizer.learningRate).toBe(job.learningRate)
        transformerConfig({ ...jobModel(settings, job), vocabularySize: 64 })
      }
    },
  )

  it.each(presets)('of $preset: arms of a seed differ in nothing but the model and the learning rate', (settings) => {
    const config = studyJobs(settings).map((job) => ({ job, config: jobConfig(settings, job) }))
    for (const seed of settings.seeds) {
      const arms = config.filter(({ job }) => job.seed === seed && job.group === 'main')
      const shared = arms.map(({ config: { name: _, model: __, ...rest } }) => JSON.stringify(rest))
      expect(new Set(shared).size).toBe(1)
    }
  })

  it.each(presets)(
    'of $preset: parameters of all variants of a size are within a column of the feed-forward',
    (settings) => {
      const count = (model: ReturnType<typeof jobModel>) => parameterCount({ ...model, vocabularySize: 64 })
      for (const job of studyJobs(settings)) {
        const base = count(jobModel(settings, { ...job, variant: 'baseline' }))
        const { width = 128, layers = 4 } = settings.sizes[job.size]!
        // One more column of gate, up and down in every layer; half of it is as near as a whole number comes.
        expect(Math.abs(count(jobModel(settings, job)) - base)).toBeLessThanOrEqual((3 * width * layers) / 2)
      }
    },
  )

  it('come seed by seed, so that a study that is stopped has whole seeds', () => {
    const seeds = studyJobs(studyPreset('smoke')).map(({ seed }) => seed)
    expect(seeds).toEqual([...seeds].sort((a, b) => a - b))
  })
})

describe('shards', () => {
  it('are apart, make up the whole, and differ in size by one at most', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (values, count) => {
        const jobs = values.map((value, place) => ({ value, place }))
        const shards = Array.from({ length: count }, (_, i) => shardOf(jobs, i + 1, count))
        expect(shards.flat().sort((a, b) => a.place - b.place)).toEqual(jobs)
        const sizes = shards.map((shard) => shard.length)
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
      }),
      { numRuns: 300 },
    )
  })
})

describe('bad input', () => {
  it('names the nearest preset, size and variant', () => {
    const settings = studyPreset('smoke')
    const [job] = studyJobs(settings)
    expect(() => studyPreset('toys')).toThrow("no preset 'toys'")
    expect(() => jobModel(settings, { ...job!, size: 'large' })).toThrow("there is no size 'large'; the sizes are base")
    expect(() => jobModel(settings, { ...job!, variant: 'g1-headwide' })).toThrow('g1-headwise')
  })
})
