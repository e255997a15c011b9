/** Names and values out of files, as messages show them: short, whatever they are. */

const longestName = 100
const longestValue = 60

/** A name, cut. */
export function showName(name: string): string {
  return name.length > longestName ? `${name.slice(0, longestName)}...` : name
}

/** A value as JSON, cut. */
export function showValue(value: unknown, longest = longestValue): string {
  const text = jsonOf(value)
  return text.length > longest ? `${text.slice(0, longest)}...` : text
}

function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    // A number of 64 bits, or what holds others too deep for the stack.
    return typeof value === 'object' ? 'an object in an object, and so on' : String(value)
  }
}
