/** What several of the benches' commands take. */
import { type HashModelName, hashModelSizes } from './hash-model.ts'

/** @throws Error for anything else */
export function positiveInteger(option: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new Error(`--${option} must be a positive integer, got '${text}'`)
  }
  return value
}

/** The same, where the option may be left out. */
export function positiveIntegerOr<D>(option: string, text: string | undefined, otherwise: D): number | D {
  return text === undefined ? otherwise : positiveInteger(option, text)
}

/** @throws Error for a name that is not among those known */
export function oneOf<T extends string>(option: string, text: string, known: readonly T[]): T {
  const found = known.find((name) => name === text)
  if (found === undefined) throw new Error(`--${option}: there is no '${text}'; there are ${known.join(', ')}`)
  return found
}

/** `a,b`: some of those known, or all. */
export function someOf<T extends string>(option: string, text: string | undefined, known: readonly T[]): readonly T[] {
  return text === undefined ? known : text.split(',').map((name) => oneOf(option, name, known))
}

export const configNames = Object.keys(hashModelSizes) as HashModelName[]

/** As text of JSON, indented; numbers to 6 digits, more than any time has. */
export function json(value: unknown): string {
  const shorter = (_: string, x: unknown) => (typeof x === 'number' ? Number(x.toPrecision(6)) : x)
  return `${JSON.stringify(value, shorter, 2)}\n`
}
