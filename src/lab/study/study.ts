/** A whole study in this process, for programs; the command line spreads its runs over processes and machines. */
import { createdNow } from '../report.ts'
import type { StudyData, StudyRun } from '../study-report/data.ts'
import { studyData } from './gather.ts'
import { runStudyJob, type StudyJobOptions } from './job.ts'
import { studyPreset } from './presets.ts'
import { type StudySettings, studyJobs } from './settings.ts'

/** Where and how a study runs. */
export interface StudyOptions extends Pick<StudyJobOptions, 'text' | 'device' | 'signal'> {
  /** Where it runs, in words, for the report. */
  readonly machine?: string
  /** Called after every run. */
  readonly onRun?: (run: StudyRun, done: number, count: number) => void
}

/**
 * Trains and measures every run of a study, one after the other.
 *
 * @param settings a preset's name, or settings made from one
 * @throws SluiceError for unknown names and bad settings, and when it is stopped by `signal`
 *
 * @example
 * const { runs } = await study({ ...studyPreset('smoke'), seeds: [1] }, { onRun: ({ name, loss }) => console.log(name, loss) })
 */
export async function study(
  settings: StudySettings | string,
  { machine = '', onRun, ...options }: StudyOptions = {},
): Promise<StudyData> {
  const chosen = typeof settings === 'string' ? studyPreset(settings) : settings
  const jobs = studyJobs(chosen)
  const runs: StudyRun[] = []
  for (const job of jobs) {
    const run = await runStudyJob(chosen, job, options)
    runs.push(run)
    onRun?.(run, runs.length, jobs.length)
  }
  return studyData(chosen, runs, { machine, createdAt: createdNow() })
}
