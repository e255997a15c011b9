/** Checks of plain configuration objects: unknown keys, wrong types, and the nearest name that exists. */
import { SluiceError } from '../errors.ts'
import { isNear, nearest } from '../nearest.ts'
import { showName, showValue } from '../shown.ts'

/** Says what is expected when a value is not it, else null. */
export type Check = (value: unknown) => string | null

/** One check for each key. */
export type Schema<Config> = { readonly [Key in keyof Config]-?: Check }

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)

export const positiveInteger: Check = (value) =>
  Number.isInteger(value) && (value as number) > 0 ? null : 'a positive integer'

/** Of a list that is made, an item each. */
export const integerUpTo =
  (greatest: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) > 0 && (value as number) <= greatest
      ? null
      : `an integer from 1 to ${greatest}`

export const evenInteger: Check = (value) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) % 2 === 0 ? null : 'an even integer from 0 up'

export const positive: Check = (value) => (isNumber(value) && value > 0 ? null : 'a number above 0')

export const nonNegative: Check = (value) => (isNumber(value) && value >= 0 ? null : 'a number from 0 up')

export const probability: Check = (value) =>
  isNumber(value) && value >= 0 && value < 1 ? null : 'a probability in [0, 1)'

export const flag: Check = (value) => (typeof value === 'boolean' ? null : 'true or false')

export const oneOf =
  (...names: readonly string[]): Check =>
  (value) =>
    names.includes(value as string) ? null : `one of ${names.map((name) => `'${name}'`).join(', ')}`

export const orNull =
  (check: Check): Check =>
  (value) => {
    if (value === null) return null
    const expected = check(value)
    return expected === null ? null : `${expected}, or null`
  }

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value)

export const record: Check = (value) => (isRecord(value) ? null : 'an object')

export const text: Check = (value) => (typeof value === 'string' ? null : 'a text')

export const finite: Check = (value) => (isNumber(value) ? null : 'a number')

export const count: Check = (value) =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? null : 'an integer from 0 up'

/** What the first of these values that is wrong must be. */
function firstWrong(values: readonly unknown[], check: Check): string | null {
  for (const value of values) {
    const expected = check(value)
    if (expected !== null) return expected
  }
  return null
}

export const listOf =
  (check: Check): Check =>
  (value) => {
    if (!Array.isArray(value)) return 'a list'
    const expected = firstWrong(value, check)
    return expected === null ? null : `a list, each of it ${expected}`
  }

/** An object all of whose values are such. */
export const everyOf =
  (check: Check): Check =>
  (value) => {
    if (!isRecord(value)) return 'an object'
    const expected = firstWrong(Object.values(value), check)
    return expected === null ? null : `an object, each value of it ${expected}`
  }

/** An object that has these keys, and maybe others. */
export const fieldsOf =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value) => {
    if (!isRecord(value)) return 'an object'
    for (const [key, check] of Object.entries(checks)) {
      const expected = check(Object.hasOwn(value, key) ? value[key] : undefined)
      if (expected !== null) return `an object whose ${key} is ${expected}`
    }
    return null
  }

/**
 * Checks every key that `given` has against the schema; keys that are undefined count as left out.
 *
 * @param path prefix of keys in messages, such as `gate.`
 * @throws SluiceError naming the first unknown key with the nearest known one, or the first wrong value
 */
export function checkRecord(
  operation: string,
  given: unknown,
  schema: Readonly<Record<string, Check>>,
  path = '',
): asserts given is Record<string, unknown> {
  if (!isRecord(given)) {
    const where = path ? `${path.slice(0, -1)} must be` : 'expected'
    throw new SluiceError(operation, `${where} an object of settings, got ${showValue(given)}`)
  }
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(schema, key)) {
      const near = nearest(key, Object.keys(schema))
      const hint = isNear(key, near) ? `did you mean '${near}'?` : `there are ${Object.keys(schema).join(', ')}`
      throw new SluiceError(operation, `there is no setting '${path}${showName(key)}'; ${hint}`)
    }
    if (value === undefined) continue
    const expected = schema[key](value)
    if (expected !== null)
      throw new SluiceError(operation, `${path}${key} must be ${expected}, got ${showValue(value)}`)
  }
}

/** @throws SluiceError naming the keys that must be given and are not */
export function needKeys(
  operation: string,
  given: Readonly<Record<string, unknown>>,
  keys: readonly string[],
  path = '',
): void {
  const missing = keys.filter((key) => given[key] === undefined).map((key) => path + key)
  if (missing.length > 0) throw new SluiceError(operation, `${missing.join(' and ')} must be given`)
}
