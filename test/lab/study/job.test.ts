import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkSameStudy, gatherRuns, studyData } from '../../../src/lab/study/gather.ts'
import { runStudyJob } from '../../../src/lab/study/job.ts'
import { studyPreset } from '../../../src/lab/study/presets.ts'
import { jobName, type StudySettings, studyJobs } from '../../../src/lab/study/settings.ts'
import type { StudyJob, StudyRun } from '../../../src/lab/study-report/data.ts'
import { renderStudy } from '../../../src/lab/study-report/report.ts'

/** A study of models that train in a second. */
const settings: StudySettings = {
  ...studyPreset('smoke'),
  data: { task: 'bigramBackcopy', taskOptions: { vocabularySize: 12, sequenceLength: 16 } },
  batchSize: 4,
  sizes: { base: { width: 16, layers: 2, heads: 2, feedForwardWidth: 32 } },
  main: { variants: ['baseline', 'g1-headwise'], size: 'base', steps: 70 },
  seeds: [1, 2],
  evaluateEvery: 20,
  evaluationBatches: 2,
  checkpointEvery: 25,
}
const [job] = studyJobs(settings) as [StudyJob]
const gatedJob = { ...job, variant: 'g1-headwise' }

/** What must be the same when a job is run again. */
const lasting = ({ seconds: _, ...run }: StudyRun) => run

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'study-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe('a run', () => {
  it('is measured, each part of it, and is plain JSON', async () => {
    const run = await runStudyJob(settings, gatedJob)
    expect(run).toMatchObject({ name: jobName(gatedJob), diverged: null, tokens: 70 * 4 * 16 })
    expect(run.loss).toBeLessThan(Math.log(12))
    expect(run.curve.heldOut.map(({ step }) => step)).toEqual([20, 40, 60, 70])
    expect(run.curve.firstToken.map(({ step }) => step)).toEqual([20, 40, 60, 70])
    expect(run.curve.firstToken.at(-1)!.mean).toBeGreaterThan(0)
    expect(run.measures!.gate!.layers).toHaveLength(2)
    expect(run.length!.map(({ length }) => length)).toEqual([16, 32, 64, 128])
    // At the training length there is nothing to rescale.
    expect(run.length![0]!.rescaled).toBe(run.length![0]!.loss)
    expect(run.length![1]!.rescaled).not.toBe(run.length![1]!.loss)
    expect(run.maps!.layers[1]!.heads[1]).toHaveLength(16 * 16)
    expect(run.maps!.tokens[0]).toBe('0')
    expect(JSON.parse(JSON.stringify(run))).toEqual(run)
  })

  it('is the same again, and of another seed another', async () => {
    const [once, again] = [await runStudyJob(settings, job), await runStudyJob(settings, job)]
    expect(lasting(again)).toEqual(lasting(once))
    expect((await runStudyJob(settings, { ...job, seed: 2 })).loss).not.toBe(once.loss)
  })

  it('that was stopped goes on from its checkpoint to the same end', async () => {
    const whole = await runStudyJob(settings, job)
    const stop = new AbortController()
    const place = join(folder, 'stopped')
    const onStep = ({ step }: { step: number }) => step === 35 && stop.abort()
    await expect(runStudyJob(settings, job, { folder: place, onStep, signal: stop.signal })).rejects.toThrow(
      'stopped after step 35 of 70',
    )
    const steps: number[] = []
    const run = await runStudyJob(settings, job, { folder: place, onStep: ({ step }) => steps.push(step) })
    expect(steps[0]).toBe(36)
    expect(lasting(run)).toEqual(lasting(whole))
  })

  it('that diverges is a result: its curve to there, no measures', async () => {
    const wild = {
      ...settings,
      clip: null,
      optimizer: { name: 'sgd' },
      schedule: { ...settings.schedule, warmup: 0 },
    } as const
    const run = await runStudyJob(wild, { ...job, learningRate: 1e30 }, { folder: join(folder, 'diverged') })
    expect(run.loss).toBeNull()
    expect(run.measures).toBeNull()
    expect(run.diverged!.step).toBeGreaterThan(0)
    expect(run.diverged!.reason).toMatch(/not finite|loss is/)
    expect(run.curve.step.length).toBe(run.diverged!.step - 1)
    expect(run.parameters).toBe((await runStudyJob(settings, job)).parameters)
  })
})

describe('runs gathered', () => {
  const describeRun = (run: StudyRun) => [run.name, run.loss] as const
  it('from two places give the data of one, in the order of the jobs', async () => {
    const jobs = studyJobs(settings).filter(({ group }) => group === 'main')
    const runs = await Promise.all(jobs.map((each) => runStudyJob(settings, each)))
    const where = { machine: 'a machine', createdAt: 'now' }
    const one = studyData(settings, runs, where)
    expect(one.runs.map(describeRun)).toEqual(runs.map(describeRun))
    expect(studyData(settings, [...runs].reverse(), where)).toEqual(one)
    expect(renderStudy(one)).toContain('g1-headwise')
    const slower = { ...runs[0]!, seconds: 99 }
    expect(gatherRuns(settings, [...runs, slower])).toEqual(runs)
    expect(() => gatherRuns(settings, [...runs, { ...runs[0]!, loss: 1 }])).toThrow('made twice with different results')
    expect(() => gatherRuns(settings, [{ ...runs[0]!, name: 'other' }])).toThrow("not one of this study's jobs")
    expect(() => checkSameStudy(settings, { ...settings, learningRate: 1 }, 'there')).toThrow(
      "there is of another study: its 'learningRate' differs",
    )
  })
})
