/** What in a tokenizer.json would take its reader without end: regular expressions of exponential time, and ids of billions. */

interface Group {
  /** Whether one text can match what is inside in many ways: it has `|`, or something without an upper bound. */
  isOpen: boolean
}

/** A quantifier without an upper bound, at its first character. */
const unbounded = /[*+]|\{\d*,\}/y

/** Whether a pattern repeats, without an upper bound, a group with choices: `(a+)+` tries 2^n ways to match n letters. */
export function repeatsChoices(pattern: string): boolean {
  const groups: Group[] = [{ isOpen: false }]
  let isClass = false
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at]
    if (character === '\\') {
      at++
    } else if (isClass || character === '[') {
      isClass = character !== ']'
    } else if (character === '(') {
      groups.push({ isOpen: false })
    } else if (character === ')' && groups.length > 1) {
      const { isOpen } = groups.pop()!
      unbounded.lastIndex = at + 1
      if (isOpen && unbounded.test(pattern)) return true
      if (isOpen) groups.at(-1)!.isOpen = true
    } else {
      unbounded.lastIndex = at
      if (character === '|' || unbounded.test(pattern)) groups.at(-1)!.isOpen = true
    }
  }
  return false
}

/** The first pattern in a tokenizer.json that `repeatsChoices`. */
export function endlessPattern(json: unknown): string | undefined {
  const waiting: unknown[] = [json]
  while (waiting.length > 0) {
    const value = waiting.pop()
    if (typeof value !== 'object' || value === null) continue
    const { Regex: pattern } = value as { Regex?: unknown }
    if (typeof pattern === 'string' && repeatsChoices(pattern)) return pattern
    for (const inner of Array.isArray(value) ? value : Object.values(value)) {
      if (typeof inner === 'object') waiting.push(inner)
    }
  }
  return undefined
}

/** Far beyond any vocabulary: the package makes a list as long as the largest id. */
export const mostTokens = 2 ** 22

/** The first id of the vocabulary, or of an added token, that is no integer below `mostTokens`. */
export function wildId(json: unknown): unknown {
  const { model, added_tokens: added } = (json ?? {}) as { model?: { vocab?: unknown } | null; added_tokens?: unknown }
  const vocab = model?.vocab
  const ids = typeof vocab === 'object' && vocab !== null && !Array.isArray(vocab) ? Object.values(vocab) : []
  const more = Array.isArray(added) ? added.map((token) => (token as { id?: unknown } | null)?.id) : []
  return [...ids, ...more].find(
    (id) => id !== undefined && !(Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < mostTokens),
  )
}
