/** Settings and results of studies, out of files. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SluiceError } from '../../../src/errors.ts'
import { studyPresets } from '../../../src/lab/study/presets.ts'
import { studyRun, studySettings } from '../../../src/lab/study/read.ts'
import { jobName } from '../../../src/lab/study/settings.ts'
import { made } from '../study-report/small-study.ts'

const smoke = studyPresets.smoke!
const job = { group: 'main' as const, variant: 'baseline', seed: 1, learningRate: 0.01, size: 'base', steps: 20 }
const run = { ...made({ job, gate: 0.2 }), name: jobName(job) }
const through = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

test.each(Object.keys(studyPresets))('the settings of %s are read', (name) => {
  expect(studySettings(through(studyPresets[name]))).toEqual(through(studyPresets[name]))
})

test('a run is read, with the numbers that JSON does not have', () => {
  expect(studyRun(through(run), 'x')).toEqual(through(run))
  const diverged = { ...run, loss: null, measures: null, diverged: { step: 3, reason: '<script>' } }
  expect(studyRun(through({ ...diverged, spikes: { ...run.spikes, maximum: Number.NaN } }), 'x').spikes.maximum).toBe(
    null,
  )
})

test.each([
  [
    { ...smoke, sizes: { '../../x': smoke.sizes.base }, main: { ...smoke.main, size: '../../x' } },
    'sizes must be an object whose keys are names',
  ],
  [{ ...smoke, main: { ...smoke.main, size: 'constructor' } }, "there is no size 'constructor'"],
  [{ ...smoke, main: { ...smoke.main, variants: ['../x'] } }, "there is no variant '../x'"],
  [{ ...smoke, main: null }, 'main must be an object, got null'],
  [{ ...smoke, seeds: [1.5] }, 'seeds must be a list, each of it an integer from 0 up'],
  [{ ...smoke, sead: 1 }, "there is no setting 'sead'"],
  [{ ...smoke, title: undefined }, 'title must be given'],
  [{ ...smoke, seeds: Array.from({ length: 10_000 }, (_, i) => i) }, 'at most 10000 are taken'],
  [{ ...smoke, sizes: { base: { layers: 1e9 } } }, 'layers must be an integer from 1 to 10000'],
  [null, 'expected an object of settings'],
])('settings are refused: %#', (settings, reason) => {
  expect(() => studySettings(settings)).toThrow(reason)
})

test.each([
  [{ ...run, name: '../../x' }, 'the name is not that of its job'],
  [{ ...run, job: { ...job, group: 'others' } }, "job must be an object whose group is one of 'main'"],
  [{ ...run, curve: { ...run.curve, step: ['<'] } }, 'curve must be an object whose step is a list, each of it'],
  [{ ...run, measures: { ...run.measures, clamp: 3 } }, 'whose clamp is an object, or null'],
  [{ ...run, spikes: { ...run.spikes, warmup: -1 } }, 'spikes must be an object whose warmup is an integer'],
  [{ ...run, seconds: '<script>' }, 'seconds must be a number'],
])('results are refused: %#', (result, reason) => {
  expect(() => studyRun(result, 'x')).toThrow(reason)
})

test('any JSON is read or refused', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (json) => {
      for (const read of [studySettings, (value: unknown) => studyRun(value, 'x')]) {
        try {
          read(json)
        } catch (error) {
          expect(error).toBeInstanceOf(SluiceError)
        }
      }
    }),
  )
})
