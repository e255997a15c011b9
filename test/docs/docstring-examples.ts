/** Examples in docstrings as programs: what a comment behind an expression says must be its value. */
import { inspect } from 'node:util'
import { withoutTypes } from '../../.ci/examples.mjs'
import type { EntryPoint } from '../../docs/site/public-api.ts'
import { isTensor } from '../../src/tensor/tensor.ts'

export interface Example {
  readonly name: string
  readonly text: string
}

/** Every example of every public name and its members, once. */
export function examplesOf(entryPoints: readonly EntryPoint[]): Example[] {
  const found = new Map<string, Example>()
  for (const { names } of entryPoints) {
    for (const name of names) {
      if (name.example) found.set(name.example, { name: name.name, text: name.example })
      for (const member of name.members) {
        for (const text of member.doc.split('@example').slice(1)) {
          if (!found.has(text)) found.set(text, { name: `${name.name}.${member.name}`, text: text.trim() })
        }
      }
    }
  }
  return [...found.values()]
}

/** '[1], the cosine of 0' to [1], with the digits after its point; undefined for a remark. */
export function valueSaid(comment: string): { value: unknown; digits: number } | undefined {
  const text = comment.replace(/^(Float32|Float64|Int32)Array /, '')
  if (!/^(-?\d|'|\[|\{|true\b|false\b|null\b)/.test(text)) return undefined
  const ends = [...text.matchAll(/[,:;] /g)].map(({ index }) => index)
  for (const end of [text.length, ...ends.toReversed()]) {
    const literal = text.slice(0, end)
    try {
      const value = new Function(`return (${literal})`)() as unknown
      const digits = /e/.test(literal) ? 12 : (/\.(\d+)/.exec(literal)?.[1].length ?? 12)
      return { value, digits }
    } catch {
      // A remark follows the value, or all of it is one.
    }
  }
  return undefined
}

async function plain(value: unknown): Promise<unknown> {
  if (isTensor(value)) return value.array()
  if (ArrayBuffer.isView(value)) return [...(value as Int32Array)]
  return value
}

/** Equal, with numbers as near as the digits that are written. */
function agrees(value: unknown, said: unknown, digits: number): boolean {
  if (typeof said === 'number') return typeof value === 'number' && Math.abs(value - said) <= 0.51 * 10 ** -digits
  if (said === null || typeof said !== 'object') return value === said
  if (value === null || typeof value !== 'object') return false
  const keys = Object.keys(said)
  return (
    Object.keys(value).length === keys.length &&
    keys.every((key) => agrees((value as Record<string, unknown>)[key], (said as Record<string, unknown>)[key], digits))
  )
}

/** 'expression // comment', and an expression with its comment on the lines below, as a call that compares the two. */
function withChecks(text: string): string {
  const lines = text.split('\n')
  return lines
    .map((line, i) => {
      const isExpression = /^(?!(const|let|for|if|import|export|return|\/\/|\}|\))\b|\/\/|\}|\)|\s)./.test(line)
      const [, code, beside] = /^(.*?\S)\s*\/\/ (.*)$/.exec(line) ?? ['', line, undefined]
      const below =
        lines[i + 1]?.startsWith('// ') && !lines[i + 2]?.startsWith('// ') ? lines[i + 1].slice(3) : undefined
      const comment = beside ?? below
      return isExpression && comment !== undefined ? `await said(${code}, ${JSON.stringify(comment)});` : line
    })
    .join('\n')
}

const AsyncFunction = (async () => {}).constructor as new (...text: string[]) => (...given: unknown[]) => Promise<void>

/**
 * Runs an example with names in scope, which it may make anew.
 *
 * @returns how many values it says and has
 * @throws Error where one is another
 */
export async function runDocstring(text: string, scope: Readonly<Record<string, unknown>>): Promise<number> {
  let compared = 0
  const said = async (given: unknown, comment: string): Promise<void> => {
    const wanted = valueSaid(comment)
    if (!wanted) return
    const value = await plain(await given)
    if (!agrees(value, wanted.value, wanted.digits)) throw new Error(`it says ${comment}, and has ${inspect(value)}`)
    compared++
  }
  const names = Object.keys(scope).filter((name) => new RegExp(`\\b${name}\\b`).test(text))
  const body = withoutTypes(`async () => {\n${withChecks(text)}\n}`).replace(/;\s*$/, '')
  const run = new AsyncFunction('said', 'console', ...names, `await (${body})()`)
  await run(said, { log: () => {} }, ...names.map((name) => scope[name]))
  return compared
}
