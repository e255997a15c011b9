/** Runs the exercises' tests, against what the reader wrote or against the solutions. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { root, walkthroughs } from './entries.ts'

export const exercisesFolder = join(walkthroughs, 'exercises')

export interface ExerciseTest {
  readonly name: string
  readonly passed: boolean
  /** Why not; '' for one that passed. */
  readonly message: string
}

export interface Exercise {
  /** `04-cube` */
  readonly name: string
  /** None when the file could not be loaded; `problem` says why. */
  readonly tests: readonly ExerciseTest[]
  readonly problem: string
  readonly isGreen: boolean
}

/** Names of exercises, in order: of one page when its number is given. */
export function exerciseNames(number = ''): string[] {
  return readdirSync(exercisesFolder)
    .filter((name) => name.endsWith('.test.ts') && name.startsWith(number))
    .map((name) => basename(name, '.test.ts'))
    .sort()
}

/**
 * Runs the tests of some exercises.
 *
 * @param against 'start' is the file that the reader changes
 */
export async function runExercises(names: readonly string[], against: 'start' | 'solution'): Promise<Exercise[]> {
  if (names.length === 0) return []
  mkdirSync(join(root, '.cache'), { recursive: true })
  const folder = mkdtempSync(join(root, '.cache/exercises-'))
  try {
    const report = join(folder, 'report.json')
    const files = names.map((name) => join(exercisesFolder, `${name}.test.ts`))
    const settings = ['--config', join(exercisesFolder, 'vitest.config.ts'), '--reporter=json', '--outputFile', report]
    const told = await vitest([...settings, ...files], against)
    const { testResults } = parse(report, told)
    return names.map((name) => {
      const found = testResults.find((result) => basename(result.name) === `${name}.test.ts`)
      const tests = (found?.assertionResults ?? []).map(({ fullName, status, failureMessages }) => ({
        name: fullName.trim(),
        passed: status === 'passed',
        message: failureMessages.join('\n'),
      }))
      const problem = tests.length > 0 ? '' : found?.message || told || 'it has no tests'
      return { name, tests, problem, isGreen: tests.length > 0 && tests.every(({ passed }) => passed) }
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

interface Report {
  testResults: {
    name: string
    message: string
    assertionResults: { fullName: string; status: string; failureMessages: string[] }[]
  }[]
}

function parse(file: string, told: string): Report {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Report
  } catch {
    throw new Error(`the tests could not be run\n${told}`)
  }
}

/** What it wrote to stderr. A failing test is no error here. */
function vitest(given: readonly string[], against: 'start' | 'solution'): Promise<string> {
  const environment = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('VITEST')))
  const command = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...given]
  return new Promise((resolve) => {
    const env = { ...environment, SLUICE_THREADS: '1', WALKTHROUGH_EXERCISES: against }
    execFile(process.execPath, command, { cwd: root, env, maxBuffer: 2 ** 26 }, (_error, _stdout, stderr) =>
      resolve(stderr),
    )
  })
}
