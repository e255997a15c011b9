/**
 * Searches the samples of a record for one that a check fails on, and shrinks it.
 *
 * The result says where to find the failure again: fast-check's seed and path.
 */
import fc from 'fast-check'
import { type OpRecord, tensorsAmong } from '../ops/record.ts'
import { scope } from '../tensor/tensor.ts'
import { showCall } from './arguments.ts'
import { drawFrom } from './draw.ts'
import { broken, type Finding, nothingFound, worse } from './finding.ts'

export interface SearchOptions {
  /** How many samples are drawn: 200. */
  numRuns?: number
  /** Of the samples; random unless given. */
  seed?: number
  /** Of one sample, as a failure names it, to run that one alone. */
  path?: string
}

/** A failing sample, as small as shrinking could make it. */
export interface Failure {
  readonly message: string
  /** The call that shows it. */
  readonly call: string
  readonly seed: number
  readonly path: string
  readonly shrinks: number
}

export interface Outcome {
  /** Samples that were checked. */
  readonly cases: number
  readonly worst: Finding
  readonly failure: Failure | null
}

/** What a check says of one sample; null when it has nothing to say about it. */
export type SampleCheck = (given: unknown[]) => Finding | null | Promise<Finding | null>

export async function search(record: OpRecord, check: SampleCheck, options: SearchOptions = {}): Promise<Outcome> {
  let cases = 0
  let worst = nothingFound
  let last: { message: string; call: string } | null = null
  const property = fc.asyncProperty(fc.gen(), async (g) => {
    const given = scope(() => record.samples(drawFrom(g)))
    try {
      let finding: Finding | null
      try {
        const found = check(given)
        finding = found instanceof Promise ? await found : found
      } catch (error) {
        finding = broken(`it threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`)
      }
      if (!finding) return true
      if (finding.message !== null) {
        last = { message: finding.message, call: showCall(record.name, given) }
        worst = finding
        return false
      }
      cases++
      worst = worse(worst, finding)
      return true
    } finally {
      for (const t of tensorsAmong(given)) t.dispose()
    }
  })
  const { numRuns = 200, seed, path } = options
  const details = await fc.check(property, {
    numRuns,
    ...(seed === undefined ? {} : { seed }),
    ...(path ? { path } : {}),
  })
  if (!details.failed) return { cases, worst, failure: null }
  // Something outside the check, such as a faulty `samples`, leaves no finding.
  const found = last ?? {
    message: `the sample could not be drawn: ${String(details.errorInstance)}`,
    call: record.name,
  }
  const failure = {
    ...(found as { message: string; call: string }),
    seed: details.seed,
    path: details.counterexamplePath ?? '',
    shrinks: details.numShrinks,
  }
  return { cases: details.numRuns, worst, failure }
}

/** How a failure is told. */
export function showFailure({ message, call, seed, path, shrinks }: Failure): string {
  const size = shrinks === 0 ? 'shown by' : `shrunk in ${shrinks} steps to`
  return `${message}.\n  ${size}: ${call}\n  again with: { seed: ${seed}, path: '${path}' }\n`
}
