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

/** How samples are drawn. */
export interface SearchOptions {
  /** How many samples are drawn: 200. */
  numRuns?: number
  /** Of the samples; random unless given. */
  seed?: number
  /** Of one sample, as a failure names it, to run that one alone. */
  path?: string
  /** Largest size of an axis in the shapes drawn: 4 unless the record asks otherwise. */
  maxSize?: number
}

/** A failing sample, as small as shrinking could make it. */
export interface Failure {
  /** What is wrong. */
  readonly message: string
  /** The call that shows it. */
  readonly call: string
  /** The seed of the search, to find it again. */
  readonly seed: number
  /** Which sample of that seed, as fast-check writes it. */
  readonly path: string
  /** How many times it was made smaller. */
  readonly shrinks: number
  /** The limit on sizes it was found under, if there was one. */
  readonly maxSize: number | undefined
}

/** What a search found. */
export interface Outcome {
  /** Samples that were checked. */
  readonly cases: number
  /** The error nearest to its bound, or furthest beyond. */
  readonly worst: Finding
  /** null when every sample passed. */
  readonly failure: Failure | null
}

/** What a check says of one sample; null when it has nothing to say about it. */
export type SampleCheck = (given: unknown[]) => Finding | null | Promise<Finding | null>

/**
 * Runs a check on samples of a record until one fails. A failure is then looked for again among smaller shapes, from one
 * element up, since shrinking a large sample often loses the element that shows it.
 */
export async function search(record: OpRecord, check: SampleCheck, options: SearchOptions = {}): Promise<Outcome> {
  const outcome = await searchOnce(record, check, options)
  if (!outcome.failure || options.path || options.maxSize) return outcome
  for (const maxSize of [1, 2]) {
    const smaller = await searchOnce(record, check, { ...options, seed: outcome.failure.seed, maxSize })
    if (smaller.failure) return { ...smaller, cases: outcome.cases }
  }
  return outcome
}

/** Of one sample: what the check found, or that it threw. */
async function examine(check: SampleCheck, given: unknown[]): Promise<Finding | null> {
  try {
    const found = check(given)
    return found instanceof Promise ? await found : found
  } catch (error) {
    return broken(`it threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`)
  }
}

async function searchOnce(record: OpRecord, check: SampleCheck, options: SearchOptions): Promise<Outcome> {
  const { numRuns = 200, seed, path, maxSize } = options
  let cases = 0
  let worst = nothingFound
  let last: Pick<Failure, 'message' | 'call'> | null = null
  // Drawn here, not in the property: replaying a path shrinks samples without running the property on them.
  const samples = fc.gen().map((g) => scope(() => record.samples(drawFrom(g, maxSize))))
  const property = fc.asyncProperty(samples, async (given) => {
    const finding = await examine(check, given)
    const call = finding?.message != null ? showCall(record.name, given) : ''
    for (const t of tensorsAmong(given)) t.dispose()
    if (!finding) return true
    worst = finding.message === null ? worse(worst, finding) : finding
    if (finding.message === null) {
      cases++
      return true
    }
    last = { message: finding.message, call }
    return false
  })
  const known = { ...(seed === undefined ? {} : { seed }), ...(path ? { path } : {}) }
  const details = await fc.check(property, { numRuns, ...known })
  const found = last as Pick<Failure, 'message' | 'call'> | null
  if (!found) return { cases, worst, failure: null }
  const failure: Failure = {
    ...found,
    seed: details.seed,
    path: details.counterexamplePath ?? '',
    shrinks: details.numShrinks,
    maxSize,
  }
  return { cases: details.numRuns, worst, failure }
}

/** How a failure is told. */
export function showFailure({ message, call, seed, path, shrinks, maxSize }: Failure): string {
  const size = shrinks === 0 ? 'shown by' : `shrunk in ${shrinks} steps to`
  const limit = maxSize ? `, maxSize: ${maxSize}` : ''
  return `${message}.\n  ${size}: ${call}\n  again with: { seed: ${seed}, path: '${path}'${limit} }\n`
}
