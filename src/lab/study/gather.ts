/** The runs of a study as one record, whichever machines they were made on. */
import { SluiceError } from '../../errors.ts'
import type { StudyData, StudyRun } from '../study-report/data.ts'
import { jobName, type StudySettings, studyJobs } from './settings.ts'

/**
 * Runs gathered from several folders, in the order of the study's jobs, so that it does not show who ran what.
 *
 * @throws SluiceError for a run that the settings do not have, and when two runs of one job differ in more than their time
 */
export function gatherRuns(settings: StudySettings, runs: readonly StudyRun[]): StudyRun[] {
  const order = new Map(studyJobs(settings).map((job, place) => [jobName(job), place]))
  const kept = new Map<string, StudyRun>()
  for (const run of runs) {
    if (!order.has(run.name)) {
      throw new SluiceError('study', `run ${run.name} is not one of this study's jobs; merge runs of one study`)
    }
    const before = kept.get(run.name)
    if (before && result(before) !== result(run)) {
      throw new SluiceError('study', `run ${run.name} was made twice with different results; remove one of them`)
    }
    if (!before) kept.set(run.name, run)
  }
  return [...kept.values()].sort((a, b) => order.get(a.name)! - order.get(b.name)!)
}

/** What must be the same when a job is run again. */
const result = ({ seconds, ...rest }: StudyRun): string => JSON.stringify(rest)

/** Whether two studies are one: their settings are the same. @throws SluiceError naming the first key that differs */
export function checkSameStudy(one: StudySettings, other: StudySettings, where: string): void {
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]) as Set<keyof StudySettings>
  for (const key of keys) {
    if (JSON.stringify(one[key]) === JSON.stringify(other[key])) continue
    throw new SluiceError('study', `${where} is of another study: its '${key}' differs; merge shards of one study`)
  }
}

/** The study's data, as report and tables take it. */
export function studyData(
  settings: StudySettings,
  runs: readonly StudyRun[],
  { machine, createdAt }: { machine: string; createdAt: string },
): StudyData {
  const { title, preset } = settings
  return { title, createdAt, preset, machine, settings: { ...settings }, runs: gatherRuns(settings, runs) }
}
