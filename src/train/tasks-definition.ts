/**
 * What a generated task is: a record with its source, its default options and a function that makes a batch.
 *
 * A task's `targets[b, t]` is the answer expected of the model at position t itself, after it has read inputs 0 to t;
 * -100 (the `ignoreIndex` of the loss) where nothing is asked.
 */

import { SluiceError } from '../errors.ts'
import { showName, showValue } from '../shown.ts'
import type { RandomSource, TokenBatch } from './text.ts'

/** The target of a position at which nothing is asked. */
export const ignoredTarget = -100

/** Of one batch, and of all that is held out: a file of a few bytes may ask for any number. */
export const mostTokens = 2 ** 22

/** One batch of a task: `inputs` and `targets` are [B, T], row-major, ids below `vocabularySize` or -100. */
export interface TaskBatch extends TokenBatch {
  readonly vocabularySize: number
}

/** Sizes are numbers, switches are booleans. */
export type TaskOptions = Readonly<Record<string, number | boolean>>

/** A task, as the registry lists it. */
export interface TaskDefinition<Options extends TaskOptions = TaskOptions> {
  /** As `data.task` names it. */
  readonly name: string
  /** What the sequences look like, what is asked, and where the task comes from. */
  readonly doc: string
  /** Every option there is, with its default. */
  readonly defaults: Options
  /** Throws a SluiceError for an unknown option, one of another type, or sizes that admit no sequence. */
  vocabularySize(options?: Partial<Options>): number
  /** How each token is written, by its id: short, without spaces, no two the same. Throws as `vocabularySize` does. */
  tokens(options?: Partial<Options>): string[]
  /** A batch of fresh sequences. Throws as `vocabularySize` does. */
  generate(random: RandomSource, options?: Partial<Options>): TaskBatch
}

interface TaskParts<Options extends TaskOptions> {
  readonly name: string
  readonly doc: string
  readonly defaults: Options
  /** The least value of every option that is a number; a number without one here may be any positive real. */
  readonly least: { readonly [Key in keyof Options]?: number }
  /** Throws through `impossible` for sizes that admit no sequence. */
  check(options: Options, impossible: (reason: string) => never): void
  vocabularySize(options: Options): number
  /** How a token is written, where that is not its id. */
  token?(id: number, options: Options): string
  /** Columns of a batch. */
  columns(options: Options): number
  /** Writes one sequence; `inputs` is filled with 0 and `targets` with -100 beforehand. */
  row(random: RandomSource, options: Options, inputs: Int32Array, targets: Int32Array): void
}

/** The record of a task whose rows are independent of each other. `options.batchSize` is B. */
export function defineTask<Options extends TaskOptions & { readonly batchSize: number }>(
  parts: TaskParts<Options>,
): TaskDefinition<Options> {
  const { name, doc, defaults } = parts
  function resolve(options: Partial<Options>): Options {
    for (const [key, value] of Object.entries(options)) {
      if (!Object.hasOwn(defaults, key)) {
        throw new SluiceError(
          name,
          `unknown option ${showName(key)}; the options are ${Object.keys(defaults).join(', ')}`,
        )
      }
      if (value === undefined) continue
      if (typeof value !== typeof defaults[key]) {
        throw new SluiceError(name, `option ${key} must be a ${typeof defaults[key]}, got ${showValue(value)}`)
      }
      if (typeof value !== 'number') continue
      const least = parts.least[key]
      if (least === undefined ? !(value > 0 && value < Number.POSITIVE_INFINITY) : !Number.isSafeInteger(value)) {
        const kind = least === undefined ? 'a positive number' : 'an integer'
        throw new SluiceError(name, `option ${key} must be ${kind}, got ${value}`)
      }
      if (least !== undefined && value < least) {
        throw new SluiceError(name, `option ${key} must be at least ${least}, got ${value}`)
      }
    }
    const given = Object.entries(options).filter(([, value]) => value !== undefined)
    const resolved: Options = { ...defaults, ...Object.fromEntries(given) }
    parts.check(resolved, (reason) => {
      throw new SluiceError(name, reason)
    })
    return resolved
  }
  return {
    name,
    doc,
    defaults,
    vocabularySize: (options = {}) => parts.vocabularySize(resolve(options)),
    tokens(options = {}) {
      const resolved = resolve(options)
      const count = parts.vocabularySize(resolved)
      return Array.from({ length: count }, (_, id) => parts.token?.(id, resolved) ?? String(id))
    },
    generate(random, options = {}) {
      const resolved = resolve(options)
      const B = resolved.batchSize
      const T = parts.columns(resolved)
      if (!(B * T <= mostTokens)) {
        throw new SluiceError(
          name,
          `a batch of ${B} rows of ${T} tokens is too large; at most ${mostTokens} are drawn at once`,
        )
      }
      const inputs = new Int32Array(B * T)
      const targets = new Int32Array(B * T).fill(ignoredTarget)
      for (let start = 0; start < B * T; start += T) {
        parts.row(random, resolved, inputs.subarray(start, start + T), targets.subarray(start, start + T))
      }
      return { inputs, targets, B, T, vocabularySize: parts.vocabularySize(resolved) }
    },
  }
}

/** One integer in [low, high). */
export function integer(random: RandomSource, low: number, high: number): number {
  return random.integers(1, low, high)[0]!
}

/** `n` different integers in [low, high), every ordered choice equally likely. */
export function distinctIntegers(random: RandomSource, n: number, low: number, high: number): Int32Array {
  const range = high - low
  // A permutation costs the whole range; drawing again on a repeat is cheaper while repeats are rare.
  if (4 * n > range) {
    return random
      .permutation(range)
      .slice(0, n)
      .map((value) => low + value)
  }
  const chosen = new Set<number>()
  while (chosen.size < n) {
    for (const value of random.integers(n - chosen.size, low, high)) chosen.add(value)
  }
  return Int32Array.from(chosen)
}
