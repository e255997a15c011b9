/** The name that was probably meant, for messages about one that does not exist. */

import { showName } from './shown.ts'

/** How far `typed` is from `right`: edits, regardless of case; a name cut short is one slip, however much is missing. */
function distance(typed: string, right: string): number {
  const [a, b] = [typed.toLowerCase(), right.toLowerCase()]
  return a !== b && b.startsWith(a) ? 1 : edits(a, b)
}

/** Of a name that is looked at: edits are counted in time that grows with it, and a file may hold one of megabytes. */
const longest = 100

/** The known name that takes the fewest edits to reach. `known` is not empty. */
export function nearest(name: string, known: readonly string[]): string {
  const cut = name.slice(0, longest)
  return known.reduce((best, candidate) => (distance(cut, candidate) < distance(cut, best) ? candidate : best))
}

/** Whether `right` may have been meant: at most two edits away, or half of the name. */
export function isNear(name: string, right: string): boolean {
  return name.length <= longest && distance(name, right) <= Math.floor(Math.max(2, name.length / 2))
}

/** Levenshtein's distance: insertions, deletions and replacements of single characters. */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1))
    }
    row = next
  }
  return row[b.length]
}

/** What is told of a name that does not exist: the nearest that does, and all of them. */
export function noSuch(what: string, name: string, known: readonly string[]): string {
  return `there is no ${what} '${showName(name)}'; the nearest is ${nearest(name, known)}, all are ${known.join(', ')}`
}
